"""When memory or descriptors run out, in the pod or on the laptop, the app serves, nobody is lost, and it goes on by itself."""

import contextlib
import os
import resource
import time

import pytest

from harness.faults import HTTP, Clients, answers, await_idle, stopped
from harness.lanes import Lanes
from harness.pods import PORTS
from harness.sockets import dial, ending
from harness.waiting import until

pytestmark = pytest.mark.usefixtures("lab_only")


@contextlib.contextmanager
def crowd(pod, count):
    """So many clients, who come one after the other and stay, unless they are reset."""
    with contextlib.ExitStack() as all_of_them:
        for _ in range(count):
            with contextlib.suppress(ConnectionResetError):
                all_of_them.enter_context(dial(pod.ip, PORTS["echo"]))
            time.sleep(0.005)
        yield


def assert_parks_and_returns(r, pod, count):
    """Under 100 connections a second: a crowd parks the redirect, and its end brings it back. Nobody is lost."""
    with Clients(pod) as clients:
        with crowd(pod, count):
            r.counts(lambda n: n["parked"] > 0, timeout=10)
            answers(pod, "app", 2)
        r.counts(lambda n: n["parked"] == 0, timeout=10)
        answers(pod, "laptop", 2)
        report = clients.end()
    assert report["failed"] == 0 and set(report["names"]) == {"app", "laptop"}, report


def assert_nothing_is_left(r, pod, rules):
    assert r.stop() == 0
    await_idle(pod, r.up["container"], rules)
    served = r.event("ended", timeout=5)
    assert served["laptop"] > 0
    return served


def limit_descriptors(pid, count):
    _, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (count, most))


@pytest.fixture(scope="module")
def rules(shared_pod):
    return shared_pod.rules()


def test_the_memory_of_the_agent_runs_out(podgraft, shared_pod, laptop, rules):
    r = podgraft.redirect_to(laptop, shared_pod, "http", "echo", options=("--memory", "20Mi"))
    assert_parks_and_returns(r, shared_pod, 230)
    assert_nothing_is_left(r, shared_pod, rules)


def test_the_descriptors_of_the_agent_run_out(podgraft, shared_pod, laptop, rules):
    r = podgraft.redirect_to(laptop, shared_pod, "http", "echo")
    limit_descriptors(shared_pod.pid(r.up["container"]), 100)
    assert_parks_and_returns(r, shared_pod, 120)
    assert_nothing_is_left(r, shared_pod, rules)


def test_the_descriptors_of_the_laptop_run_out(podgraft, shared_pod, laptop, rules):
    r = podgraft.redirect_to(laptop, shared_pod, "http", "echo")
    limit_descriptors(r.process.pid, 50)
    assert_parks_and_returns(r, shared_pod, 60)
    served = assert_nothing_is_left(r, shared_pod, rules)
    assert served["refused"] > 0 and served["app"] > 0, served


def end_of_one(pod):
    """How a connection ends that says nothing, or None: it is still open after a second."""
    try:
        with dial(pod.ip, HTTP, timeout=1) as s:
            return ending(s)
    except ConnectionResetError:
        return "reset"
    except TimeoutError:
        return None


def assert_all_are_reset(pod):
    until(lambda: end_of_one(pod) == "reset", timeout=3, what="a reset")
    assert [end_of_one(pod) for _ in range(10)] == ["reset"] * 10


def test_without_a_fallback_nobody_is_given_to_the_app_or_left_waiting(podgraft, shared_pod, laptop, rules):
    r = podgraft.redirect_to(laptop, shared_pod, "http", "echo", options=("--no-fallback",))
    agent = shared_pod.pid(r.up["container"])
    few = len(os.listdir(f"/proc/{agent}/fd")) + 4  # for itself and its lanes, none for a connection
    for descriptors in (200, 60):
        limit_descriptors(agent, descriptors)
        with crowd(shared_pod, descriptors):
            assert_all_are_reset(shared_pod)
        answers(shared_pod, "laptop", 5)
    limit_descriptors(agent, few)
    assert_all_are_reset(shared_pod)
    limit_descriptors(agent, 200)
    answers(shared_pod, "laptop", 5)
    assert assert_nothing_is_left(r, shared_pod, rules)["app"] == 0


def test_an_agent_without_room_for_one_more_podgraft_says_how_to_get_it(podgraft, shared_pod, laptop, rules):
    """Whatever --memory says, an agent that runs is used again."""
    first = podgraft.redirect_to(laptop, shared_pod, "http", options=("--memory", "20Mi"))
    second = podgraft.redirect_to(laptop, shared_pod, "echo", options=("--memory", "20Mi"))
    third = podgraft.run("redirect", *podgraft.graft, "--memory", "64Mi", f"pod/{shared_pod.name}", f"9:{laptop.ports['http']}")
    assert third.returncode == 4, third.stderr
    assert "no room for one more link" in third.stderr and "podgraft undo" in third.stderr
    answers(shared_pod, "laptop", 1)  # the others are as before
    undone = podgraft.run("undo", f"pod/{shared_pod.name}")  # for which there always is room
    assert undone.returncode == 0 and "2 redirects" in undone.stdout, undone
    for one in (first, second):
        assert one.process.wait(10) == 4
    r = podgraft.redirect_to(laptop, shared_pod, "http", options=("--memory", "64Mi"))
    assert r.up["container"] != first.up["container"] == second.up["container"]
    answers(shared_pod, "laptop", 1)
    assert_nothing_is_left(r, shared_pod, rules)


def test_a_podgraft_that_comes_back_to_an_agent_without_room_says_so_and_waits_for_it(podgraft, shared_pod, laptop, rules):
    first = podgraft.redirect_to(laptop, shared_pod, "http", options=("--memory", "20Mi"))
    with stopped(first.process.pid):
        Lanes(shared_pod, first.up["container"]).kill_all()
        others = [podgraft.redirect_to(laptop, shared_pod, name, options=("--memory", "20Mi")) for name in ("echo", "greet")]
    first.event("lost", timeout=5)
    assert "no room for one more link" in first.event("warning", timeout=10)["message"]
    assert others[0].stop() == 0
    assert first.event("resumed", timeout=15)["container"] == first.up["container"]
    answers(shared_pod, "laptop", 1)
    assert others[1].stop() == 0
    assert_nothing_is_left(first, shared_pod, rules)
