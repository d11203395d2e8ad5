"""Connections do not notice each other, however many there are and however badly some behave."""

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.pods import PORTS
from harness.sockets import dial, who
from harness.tools import peer
from harness.waiting import stretched

ENDLESS = b"down 1099511627776 1\n"


@contextlib.contextmanager
def never_reading(pod, count):
    """Clients that ask for a terabyte and never read a byte of it."""
    with contextlib.ExitStack() as all_of_them:
        for _ in range(count):
            s = all_of_them.enter_context(dial(pod.ip, PORTS["bulk"], receive_buffer=4096))
            s.sendall(ENDLESS)
        yield


@contextlib.contextmanager
def never_read(pod, count):
    """Clients of a server that never reads, which send until nothing more is taken."""
    with contextlib.ExitStack() as all_of_them:
        for _ in range(count):
            s = all_of_them.enter_context(dial(pod.ip, PORTS["stall"]))
            s.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    s.send(bytes(65536))
        yield


def assert_lively(pod):
    """Requests, new connections and bulk, all at the pace that people expect."""
    requests = peer("latency", pod.ip, PORTS["echo"], "--count", 200)
    assert requests["ok"] and requests["us"]["p99"] < stretched(0.2) * 1e6, requests
    assert who(pod.ip, PORTS["http"], timeout=1) == "laptop"
    bulk = peer("bulk-down", pod.ip, PORTS["bulk"], "--bytes", 32 << 20)
    assert bulk["ok"] and bulk["seconds"] < stretched(5), bulk


@pytest.mark.parametrize("count", [1, 20])
def test_clients_that_never_read_beside_lively_ones(redirected, count):
    with never_reading(redirected, count):
        assert_lively(redirected)


@pytest.mark.parametrize("count", [1, 20])
def test_local_programs_that_never_read_beside_lively_ones(redirected, count):
    with never_read(redirected, count):
        assert_lively(redirected)


@pytest.mark.alone
def test_a_thousand_connections_at_once(redirected):
    got = peer("idle", redirected.ip, PORTS["echo"], "--conns", 1000)
    assert got["ok"] and got["conns"] == 1000, got


@pytest.mark.alone
def test_a_connection_is_lively_beside_a_thousand(redirected):
    with contextlib.ExitStack() as crowd:
        for _ in range(1000):
            crowd.enter_context(dial(redirected.ip, PORTS["greet"]))
        assert_lively(redirected)


def test_64_that_trickle_at_the_control_port_do_not_keep_a_redirect_out(lab_only, podgraft, pod, laptop):
    first = podgraft.redirect_to(laptop, pod, "http")
    control = int(pod.logs(first.up["container"]).split("127.0.0.1:")[1].split()[0])
    tricklers = subprocess.Popen(pod.entered(sys.executable, Path(__file__).parent / "harness/tricklers.py", "127.0.0.1", control, 64),
                                 stdout=subprocess.PIPE)
    try:
        assert tricklers.stdout.readline() == b"64 connected\n"
        assert who(pod.ip, PORTS["http"]) == "laptop"
        second = podgraft.redirect(f"pod/{pod.name}", f"{PORTS['greet']}:{laptop.ports['greet']}", timeout=10)
        assert second.up["reused"]
        assert tricklers.poll() is None
    finally:
        tricklers.send_signal(signal.SIGKILL)
        tricklers.wait()
