"""Whose port it is: take-over, status, undo, and events."""

import os
import signal

import pytest

from harness.pods import PORTS
from harness.sockets import dial, read_exactly, who
from harness.tools import Load, LocalServer
from harness.waiting import until

HTTP, ECHO = PORTS["http"], PORTS["echo"]


@pytest.fixture(scope="module")
def desk():
    """Another developer's program."""
    with LocalServer("desk") as server:
        yield server


# --- take-over ---

def test_a_port_is_taken_over_under_load_without_a_lost_connection_and_the_holder_is_told(podgraft, another_user, pod, laptop, desk):
    first = podgraft.redirect_to(laptop, pod, "http", "echo", "greet")
    with dial(pod.ip, ECHO) as open_one:
        open_one.sendall(b"before")
        assert read_exactly(open_one, 6) == b"before"
        with Load(pod.ip, HTTP, seconds=2) as load:
            another_user.redirect_to(desk, pod, "http", "echo", options=["--take-over"])
            assert {(e["port"], "@" in e["by"]) for e in (first.event("taken"), first.event("taken"))} == {(HTTP, True), (ECHO, True)}
            assert who(pod.ip, HTTP) == "desk"
            report = load.result()
        assert report["failed"] == 0, report
        open_one.sendall(b"after")  # what was open goes on to its end
        assert read_exactly(open_one, 5) == b"after"
    with dial(pod.ip, PORTS["greet"]) as s:  # and so do the other ports
        assert read_exactly(s, 18) == b"hello from laptop\n"
    assert "podgraft-takeover" not in pod.rules()
    assert first.stop() == 0


def test_who_has_no_port_left_ends_and_says_why(podgraft, another_user, pod, laptop, desk):
    first = podgraft.redirect_to(laptop, pod, "http")
    another_user.redirect_to(desk, pod, "http", options=["--take-over"])
    error = first.error()
    assert f"port {HTTP} was taken over by" in error["message"] and "--take-over" in error["hint"] and error["code"] == 4
    assert first.wait() == 4
    assert who(pod.ip, HTTP) == "desk"


def test_a_port_of_ones_own_other_podgraft_is_taken_over_too(podgraft, pod, laptop, desk):
    first = podgraft.redirect_to(laptop, pod, "http", "greet")
    podgraft.redirect_to(desk, pod, "http", options=["--take-over"])
    assert first.event("taken")["port"] == HTTP
    assert who(pod.ip, HTTP) == "desk"
    assert len(pod.agents()) == 1
    assert first.stop() == 0
    assert who(pod.ip, HTTP) == "desk"


@pytest.mark.usefixtures("lab_only")
def test_a_stopped_agent_loses_its_port_with_its_lease_and_does_not_get_it_back(podgraft, another_user, pod, laptop, desk):
    first = podgraft.redirect_to(laptop, pod, "http")
    pid = pod.pid(pod.agents()[0])
    os.kill(pid, signal.SIGSTOP)
    try:
        another_user.redirect_to(desk, pod, "http", options=["--take-over"])
        assert who(pod.ip, HTTP) == "desk"
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: "podgraft-takeover" not in pod.rules(), what="the claim to be the taker's own")
    assert pod.rules().count("podgraft-tcp-8080") == 1
    assert first.up and who(pod.ip, HTTP) == "desk"
