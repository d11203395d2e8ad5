"""A session has one lane at first and opens more under load; a lane that is lost takes its own connections with it, and no others."""

import contextlib
import subprocess

import pytest

from harness.lanes import Lanes
from harness.pods import PORTS
from harness.sockets import dial, echoes
from harness.tools import peer, peer_command, stop
from harness.waiting import until

pytestmark = pytest.mark.usefixtures("lab_only")


def alive(s):
    try:
        return echoes(s)
    except (OSError, AssertionError):
        return False


@pytest.fixture(params=["spdy", "tunnel", "websocket"])
def lanes(request, same_user, shared_pod, laptop):
    """Those of a redirect, over each transport, whose connections have kept it busy for a moment."""
    r = same_user.redirect_to(laptop, shared_pod, "bulk", "echo", options=["--transport", request.param])
    assert r.up["transport"] == request.param
    got = Lanes(shared_pod, r.up["container"])
    until(lambda: len(got.ports()) == 1, timeout=5, what="the end of an earlier redirect's lanes")
    busy = subprocess.Popen(peer_command("bulk-down", shared_pod.ip, PORTS["bulk"], "--conns", 8, "--bytes", 1 << 36, "--no-verify"),
                            stdout=subprocess.DEVNULL)
    try:
        until(lambda: len(got.ports()) >= 2, timeout=10, what="a second lane")
    finally:
        stop(busy)
    yield got
    assert r.stop() == 0


def after_the_loss_of_one(lanes, clients):
    """Those that are left of `clients` when a lane is lost that carries some of them: one that is being opened carries nobody yet."""
    left = clients
    for port in lanes.ports():
        lanes.kill(port)
        until(lambda: port not in lanes.ports(), timeout=5, what="the end of a lane")
        left = [s for s in clients if alive(s)]
        if len(left) < len(clients):
            break
    return left


def test_several_lanes_carry_bulk_and_the_loss_of_one_leaves_the_others_connections(shared_pod, lanes):
    got = peer("bulk-down", shared_pod.ip, PORTS["bulk"], "--conns", 8, "--bytes", 64 << 20)
    assert got["ok"], got
    with contextlib.ExitStack() as all_of_them:
        clients = [all_of_them.enter_context(dial(shared_pod.ip, PORTS["echo"])) for _ in range(16)]
        assert all(echoes(s) for s in clients)
        left = after_the_loss_of_one(lanes, clients)
        assert 0 < len(left) < len(clients), len(left)
        assert all(echoes(s) for s in left)
        assert echoes(all_of_them.enter_context(dial(shared_pod.ip, PORTS["echo"])))
