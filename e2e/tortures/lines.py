"""The two lines that are tortured: through each, clients on one side reach a program on the other.

A redirect's clients stand at the pod and its program at the laptop; with kubectl port-forward it is the other way round.
"""

import contextlib
import json
import os
import signal
import subprocess
import time

from harness.netns import inside
from harness.pods import PORTS
from harness.sockets import Listener, dial, echoes, read_exactly, who
from harness.tools import LocalServer, Podgraft, PortForward, free_port, peer, peer_command, stop
from harness.waiting import stretched, until

PLAYED = 7100                       # of the pod; nothing in it listens there
MODES = ("http", "echo", "bulk")    # what the program serves


class Line:
    """Joins a host and ports that clients dial to a listener and a program that serve."""

    name = ""
    host = ""           # that clients dial

    def played(self):
        """The port that leads to the listener."""
        raise NotImplementedError

    def port(self, mode):
        """The port that leads to that mode of the program."""
        raise NotImplementedError

    @contextlib.contextmanager
    def joined(self, host=None):
        """A client's socket, and the listener's for the same connection. `host`: another name of the same address."""
        with dial(host or self.host, self.played()) as client:
            client.sendall(b"!")
            with self.listener.accept() as server:
                assert read_exactly(server, 1) == b"!"
                yield client, server

    def peer(self, verb, mode, *options):
        return peer(verb, self.host, self.port(mode), *options, timeout=90)

    def idle_client(self):
        """A client of the listener as a process of its own, and the listener's socket for it."""
        process = subprocess.Popen(peer_command("idle", self.host, self.played(), "--conns", 1), stdin=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL)
        server = self.listener.accept()
        return process, server

    def works(self):
        """Whether a new connection reaches the listener."""
        try:
            with self.joined() as (client, server):
                server.sendall(b"?")
                return read_exactly(client, 1) == b"?"
        except (OSError, AssertionError):
            return False

    def serves(self):
        """Whether a new connection reaches the program."""
        try:
            with dial(self.host, self.port("echo"), timeout=2) as s:
                return echoes(s)
        except (OSError, AssertionError):
            return False

    def said(self):
        """What the tool said so far, for those who look for the reason of a failure."""
        return ""

    def has_ended(self):
        return self.process.poll() is not None

    def aftermath(self):
        """What a case did to the line itself: "" when it goes on. It is mended then."""
        if self.works():
            return ""
        end = time.monotonic() + stretched(2)
        while not self.has_ended() and time.monotonic() < end:
            time.sleep(0.1)
        words = f"{self.name} ended" if self.has_ended() else "later connections get nothing"
        self.restart()
        return words


class RedirectLine(Line):
    name = "podgraft"

    def __init__(self, cluster, pod, home):
        self.pod = pod
        self.host = pod.ip
        self.listener = Listener("::")
        self.program = LocalServer(ports={mode: free_port() for mode in MODES})
        self.rules = pod.rules()
        self.user = Podgraft(cluster, home)
        self.start()

    def start(self):
        pairs = [f"{PORTS[mode]}:{self.program.ports[mode]}" for mode in MODES]
        self.redirect = self.user.redirect(f"pod/{self.pod.name}", f"{PLAYED}:{self.listener.port}", *pairs, "--memory", "512Mi")
        self.process = self.redirect.process

    def restart(self):
        self.redirect.close()
        self.start()

    def played(self):
        return PLAYED

    def port(self, mode):
        return PORTS[mode]

    def said(self):
        return self.redirect.said()

    def agent(self):
        return self.pod.pid(self.redirect.up["container"])

    def answered_by(self):
        """Who answers HTTP at the pod: "laptop", "app", or None."""
        return who(self.host, PORTS["http"], timeout=0.3)

    def kill_program(self):
        self.program.process.kill()
        self.program.process.wait()

    def start_program(self):
        self.program = LocalServer(ports=self.program.ports)

    def close(self):
        self.user.close()
        self.program.close()
        self.listener.close()


class ForwardLine(Line):
    name = "kubectl"
    host = "127.0.0.1"
    app_port = PORTS["echo"]    # of the pod's own program

    def __init__(self, cluster, pod):
        self.cluster, self.pod = cluster, pod
        self.listener = inside(pod.netns, Listener, "::")
        self.ports = {mode: inside(pod.netns, free_port) for mode in MODES}
        self.start_program()
        self.start()

    def start(self):
        self.forward = PortForward(self.cluster, self.pod, self.listener.port, *self.ports.values(), self.app_port)
        self.process = self.forward.process

    def restart(self):
        self.forward.close()
        self.start()

    def played(self):
        return self.forward.ports[self.listener.port]

    def port(self, mode):
        return self.forward.ports[self.ports[mode]]

    def kill_program(self):
        self.program.kill()
        self.program.wait()
        self.program.stdout.close()

    def start_program(self):
        """Serves on the pod's network, but outside its container, so that it can be killed alone."""
        words = [f"{mode}:{port}" for mode, port in self.ports.items()]
        self.program = subprocess.Popen(peer_command("multi", *words, pod=self.pod), text=True, stdout=subprocess.PIPE)
        for _ in words:
            json.loads(self.program.stdout.readline())

    def close(self):
        self.forward.close()
        stop(self.program)
        self.program.stdout.close()
        self.listener.close()


def kill_app(pod):
    """Kills the pod's own program. The next function waits until the kubelet has started it again."""
    killed = pod.container()["containerID"]
    os.kill(pod.cluster.container_pid(killed), signal.SIGKILL)
    return killed


def await_app(pod, killed):
    def is_back():
        status = pod.container()
        return "running" in status["state"] and status["containerID"] != killed
    until(is_back, timeout=60, what="the app's container")
