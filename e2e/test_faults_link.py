"""The link is cut and nobody is told: both ends notice within 10 s, clients notice nothing, and it comes back by itself."""

import os
import signal
import time

import pytest

from harness.away import Away
from harness.faults import Clients, answers, await_idle, lost_since
from harness.tools import LocalServer, Podgraft
from harness.waiting import stretched

pytestmark = pytest.mark.usefixtures("lab_only")

VERDICT = 10        # seconds: a link without a sign of life is dead
AT_ONCE = 0.5       # and what follows from that


@pytest.fixture
def away(lab_only, cluster, tmp_path):
    with Away(cluster, tmp_path) as link:
        yield link


@pytest.fixture
def far_redirect(away, cluster, pod, tmp_path):
    """A redirect from that laptop, with the pod's rules as they were before: (redirect, rules)."""
    rules = pod.rules()
    user = Podgraft(cluster, tmp_path, away.netns, **away.env)
    with LocalServer(netns=away.netns) as laptop:
        r = user.redirect_to(laptop, pod, "http")
        answers(pod, "laptop", 1)
        yield r, rules
        away.mend()
        user.close()


def test_a_link_cut_without_a_fin_is_known_within_10_s_and_returns_when_it_is_whole(away, far_redirect, pod):
    r, rules = far_redirect
    with Clients(pod) as clients:
        cut = time.time()
        away.cut()
        answers(pod, "app", 5)
        r.event("lost", VERDICT + AT_ONCE)
        assert time.time() - cut < stretched(VERDICT + AT_ONCE)
        pod.await_rules(rules, timeout=cut + VERDICT + AT_ONCE - time.time())
        time.sleep(max(0, cut + 15 - time.time()))  # attempts to come back meet the cut as well
        away.mend()
        assert r.event("resumed", 15)["reused"]
        answers(pod, "laptop", 1)
        report = clients.end()
    assert lost_since(report, cut) == []
    assert r.stop() == 0
    await_idle(pod, r.up["container"], rules)


def test_a_laptop_that_sleeps_finds_its_redirect_again_when_it_wakes_up(away, far_redirect, pod):
    """It does not run, its network is gone, and when it wakes up its clocks have jumped."""
    r, rules = far_redirect
    with Clients(pod) as clients:
        asleep = time.time()
        away.cut()
        os.kill(r.process.pid, signal.SIGSTOP)
        try:
            answers(pod, "app", 5)
            pod.await_rules(rules, timeout=VERDICT + AT_ONCE)
        finally:
            away.mend()
            os.kill(r.process.pid, signal.SIGCONT)
        assert r.event("resumed", 15)["reused"]
        answers(pod, "laptop", 1)
        report = clients.end()
    assert lost_since(report, asleep) == []
    assert r.stop() == 0
    await_idle(pod, r.up["container"], rules)
