"""An app that has become root in its container gets neither into the agent, nor at its port, its connections, rules or keys."""

import base64
import itertools
import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from harness.cli import ran
from harness.evil import APP, load_images
from harness.pods import PORTS, Pod, container
from harness.sockets import who
from harness.tools import PortForward
from harness.waiting import stretched, until

HTTP = PORTS["http"]
AGENT = "/podgraft-agent"
ports = itertools.count(4711)  # of impostors

pytestmark = pytest.mark.usefixtures("lab_only")


def hostile(name="evil", capabilities=(), **more):
    """A container whose program is root, with the runtime's usual capabilities, and what else it is given."""
    return container(name, image=APP, args=["sleep"],
                     securityContext={"runAsUser": 0, "capabilities": {"add": list(capabilities)}}, **more)


@pytest.fixture(scope="module")
def pods(cluster, tmp_path_factory):
    """Two pods of a good app and a hostile one: in "apart" each sees its own processes, in "together" they see each other's."""
    load_images(tmp_path_factory.mktemp("hostile"))
    nft = container("nft", image="localhost/podgraft-nginx:1", command=["sleep", "1000"], args=[],
                    securityContext={"runAsUser": 0, "capabilities": {"add": ["NET_ADMIN"]}})
    for name, shared in (("apart", False), ("together", True)):
        cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
                       "spec": {"terminationGracePeriodSeconds": 0, "shareProcessNamespace": shared,
                                "containers": [container(), hostile(), nft]}})
    cluster.kubectl("wait", "pod", "apart", "together", "--for=condition=Ready", "--timeout=60s")
    made = {name: Pod(cluster, name) for name in ("apart", "together")}
    yield made
    for pod in made.values():
        pod.assert_agents_sound()
        pod.delete()


@pytest.fixture(scope="module")
def apart(pods, same_user, laptop):
    """The pod in which each sees its own processes, redirected: (pod, what the redirect says of itself)."""
    return pods["apart"], same_user.redirect_to(laptop, pods["apart"], "http", "echo").up


def traced(pod, program=AGENT):
    """What the hostile app sees of a program, and the ways in which it gets into it."""
    got = json.loads(pod.exec("/hostile", "trace", program, container="evil"))
    assert got["uid"] == 0
    return got["seen"], got["worked"]


# --- the agent's process ---

def test_root_sees_no_agent_in_a_pod_of_separate_processes(apart):
    assert traced(apart[0]) == (0, [])


@pytest.mark.unsanitized  # they must trace themselves
@pytest.mark.parametrize("profile", ["redirect", "forward", "inspect"])
def test_root_sees_the_agent_in_a_pod_of_shared_processes_and_gets_into_it_by_no_means(same_user, pods, profile):
    pod = pods["together"]
    ran(same_user, "inject", pod.name, "--profile", profile, "-c", "evil")
    seen, worked = traced(pod)
    assert seen >= 1 and worked == []
    seen, worked = traced(pod, "/hostile")  # of its own kind
    assert seen == 1 and {"ptrace", "mem", "vm_readv", "vm_writev"} <= set(worked)


@pytest.mark.unsanitized  # they must trace themselves
def test_root_of_the_target_sees_the_agent_that_looks_at_it_and_gets_into_it_by_no_means(same_user, pods):
    """An agent that shows a container's processes is one of them."""
    ran(same_user, "inject", "apart", "--profile", "inspect", "-c", "evil")
    assert traced(pods["apart"]) == (1, [])


# --- the agent's ports ---

def test_root_cannot_listen_on_the_agents_ports_beside_it(apart):
    pod, up = apart
    own = [port for address, port in pod.listeners() if address == "127.0.0.1"]
    assert len(own) >= 2  # of the control API and of redirected connections
    for port in own:
        assert json.loads(pod.exec("/hostile", "take", port, container="evil")) == {"tried": 6, "worked": 0}
    assert who(pod.ip, HTTP) == "laptop"


@pytest.fixture
def impostor(cluster):
    """Starts somebody who plays the agent on a port of his: play(pod, port, challenge) -> process."""
    started = []

    def play(pod, port, challenge):
        p = subprocess.Popen(["kubectl", "-n", cluster.namespace, "exec", pod.name, "-c", "evil", "--", "/hostile", "impostor", str(port),
                              "20", challenge], env=cluster.env, text=True, stdout=subprocess.PIPE)
        started.append(p)
        assert json.loads(p.stdout.readline()) == {"waiting": port}
        assert json.loads(p.stdout.readline()) == {"listening": port}
        return p
    yield play
    for p in started:
        p.kill()
        p.communicate()


@pytest.fixture
def stolen(cluster, podgraft, pods, laptop, impostor):
    """A redirect whose agent's port has just been stolen, for all who connect from now on: (redirect, pod, give_back), of which the
    last ends the theft and tells what the thief was told. The thief says of himself what the agent said."""
    pod = pods["together"]
    r = podgraft.redirect_to(laptop, pod, "greet")
    port, his = int(ran(podgraft, "inject", pod.name).split()[1]), next(ports)
    with PortForward(cluster, pod, port) as forward:
        challenge = subprocess.run(["curl", "-s", f"http://127.0.0.1:{forward.ports[port]}/v1/challenge"], text=True,
                                   capture_output=True, check=True).stdout.strip()
    thief = impostor(pod, his, challenge)
    pod.run_in_netns("nft", "add table ip thief; add chain ip thief c { type nat hook output priority -100; }; "
                            f"add rule ip thief c tcp dport {port} redirect to :{his}")

    def give_back():
        pod.run_in_netns("nft", "delete", "table", "ip", "thief")
        thief.kill()
        return [json.loads(line)["told"] for line in thief.stdout]
    yield r, pod, port, give_back
    assert r.stop() == 0


def test_podgraft_warns_of_who_answers_in_its_agents_place_and_comes_back_when_the_agent_does(stolen):
    r, pod, port, give_back = stolen
    pod.run_in_netns("ss", "-K", "sport", "=", str(port))  # cuts the link
    r.event("lost")
    assert "the agent could not prove that it is the one we grafted" in r.event("warning")["message"]
    told = give_back()
    again = r.event("resumed")
    assert again["reused"] and again["container"] == r.up["container"]
    assert told and all(text.startswith(("GET /v1/challenge ", "POST /v1/link ")) for text in told), told


def test_who_sits_on_a_dead_agents_port_learns_nothing_and_podgraft_comes_back_by_another(stolen):
    r, pod, _, give_back = stolen
    os.kill(pod.pid(r.up["container"]), signal.SIGKILL)
    again = r.event("resumed")
    assert again["container"] != r.up["container"]
    told = give_back()
    assert all(text.startswith(("GET /v1/challenge ", "POST /v1/link ")) for text in told), told


# --- connections, rules, keys ---

def test_net_admin_of_the_app_neither_removes_nor_changes_the_rules_and_the_claim(apart):
    """With NET_ADMIN the app may do as it likes with its own tables; these belong to the agent's socket."""
    pod, _ = apart
    rules = pod.rules()
    without_time = re.compile(r" expires \w+")
    tables = [line.split()[1:3] for line in rules.splitlines() if line.startswith("table ")]
    assert any(name == f"podgraft-tcp-{HTTP}" for _, name in tables), rules

    def refused(*command):
        """Whether nft says that it is not for us: a command that is done says nothing."""
        script = '"$@" 2>&1; true'
        return "Operation not permitted" in pod.exec("sh", "-c", script, "sh", "nft", *command, container="nft")
    for family, name in tables:
        assert refused("delete", "table", family, name), name
        assert refused("flush", "table", family, name), name
        assert refused("add", "chain", family, name, "mine"), name
    pod.exec("nft", "flush", "ruleset", container="nft")  # all that are not somebody's
    assert without_time.sub("", pod.rules()) == without_time.sub("", rules)
    assert who(pod.ip, HTTP) == "laptop"


def test_neither_the_pods_spec_nor_its_logs_hold_a_secret(same_user, apart):
    pod, up = apart
    stored = Path(same_user.env["XDG_STATE_HOME"], "podgraft/key").read_text()
    both = base64.b64decode(stored.split()[1])  # the seed, and the public half behind it
    seed, public = both[:32], both[32:]
    shown = json.dumps(pod.refresh().object) + pod.logs(up["container"])
    assert base64.b64encode(public).decode() in shown
    assert base64.b64encode(both).decode()[:40] not in shown  # the first 30 bytes
    assert base64.b64encode(seed).decode() not in shown and seed.hex() not in shown


def test_the_app_that_is_the_target_may_be_killed_and_the_redirect_stays(apart):
    """Whatever becomes of the app: the agent is in a container of its own."""
    pod, _ = apart
    os.kill(pod.pid("evil"), signal.SIGKILL)
    until(lambda: pod.container("evil")["restartCount"] > 0, timeout=stretched(20), what="the restart")
    assert who(pod.ip, HTTP) == "laptop"
