"""A process in the pod that floods the agent's ports: live links do not notice, new ones are made, and it costs little."""

import re
import time

import pytest

from harness.cli import ran
from harness.floods import RATE, Flood
from harness.pods import PORTS, make_pod
from harness.sockets import dial, echoes
from harness.tools import Load
from harness.waiting import stretched

HTTP = PORTS["http"]

pytestmark = pytest.mark.usefixtures("lab_only")


@pytest.fixture(scope="module")
def flooded(same_user, cluster, laptop):
    """A pod with live redirects: (pod, name of the agent, its control port, the other ports that it listens on)."""
    pod = make_pod(cluster)
    before = set(pod.listeners())
    up = same_user.redirect_to(laptop, pod, "http", "echo").up
    name, control = ran(same_user, "inject", pod.name).split()
    assert name == up["container"]
    own = {int(port) for address, port in set(pod.listeners()) - before if address == "127.0.0.1"} - {int(control)}
    yield pod, name, int(control), own
    pod.assert_agents_sound()
    pod.delete()


@pytest.fixture
def lively(flooded):
    """Looks for a second whether a connection that has been open all the while, and 100 new ones, notice anything."""
    pod = flooded[0]
    with dial(pod.ip, PORTS["echo"]) as held:
        assert echoes(held)

        def still():
            with Load(pod.ip, HTTP, seconds=1) as load:
                assert echoes(held)
                report = load.result()
            assert report["failed"] == 0 and list(report["names"]) == ["laptop"], report
            assert echoes(held)
        yield still


def laptop_key(pod, name):
    """As everybody reads it in the pod's spec."""
    args = next(c for c in pod.refresh().object["spec"]["ephemeralContainers"] if c["name"] == name)["args"]
    return args[args.index("--laptop-key") + 1]


def most_memory(pod, name):
    """The most that an agent ever held, in KiB."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", open(f"/proc/{pod.pid(name)}/status").read())[1])


def new_link(user, laptop, pod, mode, limit=10):
    """A redirect that is ready within the time that is promised; it ends at once."""
    began = time.monotonic()
    r = user.redirect_to(laptop, pod, mode)
    assert time.monotonic() - began < stretched(limit)
    assert r.stop() == 0
    return r.up


@pytest.mark.parametrize("manner", ["garbage", "silent", "slow", "huge", "challenges", "proofs"])
def test_1000_strangers_a_second_at_the_control_port(same_user, flooded, lively, laptop, manner):
    pod, name, control, _ = flooded
    with Flood(pod, control, manner, laptop_key(pod, name)) as flood:
        assert new_link(same_user, laptop, pod, "greet")["reused"]
        lively()
        got = flood.end()
    assert got["begun"] >= got["lasted_ms"] / 1000 * RATE * 0.9 and got["answered"] + got["ended"] > 0, got


def test_another_user_links_while_both_agents_are_flooded(flooded, lively, another_user, laptop):
    pod, name, control, _ = flooded
    theirs, port = ran(another_user, "inject", pod.name).split()
    with Flood(pod, control, "all", laptop_key(pod, name), RATE // 2), Flood(pod, port, "all", laptop_key(pod, theirs), RATE // 2):
        assert new_link(another_user, laptop, pod, "greet")["container"] == theirs
        lively()


def test_1000_strangers_a_second_at_the_port_of_redirected_connections(same_user, flooded, lively, laptop):
    pod, _, _, own = flooded
    assert len(own) == 1
    with Flood(pod, own.pop(), "garbage") as flood:
        assert new_link(same_user, laptop, pod, "greet")["reused"]
        lively()
        got = flood.end()
    assert got["answered"] == 0 and got["ended"] >= got["begun"] * 0.9, got  # reset, each of them


@pytest.mark.unsanitized  # they cost memory
def test_what_all_of_them_cost_is_bounded(flooded):
    pod, name, _, _ = flooded
    assert most_memory(pod, name) < 16 << 10
