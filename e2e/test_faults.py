"""A pod with a graft is never worse off than without: whatever dies or hangs, the app answers again."""

import os
import signal
import time

import pytest

from harness.pods import PORTS
from harness.sockets import who
from harness.tools import Load, LocalServer
from harness.waiting import stretched, until

HTTP = PORTS["http"]

pytestmark = pytest.mark.usefixtures("lab_only")


@pytest.fixture
def fresh(podgraft, pod, laptop):
    """A redirect with its pod as it was before: (redirect, rules before, listeners before)."""
    rules, listeners = pod.rules(), pod.listeners()
    r = podgraft.redirect_to(laptop, pod, "http")
    assert who(pod.ip, HTTP) == "laptop"
    return r, rules, listeners


def app_answers_within(pod, seconds):
    """The app answers again in that time, and then everybody who asks it."""
    until(lambda: who(pod.ip, HTTP, timeout=0.3) == "app", timeout=seconds, what="the app's answer")
    with Load(pod.ip, HTTP, seconds=1) as load:
        report = load.result()
    assert report["failed"] == 0 and list(report["names"]) == ["app"], report


def test_kill_of_the_agent_under_load_the_app_answers_within_1_s(pod, fresh):
    r, rules, listeners = fresh
    agent = pod.pid(r.up["container"])
    with Load(pod.ip, HTTP, seconds=4) as load:
        time.sleep(1)  # of load before the fault, so that there are connections of every age
        killed = time.time() * 1000
        os.kill(agent, signal.SIGKILL)
        report = load.result()
    limit = killed + stretched(1) * 1000 - report["start_unix_ms"]
    assert [f for f in report["failures"] if f["begin_ms"] > limit] == []
    assert report["names"]["laptop"]["last_ms"] < limit < report["names"]["app"]["last_ms"]
    assert report["longest_gap_ms"] < stretched(1) * 1000
    r.close()
    assert pod.rules() == rules
    assert pod.listeners() == listeners


def test_podgraft_says_that_its_agent_is_gone(pod, fresh):
    r, _, _ = fresh
    os.kill(pod.pid(r.up["container"]), signal.SIGKILL)
    r.event("lost", timeout=10)


def test_a_stopped_agent_the_app_answers_within_10_s(pod, fresh):
    r, _, _ = fresh
    agent = pod.pid(r.up["container"])
    os.kill(agent, signal.SIGSTOP)
    try:
        app_answers_within(pod, 10)
    finally:
        os.kill(agent, signal.SIGCONT)


def test_kill_of_podgraft_the_app_answers_within_15_s_and_nothing_is_left(pod, fresh):
    r, rules, _ = fresh
    r.kill()
    app_answers_within(pod, 15)
    pod.await_rules(rules)


def test_the_local_program_ends_and_the_app_answers(podgraft, pod):
    with LocalServer() as server:
        podgraft.redirect_to(server, pod, "http")
        assert who(pod.ip, HTTP) == "laptop"
    app_answers_within(pod, 1)
