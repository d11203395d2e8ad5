"""What is compared: podgraft's redirect, kubectl's port-forward, a bare client of each transport, and one plain TCP connection.

All carry the same bytes along the same path, between a peer in the pod's cluster and one at the laptop. A redirect's clients stand at
the pod, a port-forward's at the laptop; so that both can be compared, a direction is named after where the bytes go: "from" the pod
or "to" the pod. Whoever receives checks every byte, but for the bare client.
"""

import itertools
import re
import subprocess

from harness.pods import PORTS
from harness.tools import BIN, PEER_BIN, Podgraft, last_object, peer, stop

from .processes import resident_bytes

TRANSPORTS = ("spdy", "tunnel", "websocket")
KUBECTL_TRANSPORTS = ("spdy", "websocket")
MODES = ("bulk", "echo")
# What opens many connections does so to a port of its own: their ends take half a client's ports, all that the kernel looks for
# first, for a minute each, and the search for one that is free then takes 2 ms. A port is used again after three repetitions.
RATES = tuple(f"rate {i}" for i in range(6))
MANY = ("crowd", *RATES)


class Failed(Exception):
    """A contender did not do what it was asked to."""


def checked(report, what):
    if not report.get("ok"):
        raise Failed(f"{what}: {report.get('saw') or report}")
    return report


class Contender:
    """One of them on one laptop. What it cannot do has no method."""

    who = transport = ""

    def __init__(self, laptop, pod):
        self.laptop, self.pod = laptop, pod

    @property
    def key(self):
        return self.who, self.transport

    @property
    def title(self):
        return f"{self.who} {self.transport}".strip()

    def pids(self):
        """{name: pid} of its own processes."""
        return {}

    def start(self):
        pass

    def close(self):
        pass


class Ends(Contender):
    """A contender that clients of the peer program go through."""

    far = False         # whether the client stands at the pod, so that what it sends goes to the laptop
    fresh = None        # {name: resident bytes} of its processes before any traffic

    def client(self, *words, timeout=120):
        raise NotImplementedError

    def bulk(self, direction, bytes_, conns):
        """That many bytes in all, over so many connections at once: {"mb_per_s"}."""
        up = (direction == "from") == self.far
        report = self.client("bulk-up" if up else "bulk-down", "bulk", "--bytes", bytes_, "--conns", conns)
        return checked(report, f"bulk {direction} the pod")

    def requests(self, count):
        """Microseconds of a request of 100 bytes and its answer: {"p50", "p99", ...}."""
        return checked(self.client("latency", "echo", "--size", 100, "--count", count), "requests")["us"]

    def connections(self, seconds, at_once):
        """New connections a second by so many clients, each with a byte there and back, and the microseconds of one:
        {"per_second", "us"}."""
        report = self.client("rate", "echo", "--seconds", seconds, "--conns", at_once)
        return checked({**report, "saw": report.get("last_failure")}, "new connections")


class Redirect(Ends):
    """`podgraft redirect`, as a user of its own with an agent of its own."""

    who = "podgraft"
    far = True

    def __init__(self, laptop, pod, home, transport, first_port):
        super().__init__(laptop, pod)
        self.transport = transport
        self.ports = {mode: first_port + i for i, mode in enumerate((*MODES, *MANY))}   # nothing in the pod listens there
        self.rates = itertools.cycle(RATES)
        self.user = At(laptop, home)
        self.running = None

    def start(self):
        local = {**self.laptop.ports, **dict.fromkeys(MANY, self.laptop.ports["echo"])}
        pairs = [f"{port}:{local[mode]}" for mode, port in self.ports.items()]
        self.running = self.user.redirect(f"pod/{self.pod.name}", *pairs, "--transport", self.transport, "--memory", "512Mi")
        self.agent = self.pod.pid(self.running.up["container"])
        self.fresh = {name: resident_bytes(pid) for name, pid in self.pids().items()}

    def client(self, *words, timeout=120):
        verb, mode, *options = words
        port = self.ports[next(self.rates) if verb == "rate" else mode]
        return peer(verb, self.pod.ip, port, *options, timeout=timeout)

    def crowd(self, *options):
        """The command line of a client that opens many connections."""
        return [PEER_BIN, "idle", self.pod.ip, self.ports["crowd"], *options]

    def pids(self):
        return {"podgraft": self.running.process.pid, "agent": self.agent}

    def close(self):
        self.user.close()


class At(Podgraft):
    """podgraft run on a laptop."""

    def __init__(self, laptop, home):
        super().__init__(laptop.cluster, home)
        self.laptop = laptop
        self.env["KUBECONFIG"] = laptop.env["KUBECONFIG"]

    def command(self, verb, *args):
        return self.laptop.command(*super().command(verb, *args))


class Forward(Ends):
    """`kubectl port-forward`."""

    who = "kubectl"

    def __init__(self, laptop, pod, transport):
        super().__init__(laptop, pod)
        self.transport = transport
        self.process = None

    def command(self, *pairs):
        return self.laptop.command("kubectl", "-n", self.laptop.cluster.namespace, "port-forward", f"pod/{self.pod.name}", *pairs)

    @property
    def env(self):
        return {**self.laptop.env, "KUBECTL_PORT_FORWARD_WEBSOCKETS": str(self.transport == "websocket").lower()}

    def start(self):
        self.close()
        self.process = subprocess.Popen(self.command(*(f":{PORTS[mode]}" for mode in MODES)), env=self.env, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.ports = {}
        while len(self.ports) < len(MODES):
            line = self.process.stdout.readline()
            if not line:
                raise Failed(f"{self.title} ended with {self.process.wait()}")
            if found := re.match(r"Forwarding from 127\.0\.0\.1:(\d+) -> (\d+)", line):
                self.ports[int(found[2])] = int(found[1])
        self.fresh = {name: resident_bytes(pid) for name, pid in self.pids().items()}

    def client(self, *words, timeout=120):
        verb, mode, *options = words
        if self.process.poll() is not None:
            self.start()  # it ends for less than we do
        return self.laptop.peer(verb, "127.0.0.1", self.ports[PORTS[mode]], *options, timeout=timeout)

    def connections(self, seconds, at_once):
        """By a kubectl that has just been started: one that has carried thousands of connections sometimes hangs for half a minute."""
        self.start()
        return super().connections(seconds, at_once)

    def crowd(self, *options):
        return self.laptop.command(PEER_BIN, "idle", "127.0.0.1", self.ports[PORTS["echo"]], *options)

    def pids(self):
        return {"kubectl": self.process.pid}

    def close(self):
        if self.process:
            stop(self.process)
            self.process.stdout.close()


class Lane(Contender):
    """bench-lane: podgraft's own transport with nothing above it, a lane for each connection."""

    who = "bare client"

    def __init__(self, laptop, pod, transport):
        super().__init__(laptop, pod)
        self.transport = transport

    def _run(self, port, *options):
        command = self.laptop.command(BIN / "bench-lane", "-n", self.laptop.cluster.namespace, "--transport", self.transport, *options,
                                      self.pod.name, PORTS[port])
        done = subprocess.run(command, env=self.laptop.env, text=True, capture_output=True, timeout=120, check=False)
        if done.returncode != 0:
            raise Failed(f"bench-lane: {done.stderr.strip()}")
        return checked(last_object(done.stdout), self.title)

    def bulk(self, direction, bytes_, conns):
        """The same, with its own "cpu_seconds"."""
        mode = {"from": "down", "to": "up"}[direction]
        return self._run("bulk", "--mode", mode, "--bytes", str(bytes_ // conns), "--conns", str(conns))

    def requests(self, count):
        return self._run("echo", "--mode", "latency", "--count", str(count))["us"]


class Plain(Contender):
    """TCP connections over the slow path, with no Kubernetes between: what the path itself gives."""

    who = "plain TCP"

    def bulk(self, direction, bytes_, conns):
        verb = {"from": "bulk-down", "to": "bulk-up"}[direction]
        report = self.laptop.peer(verb, self.laptop.outside, self.laptop.plain_port, "--bytes", bytes_, "--conns", conns)
        return checked(report, "plain TCP")


def contenders(laptop, pod, folder, transports=TRANSPORTS):
    """All of them on one laptop, not started yet."""
    found = [Redirect(laptop, pod, folder / f"{laptop.name}-{name}", name, 20000 + 10 * i) for i, name in enumerate(transports)]
    found += [Forward(laptop, pod, name) for name in KUBECTL_TRANSPORTS]
    found += [Lane(laptop, pod, name) for name in transports]
    return found + ([Plain(laptop, pod)] if laptop.outside else [])
