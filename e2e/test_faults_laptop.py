"""Whatever happens to podgraft on the laptop, with 100 new connections a second: none that begins afterwards is lost.

The first test puts a laptop to sleep, and the last one wakes it up: it sleeps while the others run.
"""

import contextlib
import os
import signal
import subprocess
import time

import pytest

from harness.away import Away
from harness.faults import Clients, answers, await_idle, lost_since, stopped
from harness.netns import inside
from harness.pods import PORTS, make_pod
from harness.sockets import dial, read_exactly, who
from harness.tools import LocalServer
from harness.waiting import stretched, until

pytestmark = pytest.mark.usefixtures("lab_only")

VERDICT = 10        # seconds: a link without a sign of life is dead
AT_ONCE = 0.5       # and what follows from that


@pytest.fixture
def away(lab_only, cluster, tmp_path):
    with Away(cluster, tmp_path) as link:
        yield link


@pytest.fixture
def far_redirect(away, pod):
    """A redirect from that laptop, with the pod's rules as they were before: (redirect, rules)."""
    rules = pod.rules()
    with away.redirect(pod, "http") as r:
        answers(pod, "laptop", 1)
        yield r, rules


@pytest.fixture(scope="module")
def clean(shared_pod):
    """The pod's rules before any redirect."""
    return shared_pod.rules()


@pytest.fixture
def redirect(clean, same_user, shared_pod, laptop):
    r = same_user.redirect_to(laptop, shared_pod, "http")
    answers(shared_pod, "laptop", 1)
    return r


class Sleeper:
    """A laptop with a redirect, which sleeps from now on: it does not run, and its network is gone. The pod has its clients."""

    def __init__(self, away, redirect, pod, rules):
        self.away, self.redirect, self.pod, self.rules = away, redirect, pod, rules
        self.clients = Clients(pod, rate=20)
        away.cut()
        os.kill(redirect.process.pid, signal.SIGSTOP)
        self.since = time.time()

    def wake_up(self):
        self.away.mend()
        os.kill(self.redirect.process.pid, signal.SIGCONT)

    def close(self):
        self.clients.close()
        if self.redirect.process.poll() is None:
            self.wake_up()


@pytest.fixture(scope="module")
def sleeper(lab_only, cluster, tmp_path_factory):
    pod = make_pod(cluster)
    rules = pod.rules()
    with Away(cluster, tmp_path_factory.mktemp("asleep")) as away, away.redirect(pod, "http") as r:
        answers(pod, "laptop", 1)
        with contextlib.closing(Sleeper(away, r, pod, rules)) as asleep:
            yield asleep
    pod.delete()


def test_a_laptop_that_falls_asleep_gives_its_port_back(sleeper):
    answers(sleeper.pod, "app", 5)
    sleeper.pod.await_rules(sleeper.rules, timeout=11)


def test_kill_of_podgraft_loses_nobody_who_comes_later_and_leaves_the_idle_agent_alone(redirect, shared_pod, clean):
    with Clients(shared_pod) as clients:
        redirect.kill()
        killed = time.time()
        answers(shared_pod, "app", 15)
        shared_pod.await_rules(clean, timeout=15)
        report = clients.end()
    assert lost_since(report, killed) == []
    await_idle(shared_pod, redirect.up["container"], clean)


def test_podgraft_stopped_for_30_s_fails_open_and_returns_by_itself(redirect, shared_pod, clean):
    with Clients(shared_pod) as clients:
        with stopped(redirect.process.pid):
            began = time.time()
            answers(shared_pod, "app", 10)
            shared_pod.await_rules(clean, timeout=12)
            time.sleep(max(0, began + 30 - time.time()))
        answers(shared_pod, "laptop", 10)
        report = clients.end()
    assert lost_since(report, began) == []
    assert redirect.stop() == 0
    await_idle(shared_pod, redirect.up["container"], clean)


def test_podgraft_that_wakes_up_when_its_agent_has_ended_grafts_another(podgraft, pod, laptop):
    r = podgraft.redirect_to(laptop, pod, "http", options=["--idle", "3s"])
    with stopped(r.process.pid):
        until(lambda: pod.agents() == [], timeout=25, what="the end of the agent that nobody needs")
    again = r.event("resumed", 20)
    assert not again["reused"] and again["container"] != r.up["container"]
    answers(pod, "laptop", 1)


@pytest.mark.parametrize("signo", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_give_the_port_back_at_once_and_lose_nobody(redirect, shared_pod, clean, signo):
    with Clients(shared_pod) as clients:
        sent = time.time()
        redirect.process.send_signal(signo)
        assert redirect.wait(3) == 0
        shared_pod.await_rules(clean)
        report = clients.end()
    assert report["failed"] == 0, report
    assert report["names"]["app"]["first_ms"] < (sent + stretched(1)) * 1000 - report["start_unix_ms"]
    await_idle(shared_pod, redirect.up["container"], clean)


def test_a_link_cut_without_a_fin_is_known_within_10_s_and_returns_when_it_is_whole(away, far_redirect, pod):
    r, rules = far_redirect
    with Clients(pod) as clients:
        away.cut()
        cut = time.time()
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


def test_a_laptop_that_changes_its_network_is_back_before_the_agent_has_missed_it_and_counts_nobody_twice(away, far_redirect, pod):
    r, _ = far_redirect
    r.counts(lambda counts: counts["laptop"] > 0)
    away.cut()
    inside(away.netns, subprocess.run, ["ss", "-K", "dport", "=", away.port])  # the far end does not hear of it
    away.mend()
    r.event("lost", 5)
    assert r.event("resumed", 5)["reused"]
    answers(pod, "laptop", 1)
    r.interrupt()
    ended = r.event("ended")
    assert ended["laptop"] == ended["connections"] and ended["app"] == 0, ended
    assert r.wait() == 0


def test_of_two_users_one_is_killed_and_the_other_notices_nothing(redirect, another_user, shared_pod, clean):
    greet = PORTS["greet"]
    with LocalServer("other-laptop") as other:
        theirs = another_user.redirect(f"pod/{shared_pod.name}", f"{greet}:{other.ports['http']}")
        with dial(shared_pod.ip, greet) as held, Clients(shared_pod) as mine, Clients(shared_pod, greet) as others:
            redirect.kill()
            killed = time.time()
            answers(shared_pod, "app", 15)
            until(lambda: "8080" not in shared_pod.rules(), timeout=15, what="the end of the killed one's rules")
            assert lost_since(mine.end(), killed) == []
            report = others.end()
            held.sendall(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
            assert read_exactly(held, 15) == b"HTTP/1.1 200 OK"
        assert report["failed"] == 0 and list(report["names"]) == ["other-laptop"], report
        assert theirs.stop() == 0
    shared_pod.await_rules(clean)


def test_a_laptop_that_has_slept_for_two_minutes_finds_its_redirect_again(sleeper):
    """And all the while its pod has served everybody."""
    time.sleep(max(0, sleeper.since + 120 - time.time()))
    assert who(sleeper.pod.ip, PORTS["http"]) == "app" and sleeper.pod.rules() == sleeper.rules
    sleeper.wake_up()
    assert sleeper.redirect.event("resumed", 15)["reused"]
    answers(sleeper.pod, "laptop", 1)
    report = sleeper.clients.end()
    assert lost_since(report, sleeper.since) == [] and report["ok"] > 2000, report
    assert sleeper.redirect.stop() == 0
    await_idle(sleeper.pod, sleeper.redirect.up["container"], sleeper.rules)
