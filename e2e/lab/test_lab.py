"""The lab is a real cluster: what the other end-to-end tests rely on, shown.

Run: /usr/bin/python3 -m pytest e2e/lab/test_lab.py   (brings the lab up; leaves it up)
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
import uuid
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import oci  # noqa: E402
LAB = HERE / "lab"
PEER = "localhost/podgraft-peer:1"


def lab(*words, check=True, timeout=1200):
    return subprocess.run([str(LAB), *words], check=check, capture_output=True, text=True,
                          timeout=timeout)


@pytest.fixture(scope="module")
def env():
    """The environment that `lab env` gives a shell, with the lab up."""
    lab("up")
    out = subprocess.run(["bash", "-c", f'eval "$({LAB} env)"; env -0'], check=True,
                         capture_output=True, text=True).stdout
    return dict(line.split("=", 1) for line in out.split("\0") if "=" in line)


@pytest.fixture(scope="module")
def kubectl(env):
    def call(*words, check=True, text_in=None, **more):
        return subprocess.run(["kubectl", *words], check=check, capture_output=True, text=True,
                              input=text_in, env={**env, **more}, timeout=120)
    return call


@pytest.fixture(scope="module")
def namespace(kubectl):
    name = "lab-" + uuid.uuid4().hex[:8]
    kubectl("create", "namespace", name)
    kubectl("wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=90s")  # no pod without it
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def pod(name, image=PEER, **container):
    return json.dumps({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 1,
                 "containers": [{"name": "c", "image": image, **container}]}})


def service(name):
    return json.dumps({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"type": "NodePort", "ipFamilyPolicy": "RequireDualStack",
                 "selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]}})


def url(address, port):
    return f"http://[{address}]:{port}/x" if ":" in address else f"http://{address}:{port}/x"


def ask(address, port, patience_s=10):
    """The peer's answer over HTTP, with some patience for rules on their way."""
    deadline = time.monotonic() + patience_s
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        try:
            with opener.open(url(address, port), timeout=2) as reply:
                return json.load(reply)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@pytest.fixture(scope="module")
def peer(kubectl, namespace):
    """A running pod of the peer image behind a Service; its addresses."""
    kubectl("-n", namespace, "apply", "-f", "-", text_in=pod("peer"))
    kubectl("-n", namespace, "apply", "-f", "-", text_in=service("peer"))
    kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/peer", "--timeout=60s")
    status = json.loads(kubectl("-n", namespace, "get", "pod", "peer", "-o", "json").stdout)["status"]
    spec = json.loads(kubectl("-n", namespace, "get", "svc", "peer", "-o", "json").stdout)["spec"]
    return {"pod": [i["ip"] for i in status["podIPs"]], "cluster": spec["clusterIPs"],
            "node_port": spec["ports"][0]["nodePort"]}


@pytest.mark.alone
def test_up_again_returns_at_once_and_restarts_nothing(env):
    before = json.loads(lab("status", "--json").stdout)
    began = time.monotonic()
    lab("up")
    assert time.monotonic() - began < 3
    after = json.loads(lab("status", "--json").stdout)
    assert before["ready"] and after["ready"]
    assert {n: p["pid"] for n, p in before["parts"].items()} == \
           {n: p["pid"] for n, p in after["parts"].items()}


def test_a_pod_answers_on_its_addresses_of_both_families(peer):
    assert len(peer["pod"]) == 2
    for address in peer["pod"]:
        assert ask(address, 8080)["local"] == address


def test_a_service_answers_on_its_cluster_addresses(peer):
    assert len(peer["cluster"]) == 2
    for address in peer["cluster"]:
        assert ask(address, 80)["name"] == "peer"


def test_a_service_answers_by_node_port(peer, env):
    for address in (env["LAB_NODE_IP"], env["LAB_NODE_IP6"]):
        assert ask(address, peer["node_port"])["name"] == "peer"


def test_a_pod_reaches_another_through_its_service_and_is_seen_by_its_own_address(
        peer, kubectl, namespace):
    kubectl("-n", namespace, "apply", "-f", "-", text_in=pod("client"))
    kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/client", "--timeout=60s")
    own = json.loads(kubectl("-n", namespace, "get", "pod", "client", "-o", "json").stdout)
    own = [i["ip"] for i in own["status"]["podIPs"]]
    for address in peer["cluster"]:
        told = kubectl("-n", namespace, "exec", "client", "--", "/peer", "get", address, "80").stdout
        assert json.loads(told)["peer"] in own


@pytest.mark.parametrize("image,port,command", [
    ("localhost/podgraft-nginx:1", 80, ["curl", "-sf", "http://127.0.0.1/"]),
    ("localhost/podgraft-redis:1", 6379, ["redis-cli", "ping"]),
    ("localhost/podgraft-postgres:1", 5432, ["psql", "-h", "127.0.0.1", "-U", "postgres", "-c", "select 1"]),
    ("localhost/podgraft-static:1", 8080, ["/app", "get", "127.0.0.1", "8080"]),
])
def test_the_image_runs_and_answers(image, port, command, kubectl, namespace):
    name = image.partition("-")[2].partition(":")[0]
    ready = {"readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1}}
    kubectl("-n", namespace, "apply", "-f", "-", text_in=pod(name, image, **ready))
    kubectl("-n", namespace, "wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")
    kubectl("-n", namespace, "exec", name, "--", *command)


def test_pod_security_refuses_a_privileged_pod(kubectl, namespace):
    kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    try:
        done = kubectl("-n", namespace, "apply", "-f", "-", check=False,
                       text_in=pod("bad", securityContext={"privileged": True}))
    finally:
        kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce-")
    assert done.returncode != 0 and "violates PodSecurity" in done.stderr


def test_the_user_dev_may_do_nothing(kubectl, env):
    done = kubectl("get", "pods", check=False, KUBECONFIG=env["LAB_DEV_KUBECONFIG"])
    assert done.returncode != 0 and 'User "dev" cannot list resource "pods"' in done.stderr


def test_the_audit_log_tells_who_asked_for_what(kubectl, env):
    name = "audit-" + uuid.uuid4().hex[:8]
    kubectl("get", "pod", name, check=False)
    lines = Path(env["LAB_AUDIT_LOG"]).read_text(encoding="utf-8").splitlines()
    told = [json.loads(line) for line in lines if name in line]
    assert told and told[0]["user"]["username"] == "admin" and told[0]["verb"] == "get"


def test_load_imports_an_archive(env, tmp_path):
    tree, name = tmp_path / "tree", f"localhost/mine-{uuid.uuid4().hex[:8]}:1"
    tree.mkdir()
    (tree / "note").write_text("an image of one file")
    oci.write(tmp_path / "mine.tar", [(name, oci.layer(tree), {"Entrypoint": ["/none"]})])
    ctr = env["LAB_CTR"].split()
    lab("load", str(tmp_path / "mine.tar"))
    assert name in subprocess.check_output([*ctr, "images", "ls", "-q"], text=True).split()
    subprocess.run([*ctr, "images", "rm", name], check=True, stdout=subprocess.DEVNULL)
    assert lab("load", str(tmp_path / "none.tar"), check=False).returncode == 1


@pytest.mark.alone
def test_one_part_stops_and_starts_and_pods_go_on(env, kubectl, peer):
    try:
        lab("stop", "apiserver")
        assert lab("status", check=False).returncode == 1
        assert kubectl("get", "nodes", "--request-timeout=2s", check=False).returncode != 0
        assert ask(peer["pod"][0], 8080)["name"] == "peer"
    finally:
        lab("start", "apiserver")
    assert "lab" in kubectl("get", "nodes").stdout


@pytest.mark.alone
def test_up_repairs_a_part_that_was_killed_and_one_that_hangs(env, kubectl):
    parts = json.loads(lab("status", "--json").stdout)["parts"]
    os.kill(parts["scheduler"]["pid"], 9)
    os.kill(parts["kube-proxy"]["pid"], 19)
    lab("up")
    again = json.loads(lab("status", "--json").stdout)
    assert again["ready"] and all(p["healthy"] for p in again["parts"].values())


def test_a_namespace_made_by_hand_does_not_keep_pods_from_ending(kubectl, namespace):
    kubectl("-n", namespace, "apply", "-f", "-", text_in=pod("brief"))
    kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/brief", "--timeout=60s")
    name = "lab-" + uuid.uuid4().hex[:8]
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        began = time.monotonic()
        kubectl("-n", namespace, "delete", "pod", "brief", "--timeout=30s")
        assert time.monotonic() - began < 15
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)
