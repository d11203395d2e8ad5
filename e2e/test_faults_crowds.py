"""Many connections at once, and many one after another: all of them reach the laptop, none is lost."""

import pytest

from harness.faults import answers
from harness.pods import PORTS
from harness.tools import Load, peer
from harness.waiting import SLOW

pytestmark = [pytest.mark.alone, pytest.mark.usefixtures("lab_only")]

SECONDS = 60 if SLOW == 1 else 20  # sanitized programs show something else


@pytest.fixture
def redirect(same_user, shared_pod, laptop):
    """With an agent that may hold 10,000 connections that all stand still."""
    r = same_user.redirect_to(laptop, shared_pod, "http", "echo", options=["--memory", "512Mi"])
    answers(shared_pod, "laptop", 1)
    return r


def test_ten_thousand_connections_at_once(redirect, shared_pod):
    got = peer("idle", shared_pod.ip, PORTS["echo"], "--conns", 10000, "--timeout-ms", 20000)
    assert got["ok"] and got["conns"] == 10000, got
    assert redirect.stop() == 0
    ended = redirect.event("ended")
    assert ended["connections"] >= 10000 and ended["refused"] == 0, ended


def test_two_hundred_new_connections_a_second_and_none_is_lost(redirect, shared_pod):
    with Load(shared_pod.ip, PORTS["http"], SECONDS, rate=200) as load:
        report = load.result()
    assert report["failed"] == report["late"] == 0, report
    assert list(report["names"]) == ["laptop"] and report["ok"] == 200 * SECONDS, report
    assert redirect.stop() == 0
