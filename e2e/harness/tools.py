"""The programs under test and around it: podgraft, and peers on this machine."""

import json
import os
import queue
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from .cluster import TOP
from .pods import PORTS, serve, stop, until

BIN = Path(os.environ.get("E2E_BIN", TOP / "build/dev/bin"))
PEER_BIN = Path(os.environ.get("E2E_PEER", TOP / "build/dev/bin/peer"))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def peer(*args, timeout=120, netns_pid=None):
    """Runs a client of the peer program on this machine (or in a pod's network namespace); its last JSON line."""
    command = [str(PEER_BIN), *map(str, args)]
    if netns_pid:
        command = ["nsenter", f"--net=/proc/{netns_pid}/ns/net", *command]
    done = subprocess.run(command, text=True, capture_output=True, timeout=timeout)
    try:
        return json.loads(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return {"ok": False, "output": done.stdout, "error": done.stderr, "code": done.returncode}


def who(host, port, timeout_ms=5000, **more):
    """Which server answers at host:port: the name that the peer's http mode gives itself, or None."""
    command = [str(PEER_BIN), "get", str(host), str(port), "--path", "/", "--timeout-ms", str(timeout_ms)]
    if more.get("netns_pid"):
        command = ["nsenter", f"--net=/proc/{more['netns_pid']}/ns/net", *command]
    done = subprocess.run(command, text=True, capture_output=True, timeout=timeout_ms / 1000 + 5)
    match = re.search(r'"name"\s*:\s*"([^"]*)"', done.stdout)
    return match.group(1) if match else None


class LocalServer:
    """A peer on this machine that serves every mode, on ports of its own: the developer's program."""

    def __init__(self, name="laptop", listen="127.0.0.1"):
        self.ports = {mode: free_port() for mode in PORTS}
        specs = [spec.split(":") for spec in serve(name)[1:]]
        args = [":".join([mode, str(self.ports[mode]), *rest]) for mode, _, *rest in specs]
        self.process = subprocess.Popen([PEER_BIN, "--listen", listen, "multi", *args], stdout=subprocess.DEVNULL)
        for port in self.ports.values():
            until(lambda: self._listens(listen, port), what=f"local server on {port}")

    @staticmethod
    def _listens(host, port):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as s:
            return s.connect_ex((host, port)) == 0

    def close(self):
        stop(self.process)


class Podgraft:
    """podgraft with a home of its own: one user on one laptop."""

    def __init__(self, cluster, home, **env):
        self.cluster = cluster
        self.home = home
        self.env = {**cluster.env, "XDG_STATE_HOME": str(home), "HOME": str(home), **env}
        self.running = []

    def run(self, *args, timeout=60, env=None, stdin=None):
        """Runs to the end: a CompletedProcess with text."""
        return subprocess.run([BIN / "podgraft", *map(str, args), "-n", self.cluster.namespace] if "--" not in args else
                              [BIN / "podgraft", args[0], "-n", self.cluster.namespace, *map(str, args[1:])],
                              env={**self.env, **(env or {})}, text=True, capture_output=True, timeout=timeout, stdin=stdin or subprocess.DEVNULL)

    def redirect(self, *args, ready=True, timeout=60, **more):
        """Starts `podgraft redirect` and waits until it is up."""
        r = Redirect(self, args, **more)
        self.running.append(r)
        if ready:
            r.event("ready", timeout)
        return r

    def close(self):
        for r in self.running:
            r.close()


class Redirect:
    """A running `podgraft redirect --output json`."""

    def __init__(self, owner, args, env=None):
        image = ["--image", owner.cluster.image, "--pull-policy", os.environ.get("E2E_PULL_POLICY", "IfNotPresent")]
        self.process = subprocess.Popen(
            [BIN / "podgraft", "redirect", "-n", owner.cluster.namespace, "--output", "json", *image, *map(str, args)],
            env={**owner.env, **(env or {})}, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.events, self.errors = queue.Queue(), []
        self.seen = []
        for stream, sink in ((self.process.stdout, self._event), (self.process.stderr, self.errors.append)):
            threading.Thread(target=lambda s=stream, k=sink: [k(line) for line in s], daemon=True).start()

    def _event(self, line):
        self.events.put(json.loads(line))

    def event(self, name, timeout=30):
        """The next event of that name; fails when the program ends before."""
        end = time.monotonic() + timeout
        while True:
            try:
                got = self.events.get(timeout=0.1)
            except queue.Empty:
                ended = self.process.poll() is not None and self.events.empty()
                if ended or time.monotonic() > end:
                    raise AssertionError(f"no event {name!r}; code {self.process.poll()}; saw {self.seen}; said {''.join(self.errors)}")
                continue
            self.seen.append(got)
            if got.get("event") == name:
                return got

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, timeout=20):
        """Ctrl-C, and the exit code."""
        return stop(self.process, signal.SIGINT, timeout)

    def close(self):
        stop(self.process)
