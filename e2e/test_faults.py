"""A pod with a graft is never worse off than without: whatever dies or hangs, the app answers again."""

import contextlib
import os
import signal
import socket
import time

import pytest

from harness.faults import Clients, answers, await_idle, lost_since
from harness.pods import PORTS
from harness.sockets import dial, echoes, ending, who
from harness.tools import Load, LocalServer, free_port, who_inside
from harness.waiting import stretched, until

HTTP = PORTS["http"]

pytestmark = pytest.mark.usefixtures("lab_only")


@pytest.fixture
def fresh(podgraft, pod, laptop):
    """A redirect with the pod's rules as they were before: (redirect, rules)."""
    rules = pod.rules()
    r = podgraft.redirect_to(laptop, pod, "http")
    assert who(pod.ip, HTTP) == "laptop"
    return r, rules


def app_answers_within(pod, seconds):
    """The app answers again in that time, and then everybody who asks it."""
    until(lambda: who(pod.ip, HTTP, timeout=0.3) == "app", timeout=seconds, what="the app's answer")
    with Load(pod.ip, HTTP, seconds=1) as load:
        report = load.result()
    assert report["failed"] == 0 and list(report["names"]) == ["app"], report


def laptop_answers_within(pod, seconds):
    until(lambda: who(pod.ip, HTTP, timeout=1) == "laptop", timeout=seconds, what="the laptop's answer")


@pytest.mark.alone
def test_kill_of_the_agent_under_load_the_app_answers_within_1_s(pod, fresh):
    """And the laptop again, as soon as podgraft has grafted another agent."""
    r, rules = fresh
    agent = pod.pid(r.up["container"])
    with Clients(pod) as clients:
        killed = time.time()
        os.kill(agent, signal.SIGKILL)
        pod.await_rules(rules, timeout=1)
        r.event("lost", timeout=10)
        again = r.event("resumed", timeout=20)
        answers(pod, "laptop", 1)
        report = clients.end()
    assert again["container"] != r.up["container"] and not again["reused"]
    assert lost_since(report, killed + stretched(1)) == []
    assert report["names"]["app"]["first_ms"] < (killed + stretched(1)) * 1000 - report["start_unix_ms"]
    assert report["longest_gap_ms"] < stretched(1) * 1000
    assert r.stop() == 0
    await_idle(pod, again["container"], rules)


def test_an_agent_that_is_ending_takes_nobody_in(podgraft, pod, laptop):
    first = podgraft.redirect_to(laptop, pod, "echo")
    with dial(pod.ip, PORTS["echo"]) as held:  # so that it drains for a while
        assert echoes(held)
        os.kill(pod.pid(first.up["container"]), signal.SIGTERM)
        until(lambda: "podgraft-tcp" not in pod.rules(), timeout=2, what="the end of its claim")
        second = podgraft.redirect_to(laptop, pod, "http")
        assert not second.up["reused"] and second.up["container"] != first.up["container"]
        assert who(pod.ip, HTTP) == "laptop"


def test_an_agent_that_is_told_to_end_leaves_5_s_to_open_connections(podgraft, pod, laptop):
    r = podgraft.redirect_to(laptop, pod, "http", "echo")
    with dial(pod.ip, PORTS["echo"], timeout=10) as held:
        assert echoes(held)
        told = time.monotonic()
        os.kill(pod.pid(r.up["container"]), signal.SIGTERM)
        answers(pod, "app", 1)
        assert echoes(held)
        ending(held)
        assert 4 < time.monotonic() - told < stretched(7)


def test_a_stopped_agent_the_app_answers_within_10_s_until_it_goes_on(pod, fresh):
    r, _ = fresh
    agent = pod.pid(r.up["container"])
    os.kill(agent, signal.SIGSTOP)
    try:
        app_answers_within(pod, 10)
    finally:
        os.kill(agent, signal.SIGCONT)
    laptop_answers_within(pod, 20)


def test_killed_and_started_again_at_once_it_takes_its_port_again(podgraft, pod, laptop):
    podgraft.redirect_to(laptop, pod, "http").kill()
    podgraft.redirect_to(laptop, pod, "http")
    assert who(pod.ip, HTTP) == "laptop"


def test_no_client_is_lost_when_the_local_program_stops_under_load_and_is_started_again(podgraft, pod):
    rules = pod.rules()
    with LocalServer() as server:
        r = podgraft.redirect_to(server, pod, "http")
        answers(pod, "laptop", 1)
        with Clients(pod) as clients:
            server.close()
            gone = time.time()
            answers(pod, "app", 1)
            with LocalServer(ports=server.ports):
                answers(pod, "laptop", 5)
                report = clients.end()
    assert lost_since(report, gone) == []
    assert r.stop() == 0
    await_idle(pod, r.up["container"], rules)


@pytest.fixture
def hung_port():
    """Of a local program that accepts nobody, so the kernel takes no more connections for it."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as hung, contextlib.ExitStack() as waiting:
        with contextlib.suppress(TimeoutError):
            while True:
                waiting.enter_context(socket.create_connection(hung.getsockname(), timeout=0.3))
        yield hung.getsockname()[1]


def test_a_local_program_that_hangs_is_as_good_as_none(podgraft, pod, hung_port):
    """After a second the app is asked."""
    podgraft.redirect(f"pod/{pod.name}", f"{HTTP}:{hung_port}")
    began = time.monotonic()
    assert who(pod.ip, HTTP) == "app"
    assert 0.9 < time.monotonic() - began < stretched(2)


def test_whom_the_app_serves_after_the_end_of_the_redirect_is_in_its_totals(podgraft, shared_pod, hung_port):
    """The local program had been asked, and the redirect was over before it was known that it does not answer."""
    r = podgraft.redirect(f"pod/{shared_pod.name}", f"{PORTS['echo']}:{hung_port}")
    with dial(shared_pod.ip, PORTS["echo"], timeout=15) as client:
        assert r.stop() == 0
        assert echoes(client)
    ended = r.event("ended")
    assert (ended["connections"], ended["laptop"], ended["app"]) == (1, 0, 1), ended


def test_what_listens_on_the_pods_loopback_alone_is_never_shown_to_others(podgraft, pod):
    """What the local program does not take goes where the client was going."""
    port = free_port()
    with LocalServer("hidden", ports={"http": port}, netns=pod.netns):
        r = podgraft.redirect(f"pod/{pod.name}", f"{port}:{free_port()}")
        assert who(pod.ip, port) is None
        r.counts(lambda n: n["parked"] == 1, timeout=5)
        assert who(pod.ip, port) is None and who_inside(pod, "127.0.0.1", port) == "hidden"


def test_no_fallback_resets_what_the_local_program_does_not_take(podgraft, pod):
    r = podgraft.redirect(f"pod/{pod.name}", f"{HTTP}:{free_port()}", "--no-fallback")
    assert r.event("warning")["message"].endswith(f"until somebody does, connections to port {HTTP} are reset")
    assert who(pod.ip, HTTP) is None
