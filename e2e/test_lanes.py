"""A session has one lane at first and opens more under load; a lane that is lost takes its own connections with it, and no others."""

import contextlib
import subprocess

import pytest

from harness.pods import PORTS
from harness.sockets import dial, echoes
from harness.tools import peer, peer_command, stop
from harness.waiting import until

pytestmark = pytest.mark.usefixtures("lab_only")


class Lanes:
    """The connections to an agent's control port, as the pod's network knows them: each is a lane."""

    def __init__(self, pod, container):
        self.pod = pod
        self.control = pod.logs(container).split("127.0.0.1:")[1].split()[0]

    def ports(self):
        """The far ports of those that are up."""
        lines = self.pod.run_in_netns("ss", "-Htn", "state", "established", "sport", "=", f":{self.control}").splitlines()
        return [line.split()[3].rsplit(":", 1)[1] for line in lines]

    def kill(self, port):
        """Breaks one off at the agent's end."""
        self.pod.run_in_netns("ss", "-K", "-tn", "state", "established", f"( sport = :{self.control} and dport = :{port} )")


def alive(s):
    try:
        return echoes(s)
    except (OSError, AssertionError):
        return False


@pytest.fixture
def lanes(podgraft, pod, laptop):
    """Those of a redirect whose connections have kept it busy for a moment."""
    up = podgraft.redirect_to(laptop, pod, "bulk", "echo").up
    got = Lanes(pod, up["container"])
    assert len(got.ports()) == 1
    busy = subprocess.Popen(peer_command("bulk-down", pod.ip, PORTS["bulk"], "--conns", 8, "--bytes", 1 << 36, "--no-verify"),
                            stdout=subprocess.DEVNULL)
    try:
        until(lambda: len(got.ports()) >= 2, timeout=10, what="a second lane")
    finally:
        stop(busy)
    return got


def test_several_lanes_carry_bulk_and_the_loss_of_one_leaves_the_others_connections(pod, lanes):
    got = peer("bulk-down", pod.ip, PORTS["bulk"], "--conns", 8, "--bytes", 64 << 20)
    assert got["ok"], got
    with contextlib.ExitStack() as all_of_them:
        clients = [all_of_them.enter_context(dial(pod.ip, PORTS["echo"])) for _ in range(16)]
        assert all(echoes(s) for s in clients)
        before = lanes.ports()
        lanes.kill(before[0])
        until(lambda: before[0] not in lanes.ports(), timeout=5, what="the end of a lane")
        left = [s for s in clients if alive(s)]
        assert 0 < len(left) < len(clients), len(left)
        assert all(echoes(s) for s in left)
        assert echoes(all_of_them.enter_context(dial(pod.ip, PORTS["echo"])))
