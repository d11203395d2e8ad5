"""The programs under test and around it: podgraft, kubectl, and peers on this machine."""

import contextlib
import json
import os
import queue
import random
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from .cluster import TOP
from .netns import inside
from .pods import PORTS, serve
from .sockets import serves
from .waiting import stretched, until

BIN = Path(os.environ.get("E2E_BIN", TOP / "build/dev/bin"))
PEER_BIN = Path(os.environ.get("E2E_PEER", TOP / "build/dev/bin/peer"))


_given = set()  # ports, which may not be in use yet


def free_port():
    """A port of this machine that nobody uses: none that the kernel gives to a connection, or Kubernetes to a Service, meanwhile."""
    while True:
        port = random.randrange(16000, 30000)
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            if port not in _given:
                _given.add(port)
                return port


def stop(process, signo=signal.SIGTERM, timeout=20):
    """Ends a process that a test started, and returns its exit code."""
    if process.poll() is None:
        process.send_signal(signo)
        try:
            process.wait(stretched(timeout))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return process.returncode


def entering(netns, *command):
    """The command line that runs a program on the network of that namespace; None: on this machine's."""
    return [*(["nsenter", f"--net={netns}"] if netns else []), *map(str, command)]


# --- peers on this machine, or on a pod's network ---

def peer_command(*args, pod=None):
    command = [str(PEER_BIN), *map(str, args)]
    return pod.entered(*command) if pod else command


def last_object(text):
    """The last line of JSON that a client printed."""
    return json.loads(text.strip().splitlines()[-1])


def peer(*args, timeout=120, pod=None):
    """Runs a client of the peer program, on the network of `pod` if one is given: what it reports."""
    done = subprocess.run(peer_command(*args, pod=pod), text=True, capture_output=True, timeout=stretched(timeout), check=False,
                          stdin=subprocess.DEVNULL)
    try:
        return last_object(done.stdout)
    except (ValueError, IndexError):
        return {"ok": False, "output": done.stdout, "error": done.stderr, "code": done.returncode}


def who_inside(pod, host, port, timeout_ms=5000):
    """Which peer answers a client on the pod's own network: its name, or None."""
    return peer("get", host, port, "--timeout-ms", timeout_ms, pod=pod).get("name")


class Load:
    """`peer load` in the background, on the network of `pod` if one is given: new connections at a rate, a request on each."""

    def __init__(self, host, port, seconds, rate=100, pod=None):
        self.process = subprocess.Popen(peer_command("load", host, port, "--rate", rate, "--seconds", seconds, pod=pod),
                                        text=True, stdout=subprocess.PIPE)

    def result(self):
        """Waits for the end: the report. Times in it are milliseconds since its "start_unix_ms"."""
        text, _ = self.process.communicate(timeout=stretched(120))
        return last_object(text)

    def end(self):
        """The report, once no connection is open any more."""
        self.process.send_signal(signal.SIGTERM)
        return self.result()

    def close(self):
        stop(self.process)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class LocalServer:
    """A peer on this machine that serves every mode, on ports of its own: the developer's program. `netns`: whose network."""

    def __init__(self, name="laptop", listen="127.0.0.1", ports=None, netns=None):
        for _ in range(3 if ports is None else 1):  # somebody else may be faster to a port that was free
            self.ports = ports or {mode: free_port() for mode in PORTS}
            specs = [spec.split(":") for spec in serve(name)[1:]]
            args = [":".join([mode, str(self.ports[mode]), *rest]) for mode, _, *rest in specs if mode in self.ports]
            command = entering(netns, PEER_BIN, "--listen", listen, "multi", *args)
            self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            until(lambda: self.process.poll() is not None or self._serves(netns, listen), what="a local server")
            if self.process.poll() is None:
                return
        raise AssertionError(f"the local server ended with {self.process.returncode}")

    def _serves(self, netns, listen):
        return all(inside(netns, serves, listen, port) for port in self.ports.values())

    def close(self):
        stop(self.process)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class PortForward:
    """`kubectl port-forward` to ports of a pod; `ports` maps them to those of this machine."""

    def __init__(self, cluster, pod, *ports):
        self.process = subprocess.Popen(["kubectl", "-n", cluster.namespace, "port-forward", f"pod/{pod.name}",
                                         *(f":{port}" for port in ports)], env=cluster.env, text=True, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL)
        self.ports = {}
        while len(self.ports) < len(ports):
            line = self.process.stdout.readline()
            if not line:
                raise AssertionError(f"kubectl port-forward ended with {self.process.wait()}")
            if found := re.match(r"Forwarding from 127\.0\.0\.1:(\d+) -> (\d+)", line):
                self.ports[int(found[2])] = int(found[1])

    def close(self):
        stop(self.process)
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# --- podgraft ---

class Podgraft:
    """podgraft with a home of its own: one user on one laptop, which is on this machine's network or that of `netns`."""

    def __init__(self, cluster, home, netns=None, **env):
        self.cluster = cluster
        self.netns = netns
        self.env = {**cluster.env, "XDG_STATE_HOME": str(home), "HOME": str(home), **env}
        self.graft = ["--image", cluster.image, "--pull-policy", os.environ.get("E2E_PULL_POLICY", "IfNotPresent")]
        self.running = []

    def command(self, verb, *args):
        return entering(self.netns, BIN / "podgraft", verb, "-n", self.cluster.namespace, *args)

    def run(self, verb, *args, timeout=60, env=None, stdin=subprocess.DEVNULL):
        """Runs to the end: a CompletedProcess with text."""
        return subprocess.run(self.command(verb, *args), env={**self.env, **(env or {})}, text=True, capture_output=True,
                              timeout=stretched(timeout), stdin=stdin, check=False)

    def redirect(self, *args, ready=True, timeout=60, env=None):
        """Starts `podgraft redirect`; returns it when it is up, with its "ready" event in `up`."""
        r = Redirect(self.command("redirect", "--output", "json", *self.graft, *args), {**self.env, **(env or {})})
        self.running.append(r)
        if ready:
            r.up = r.event("ready", timeout)
        return r

    def redirect_to(self, laptop, pod, *modes, options=()):
        """The same for ports of the usual pod and of a LocalServer, by the names of PORTS."""
        return self.redirect(f"pod/{pod.name}", *(f"{PORTS[mode]}:{laptop.ports[mode]}" for mode in modes), *options)

    def close(self):
        with contextlib.ExitStack() as all_of_them:
            for r in self.running:
                all_of_them.callback(r.close)


class Redirect:
    """A running `podgraft redirect --output json`."""

    def __init__(self, command, env):
        self.process = subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        stdin=subprocess.DEVNULL)
        self.up = None
        self.seen = []          # every object that was taken out of the queue
        self._objects, self._words = queue.Queue(), []
        self._objects_of, self._words_of = self.process.stdout, self.process.stderr
        if "--" in command:     # standard output is the program's
            self._objects_of, self._words_of = self._words_of, self._objects_of
        self._readers = [threading.Thread(target=self._read_objects, daemon=True),
                         threading.Thread(target=self._read_words, daemon=True)]
        for reader in self._readers:
            reader.start()

    def _read_objects(self):
        for line in self._objects_of:
            if line.startswith("{"):
                self._objects.put(line)
            else:
                self._words.append(line)

    def _read_words(self):
        for line in self._words_of:
            self._words.append(line)

    def _next(self, key, wanted, timeout):
        end = time.monotonic() + stretched(timeout)
        while True:
            ended = self.process.poll() is not None and not self._readers[0].is_alive()
            try:
                got = json.loads(self._objects.get(timeout=0.05))
            except queue.Empty:
                if ended or time.monotonic() > end:
                    raise AssertionError(f"no {wanted}; exit code {self.process.poll()}; saw {self.seen}; "
                                         f"said {''.join(self._words)}") from None
                continue
            self.seen.append(got)
            if key(got):
                return got

    def event(self, name, timeout=30):
        """The next event of that name; fails when the program ends before."""
        return self._next(lambda got: got.get("event") == name, f"event {name!r}", timeout)

    def counts(self, condition, timeout=30):
        """The next "counts" event that `condition` holds for."""
        return self._next(lambda got: got.get("event") == "counts" and condition(got), "such counts", timeout)

    def error(self, timeout=30):
        """The error that it reports: {"message", "hint", "class", "code"}."""
        return self._next(lambda got: "error" in got, "error", timeout)["error"]

    def said(self):
        """All that it has said so far: words, and the events that nobody has waited for."""
        return "".join([*self._words, *self._objects.queue])

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def wait(self, timeout=20):
        """The exit code, once it has ended by itself."""
        return self.process.wait(stretched(timeout))

    def stop(self, timeout=20):
        """Ctrl-C, and the exit code."""
        return stop(self.process, signal.SIGINT, timeout)

    def close(self):
        """Ends it without ceremony: Ctrl-C, once more for what is draining, and the hard way."""
        for signo in (signal.SIGINT, signal.SIGINT, signal.SIGKILL):
            if self.process.poll() is None:
                self.process.send_signal(signo)
                try:
                    self.process.wait(stretched(2))
                except subprocess.TimeoutExpired:
                    pass
        self.process.wait()
        if self.process.returncode in (99, -signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS):  # 99: a sanitizer's
            self._readers[1].join(5)
            raise AssertionError(f"podgraft ended with {self.process.returncode}:\n{''.join(self._words)}")
