"""Faults under load: what clients of a pod notice while something dies, hangs or is cut off."""

import os
import signal
import subprocess
import time
from contextlib import contextmanager

from .cluster import TOP
from .pods import PORTS
from .sockets import who
from .tools import Load
from .waiting import stretched, until

HTTP = PORTS["http"]


class Clients(Load):
    """100 new connections a second to the pod, until told to end."""

    def __init__(self, pod, port=HTTP, rate=100):
        super().__init__(pod.ip, port, seconds=3600, rate=rate)
        time.sleep(1)  # so that there are connections of all ages when something happens


def lost_since(report, moment):
    """Connections that began after that time (of time.time()) and were not answered.

    Take the time once the fault is there: who is taken in by a laptop in the last millisecond is cut off with it.
    """
    assert report["failed"] == len(report["failures"]), f"more were lost than the report names: {report['failed']}"
    return [f for f in report["failures"] if f["begin_ms"] > moment * 1000 - report["start_unix_ms"]]


def answers(pod, name, timeout, port=HTTP):
    """Waits until that peer answers new clients; returns how long that took."""
    began = time.monotonic()
    until(lambda: who(pod.ip, port, timeout=0.5) == name, timeout=timeout, what=f"{name}'s answer")
    return time.monotonic() - began


@contextmanager
def stopped(pid):
    """SIGSTOP meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def lab(*words):
    subprocess.run([TOP / "e2e/lab/lab", *words], check=True, capture_output=True, timeout=stretched(120))


@contextmanager
def lab_without(part):
    """One part of the lab is down meanwhile; after that it answers again.

    Who makes pods, their accounts and the addresses of Services begins anew with the API server: by itself each would wait up to a minute
    before it tries again.
    """
    lab("stop", part)
    try:
        yield
    finally:
        lab("start", part)
        if part == "apiserver":
            for waiting in ("controller-manager", "scheduler", "kube-proxy"):
                lab("stop", waiting)
                lab("start", waiting)


def traces(pod, agent):
    """What is ours in the pod: its rules, and the sockets and children of the agent's process."""
    pid = pod.pid(agent)
    lines = pod.run_in_netns("ss", "-Htanp").splitlines()
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
        return [pod.rules(), *sorted(line for line in lines if f"pid={pid}," in line), *children.read().split()]


def await_idle(pod, agent, rules, timeout=2):
    """Waits until nothing is ours but the idle agent with its control port, and the rules are those."""
    def more():
        found = traces(pod, agent)
        control = pod.logs(agent).split("listening on ")[1].split()[0]
        return found if len(found) != 2 or found[0] != rules or f"{control} " not in found[1] else []
    until(lambda: not more(), timeout, what=lambda: f"an idle agent; there is {more()}")
