"""Figures of beginnings: agent, container, first byte; and sizes."""

import base64
import http.client
import json
import os
import ssl
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from harness.cluster import TOP
from harness.netns import inside
from harness.pods import PEER, PORTS
from harness.sockets import dial
from harness.tools import BIN, stop

from .contenders import At, Failed, Forward
from .processes import resident_bytes

SECTIONS = ("first-byte", "agent", "sizes")
AGENT = TOP / "build/image/podgraft-agent"
IMAGE = TOP / "build/image/podgraft-agent.tar"
POLL_SECONDS = 0.002
# The kubelet starts no container in a pod in which it has just started one, until it has looked at all pods once more, which it does
# each second. Nobody grafts that often, so it is given the time.
REST_SECONDS = 2.5
FIRST_PORT, BARE_PORT = 21000, 22000   # nothing in the pod listens there


def greeting(host, port):
    """The first line that a greeting peer says, or b""."""
    try:
        with dial(host, port, timeout=1) as s:
            return s.recv(100)
    except OSError:
        return b""


def until_greeted(host, port, name, limit_s=30):
    """When a client that tries again and again first hears `name`, by time.monotonic()."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if name in greeting(host, port):
            return time.monotonic()
        time.sleep(POLL_SECONDS)
    raise Failed(f"no byte from {name.decode()} in {limit_s} s")


def sizes(figures):
    kubectl = Path(subprocess.run(["which", "kubectl"], text=True, capture_output=True, check=True).stdout.strip())
    for name, path in (("agent", AGENT), ("image", IMAGE), ("podgraft", BIN / "podgraft")):
        figures.add("", f"size {name}", "podgraft", path.stat().st_size)
    figures.add("", "size kubectl", "kubectl", kubectl.resolve().stat().st_size)
    return f"agent {AGENT.stat().st_size >> 10} KiB, image {IMAGE.stat().st_size >> 10} KiB"


def agent_start(figures, pod, count):
    """Milliseconds from fork and exec of the agent, on the pod's network, to the first line of its log."""
    key = base64.b64encode(os.urandom(32)).decode()
    command = [AGENT, "agent", "--laptop-key", key, "--pod-uid", pod.uid, "--container", "bench"]
    for _ in range(count):
        began = time.monotonic()
        process = inside(pod.netns, lambda: subprocess.Popen(command, text=True, stdout=subprocess.PIPE))
        line = process.stdout.readline()
        took = time.monotonic() - began
        resident = resident_bytes(process.pid)
        stop(process)
        process.stdout.close()
        if "listening on" not in line:
            raise Failed(f"the agent said {line!r}")
        figures.add("", "agent start", "podgraft", took * 1000)
        figures.add("", "agent resident", "podgraft", resident)
    return f"{took * 1000:.1f} ms"


def _first_byte(user, laptop, pod, port):
    """Milliseconds from the command to the first byte that the local program sends to a client of the pod."""
    command = user.command("redirect", *user.graft, f"pod/{pod.name}", f"{port}:{laptop.ports['greet']}", "-q")
    began = time.monotonic()
    process = subprocess.Popen(command, env=user.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    try:
        return (until_greeted(pod.ip, port, b"laptop") - began) * 1000
    finally:
        stop(process)
        process.stderr.close()


def first_byte_kubectl(figures, laptop, pod, count):
    """The same of a port-forward: from the command to the first byte that the pod's program sends."""
    took = []
    for transport in ("spdy", "websocket"):
        for _ in range(count):
            forward, port = Forward(laptop, pod, transport), laptop.free_port()
            began = time.monotonic()
            process = subprocess.Popen(forward.command(f"{port}:{PORTS['greet']}"), env=forward.env, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            try:
                took.append((laptop.inside(until_greeted, "127.0.0.1", port, b"app") - began) * 1000)
            finally:
                stop(process)
            figures.add(laptop.name, "first byte", "kubectl", took[-1], transport)
    return f"{statistics.median(took):.0f} ms"


class Api:
    """One kept connection to the API server, so that a request costs no handshake."""

    def __init__(self, cluster):
        view = json.loads(cluster.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
        server, user = view["clusters"][0]["cluster"], view["users"][0]["user"]
        context = ssl.create_default_context(cadata=base64.b64decode(server["certificate-authority-data"]).decode())
        with tempfile.TemporaryDirectory() as folder:
            for name in ("client-certificate-data", "client-key-data"):
                (Path(folder) / name).write_bytes(base64.b64decode(user[name]))
            context.load_cert_chain(f"{folder}/client-certificate-data", f"{folder}/client-key-data")
        at = urlsplit(server["server"])
        self.connection = http.client.HTTPSConnection(at.hostname, at.port, context=context, timeout=30)

    def patch(self, path, body):
        self.connection.request("PATCH", path, json.dumps(body), {"Content-Type": "application/strategic-merge-patch+json"})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise Failed(f"PATCH {path}: {answer.status} {text[:200]!r}")


class BareContainers:
    """Ephemeral containers of the peer's image that greet: the kubelet's own part of a graft."""

    def __init__(self, cluster, pod):
        self.api, self.pod = Api(cluster), pod
        self.path = f"/api/v1/namespaces/{cluster.namespace}/pods/{pod.name}"
        self.count = 0

    def start(self):
        """Milliseconds from the request for one to the first byte of the program in it."""
        self.count += 1
        port = BARE_PORT + self.count
        one = {"name": f"bare-{self.count}", "image": PEER, "imagePullPolicy": "Never", "args": ["greet", str(port), "bare"]}
        self.api.patch(self.path, {})  # connects, if that is still to be done
        began = time.monotonic()
        self.api.patch(f"{self.path}/ephemeralcontainers", {"spec": {"ephemeralContainers": [one]}})
        return (until_greeted(self.pod.ip, port, b"bare") - began) * 1000


def first_byte(figures, laptop, pod, folder, count):
    """Of a redirect with a new agent (each time a new user's) and with that one again; beside it, a bare container's start."""
    bare = BareContainers(laptop.cluster, pod) if laptop.name == "local" else None
    for i in range(count):
        if bare:
            time.sleep(REST_SECONDS)
            figures.add("", "container start", "kubelet", bare.start())
        time.sleep(REST_SECONDS)
        user = At(laptop, Path(tempfile.mkdtemp(dir=folder)))
        for what in ("absent", "present"):
            figures.add(laptop.name, f"first byte {what}", "podgraft", _first_byte(user, laptop, pod, FIRST_PORT + i))
    return "; ".join(f"{what} {figures.median(laptop.name, f'first byte {what}', 'podgraft'):.0f} ms" for what in ("absent", "present"))


def steps(figures, laptop, pod, folder, size):
    """(section, title, function) triples."""
    if laptop.name == "local":
        yield "sizes", "sizes", lambda: sizes(figures)
        yield "agent", "the agent's start", lambda: agent_start(figures, pod, size.starts * 3)
    yield "first-byte", f"{laptop.name}: first byte, podgraft", lambda: first_byte(figures, laptop, pod, folder, size.starts)
    yield "first-byte", f"{laptop.name}: first byte, kubectl", lambda: first_byte_kubectl(figures, laptop, pod, size.starts)
