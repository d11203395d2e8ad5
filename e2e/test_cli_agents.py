"""inject, ps and token: one agent for one user and profile, found again by the next command."""

import json
import os
import re
import subprocess

import pytest

from harness.cli import ran, run
from harness.cluster import TOP
from harness.pods import PORTS, until
from harness.sockets import who
from harness.tools import BIN

HTTP = PORTS["http"]


def test_inject_prints_container_and_port(podgraft, pod):
    name, port = re.fullmatch(r"(podgraft-[a-z0-9]{5}) (\d+)\n", ran(podgraft, "inject", pod.name)).groups()
    assert pod.agents() == [name]
    assert f"podgraft-agent/1 listening on 127.0.0.1:{port} key " in pod.logs(name).splitlines()[0]


def test_manage_is_inject(podgraft, pod):
    assert ran(podgraft, "manage", pod.name) == ran(podgraft, "inject", pod.name)


def test_inject_as_json(podgraft, pod):
    first, second = (run(podgraft, "inject", pod.name, "--output", "json").json()[-1] for _ in range(2))
    assert first == {"event": "grafted", "pod": pod.name, "container": pod.agents()[0], "port": first["port"], "reused": False}
    assert second == {**first, "reused": True}


def test_every_command_of_the_profile_uses_the_same_agent(podgraft, pod, laptop):
    name = ran(podgraft, "inject", pod.name).split()[0]
    ran(podgraft, "token", pod.name)
    r = podgraft.redirect(f"pod/{pod.name}", f"{HTTP}:{laptop.ports['http']}")
    assert who(pod.ip, HTTP) == "laptop"
    assert r.stop() == 0
    assert ran(podgraft, "inject", pod.name, "--profile", "forward").split()[0] == name  # a redirect's can do all of that
    assert pod.grafts() == [name]


def test_two_first_commands_at_once_share_one_agent(podgraft, pod, laptop):
    both = [podgraft.redirect(f"pod/{pod.name}", f"{PORTS[mode]}:{laptop.ports[mode]}", ready=False) for mode in ("http", "greet")]
    assert len({r.event("ready")["container"] for r in both}) == 1
    assert len(pod.agents()) == 1


def test_another_profile_is_another_agent(podgraft, pod):
    first = ran(podgraft, "inject", pod.name).split()[0]
    ran(podgraft, "ps", pod.name)
    second = ran(podgraft, "inject", pod.name, "--profile", "inspect").split()[0]
    assert sorted(pod.grafts()) == sorted([first, second]) and first != second
    args = {c["name"]: c["args"] for c in pod.refresh().object["spec"]["ephemeralContainers"]}
    assert [args[name][args[name].index("--profile") + 1] for name in (first, second)] == ["redirect", "inspect"]


def test_the_words_of_the_command_line_reach_the_container(podgraft, pod):
    name = ran(podgraft, "inject", pod.name, "--idle", "90s", "--memory", "32Mi", "--pull-policy", "Never").split()[0]
    spec = next(c for c in pod.refresh().object["spec"]["ephemeralContainers"] if c["name"] == name)
    assert spec["imagePullPolicy"] == "Never"
    assert " ".join(spec["args"]).endswith("--profile redirect --idle 90s --memory 32Mi")


def test_an_agent_that_has_ended_is_replaced(podgraft, pod):
    first = ran(podgraft, "inject", pod.name, "--idle", "1s").split()[0]
    until(lambda: not pod.agents(), what="the idle agent's end")
    assert pod.container(first)["state"]["terminated"]["exitCode"] == 0
    second = ran(podgraft, "inject", pod.name).split()[0]
    assert second != first and pod.agents() == [second]


# --- ps ---

def test_ps_shows_the_processes_and_sockets_of_the_pod(same_user, shared_pod):
    head, *lines = ran(same_user, "ps", shared_pod.name).splitlines()
    assert head.split() == ["PID", "PPID", "UID", "LISTENS", "COMMAND"]
    app = next(line for line in lines if "/peer multi " in line)
    assert app.split()[:3] == ["1", "0", "0"] and f"tcp [::]:{HTTP}" in app
    assert any("/podgraft-agent agent" in line for line in lines)


def test_ps_as_json(same_user, shared_pod):
    found, = run(same_user, "ps", shared_pod.name, "--output", "json").json()
    app = next(process for process in found["processes"] if process["command"][:2] == ["/peer", "multi"])
    assert (app["pid"], app["uid"], app["name"]) == (1, 0, "peer")
    assert re.fullmatch(r"[0-9a-f]{64}", app["container"])
    assert {socket["port"] for socket in found["sockets"] if socket["pid"] == 1 and socket["protocol"] == "tcp"} == set(PORTS.values())
    assert found["truncated"] is False


def test_ps_with_the_agent_of_a_redirect_shows_the_sockets_at_least(same_user, shared_pod):
    done = ran(same_user, "ps", shared_pod.name, "--profile", "redirect")
    assert "/peer" not in done
    assert f"tcp [::]:{HTTP}" in done.splitlines()[-1]


# --- as a plugin of kubectl, and its help ---

@pytest.fixture
def kubectl(same_user):
    """Runs kubectl with podgraft's programs where it looks for plugins."""
    env = {**same_user.env, "PATH": f"{BIN}:{same_user.env['PATH']}", "PODGRAFT_IMAGE": same_user.cluster.image}
    return lambda *args: subprocess.run(["kubectl", *args], env=env, text=True, capture_output=True, check=False)


def test_it_is_a_plugin_of_kubectl(kubectl, same_user, shared_pod):
    done = kubectl("podgraft", "inject", shared_pod.name, "-n", same_user.cluster.namespace)
    assert done.stdout == ran(same_user, "inject", shared_pod.name)
    done = kubectl("podgraft", "inject")
    assert done.returncode == 2 and "see 'kubectl podgraft help'" in done.stderr
    assert "kubectl podgraft redirect" in kubectl("podgraft", "redirect", "--help").stdout


def test_kubectl_completes_it(kubectl):
    done = kubectl("__complete", "podgraft", "redir")
    assert "redirect\t" in done.stdout


# --- sizes ---

@pytest.mark.unsanitized  # they bring their libraries
def test_the_image_is_small(lab_only):
    archive = os.environ.get("E2E_ARCHIVE", TOP / "build/image/podgraft-agent.tar")
    assert os.stat(archive).st_size < 3 << 20


def test_version_says_what_it_is(same_user):
    version = (TOP / "VERSION").read_text().strip()
    done = subprocess.run([BIN / "podgraft", "version"], env=same_user.env, text=True, capture_output=True, check=True)
    assert version in done.stdout
    done = subprocess.run([BIN / "podgraft", "version", "--output", "json"], env=same_user.env, text=True, capture_output=True, check=True)
    assert json.loads(done.stdout)["client"]["version"] == version
