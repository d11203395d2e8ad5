"""The kubelet's http and gRPC probes stay with the app while other traffic from the node is redirected."""

import http.server
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from harness.grpc_health import END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, frame
from harness.pods import PORTS, Pod, container
from harness.sockets import read_exactly
from harness.tools import stop
from harness.waiting import stretched, until

HTTP, GRPC = PORTS["http"], 50051

pytestmark = pytest.mark.usefixtures("lab_only")


def every_second(failures, **how):
    return {**how, "periodSeconds": 1, "failureThreshold": failures}


class Failing:
    """A local program that answers 500 to everybody, and remembers who asked."""

    def __init__(self):
        self.agents = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(handler):
                self.agents.append(handler.headers.get("User-Agent", ""))
                handler.send_response(500)
                handler.send_header("Content-Length", "0")
                handler.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def probes(self):
        return [agent for agent in self.agents if agent.startswith("kube-probe/")]


@pytest.fixture
def failing():
    program = Failing()
    yield program
    program.server.shutdown()
    program.server.server_close()


@pytest.fixture(scope="module")
def probed(cluster):
    """A pod with probes of every kind; its gRPC server runs on its network, started by the test."""
    app = container(readinessProbe=every_second(1, httpGet={"port": HTTP, "path": "/"}),
                    livenessProbe=every_second(20, httpGet={"port": HTTP, "path": "/"}))
    rpc = container("rpc", args=["multi", "echo:7100"], readinessProbe=every_second(1, grpc={"port": GRPC}),
                    livenessProbe=every_second(1000, exec={"command": ["/peer", "get", "localhost", str(HTTP)]}))
    cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probed"},
                   "spec": {"terminationGracePeriodSeconds": 0, "containers": [app, rpc]}})
    cluster.kubectl("wait", "pod", "probed", "--for=jsonpath={.status.phase}=Running", "--timeout=60s")
    pod = Pod(cluster, "probed")
    script = Path(__file__).parent / "harness/grpc_health.py"
    server = subprocess.Popen(pod.entered(sys.executable, script, GRPC), stdout=subprocess.PIPE)
    try:
        assert server.stdout.readline() == b"listening\n"
        cluster.kubectl("wait", "pod", "probed", "--for=condition=Ready", "--timeout=30s")
        yield pod
        pod.assert_agents_sound()
    finally:
        stop(server)
        server.stdout.close()
        pod.delete()


def is_ready(pod, name):
    return pod.container(name)["ready"]


def status_from_the_node(pod):
    """The status that a client on the node gets."""
    try:
        with urllib.request.urlopen(f"http://{pod.ip}:{HTTP}/", timeout=stretched(5)) as got:
            return got.status
    except urllib.error.HTTPError as e:
        return e.code


def test_http_probes_reach_the_app_and_other_traffic_from_the_node_the_laptop(podgraft, probed, failing):
    r = podgraft.redirect("pod/probed", f"{HTTP}:{failing.port}")
    assert status_from_the_node(probed) == 500
    r.counts(lambda n: n["probes"] >= 4, timeout=10)
    assert is_ready(probed, "app") and probed.container("app")["restartCount"] == 0
    assert failing.probes() == []
    assert r.stop() == 0
    assert r.event("ended")["probes"] >= 4


def test_an_exec_probe_that_dials_localhost_is_named(podgraft, probed, failing):
    r = podgraft.redirect("pod/probed", f"{HTTP}:{failing.port}")
    assert "--no-local" in r.event("warning", timeout=5)["message"]


def test_grpc_probes_reach_the_app_and_other_grpc_from_the_node_the_laptop(podgraft, probed, listener):
    r = podgraft.redirect("pod/probed", f"{GRPC}:{listener.port}")
    r.counts(lambda n: n["probes"] >= 2, timeout=10)
    assert is_ready(probed, "rpc")
    request = frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x83\x86\x04\x04/abc")
    with socket.create_connection((probed.ip, GRPC), timeout=stretched(5)) as client:
        client.sendall(PREFACE + frame(SETTINGS, 0, 0))
        assert read_exactly(client, 9) == frame(SETTINGS, 0, 0)
        client.sendall(frame(SETTINGS, 1, 0) + request)
        expected = PREFACE + frame(SETTINGS, 0, 0) + request
        with listener.accept() as server:
            assert read_exactly(server, len(expected)) == expected
    assert is_ready(probed, "rpc")


def test_take_probes_redirects_them_too(podgraft, probed, failing):
    podgraft.redirect("pod/probed", f"{HTTP}:{failing.port}", "--take-probes")
    until(failing.probes, timeout=5, what="a probe at the laptop")
    until(lambda: not is_ready(probed, "app"), timeout=10, what="the app to count as not ready")
