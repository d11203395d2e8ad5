"""The agent's control API lets in its user alone, and podgraft uses no agent but its own."""

import json
import re
import subprocess
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.tools import stop


@contextmanager
def forwarded(cluster, pod, port):
    """kubectl port-forward to a port of the pod; yields the URL on this machine."""
    process = subprocess.Popen(["kubectl", "-n", cluster.namespace, "port-forward", f"pod/{pod.name}", f":{port}"], env=cluster.env,
                               text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{re.search(r'127.0.0.1:([0-9]+)', process.stdout.readline()).group(1)}"
    finally:
        stop(process)


def ask(url, *headers):
    """Status and body of a GET, with "Name: value" headers."""
    request = urllib.request.Request(url, headers=dict(header.split(": ", 1) for header in headers))
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def inject(user, pod):
    """Container and port of the agent that `user` has in the pod."""
    done = user.run("inject", f"pod/{pod.name}", "--image", user.cluster.image)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def token(user, pod):
    done = user.run("token", f"pod/{pod.name}", "--image", user.cluster.image)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def api(cluster, podgraft, pod):
    """The control API of podgraft's agent in the pod, by kubectl port-forward."""
    _, port = inject(podgraft, pod)
    with forwarded(cluster, pod, port) as url:
        yield url


def test_a_token_reads_the_processes(api, podgraft, pod):
    status, body = ask(f"{api}/v1/processes", token(podgraft, pod))
    told = json.loads(body)
    assert status == 200
    assert 8080 in [socket["port"] for socket in told["sockets"]]
    status, body = ask(f"{api}/v1/processes", token(podgraft, pod), "Accept: application/x-protobuf")
    assert status == 200 and b"podgraft-agent" in body and not body.startswith(b"{")


def test_without_a_token_there_are_health_and_a_challenge_only(api):
    assert ask(f"{api}/v1/health")[0] == 200
    assert ask(f"{api}/v1/challenge")[0] == 200
    assert ask(f"{api}/v1/processes")[0] == 401
    assert ask(f"{api}/v1/info")[0] == 401


def test_a_token_works_once(api, podgraft, pod):
    once = token(podgraft, pod)
    assert ask(f"{api}/v1/info", once)[0] == 200
    assert ask(f"{api}/v1/info", once)[0] == 401
    assert ask(f"{api}/v1/processes", once)[0] == 401


def test_a_token_of_another_user_or_for_another_agent_is_refused(api, podgraft, another_user, pod):
    inject(another_user, pod)
    assert ask(f"{api}/v1/info", token(another_user, pod))[0] == 401
    assert ask(f"{api}/v1/info", token(podgraft, pod))[0] == 200


def test_a_container_with_our_key_that_we_did_not_graft_is_not_used(cluster, podgraft, pod):
    own, _ = inject(podgraft, pod)
    entry = next(e for e in pod.refresh().object["spec"]["ephemeralContainers"] if e["name"] == own)
    foreign = {**entry, "name": "podgraft-zzzzz", "args": [a.replace(own, "podgraft-zzzzz") for a in entry["args"]]}
    cluster.kubectl("patch", "pod", pod.name, "--subresource=ephemeralcontainers", "--type=strategic", "-p",
                    json.dumps({"spec": {"ephemeralContainers": [foreign]}}))
    for record in Path(podgraft.env["XDG_STATE_HOME"]).rglob("state.json"):
        record.unlink()
    assert inject(podgraft, pod)[0] not in (own, "podgraft-zzzzz")
