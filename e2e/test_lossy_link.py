"""A path to the API server of 50 ms that loses 3 of 100 packets each way: whatever is sent arrives, and the link stays up."""

import os

import pytest

from harness.away import FarAway
from harness.faults import answers
from harness.pods import PORTS
from harness.sockets import dial, echoes
from harness.tools import Load, peer

pytestmark = pytest.mark.usefixtures("lab_only")


@pytest.fixture(scope="module")
def away(lab_only, cluster, tmp_path_factory):
    with FarAway(cluster, tmp_path_factory.mktemp("far")) as path:
        yield path


@pytest.fixture(scope="module")
def redirect(away, shared_pod):
    with away.redirect(shared_pod, *PORTS) as r:
        answers(shared_pod, "laptop", 5)
        yield r


@pytest.fixture
def lossy_pod(redirect, shared_pod):
    """The pod whose ports lead over that path."""
    return shared_pod


def test_requests_of_all_sizes_arrive_as_they_were_sent(lossy_pod):
    with dial(lossy_pod.ip, PORTS["echo"], timeout=20) as s:
        assert all(echoes(s, os.urandom(size)) for size in (1, 100, 1400, 1500, 20000, 100000) * 2)


@pytest.mark.parametrize("direction", ["bulk-down", "bulk-up"])
def test_bulk_arrives_as_it_was_sent(lossy_pod, direction):
    got = peer(direction, lossy_pod.ip, PORTS["bulk"], "--bytes", 1 << 20, "--conns", 2)
    assert got["ok"], got


def test_half_close_and_reset_arrive_as_such(lossy_pod):
    assert peer("halfclose-client", lossy_pod.ip, PORTS["halfclose"], "--bytes", 100000)["ok"]
    assert peer("shutfirst-client", lossy_pod.ip, PORTS["shutfirst"], "--bytes", 100000)["ok"]
    assert peer("reset-client", lossy_pod.ip, PORTS["reset"], "--bytes", 1000)["saw"] == "reset"


def test_100_new_connections_a_second_and_none_is_lost(lossy_pod):
    with Load(lossy_pod.ip, PORTS["http"], seconds=3) as load:
        report = load.result()
    assert report["failed"] == 0 and report["names"]["laptop"]["count"] > report["ok"] / 2, report


def test_in_all_this_the_path_has_lost_packets_and_the_link_was_never_lost(away, redirect, lossy_pod):
    assert redirect.stop() == 0
    redirect.event("ended")
    assert not [seen for seen in redirect.seen if seen.get("event") in ("lost", "resumed")], redirect.seen
    counts = away.drops()
    assert min(counts["out"]["lost"], counts["in"]["lost"]) > 10, counts
