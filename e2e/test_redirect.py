"""A live pod's connections arrive on the laptop, byte for byte, and go back when the redirect ends."""

import pytest

from harness.pods import PORTS, make_service, until
from harness.tools import peer, who

GIB = 1 << 30


@pytest.fixture
def redirected(podgraft, pod, laptop):
    """The usual pod with every port of it redirected to the laptop."""
    pairs = [f"{PORTS[mode]}:{laptop.ports[mode]}" for mode in PORTS]
    podgraft.redirect(f"pod/{pod.name}", *pairs)
    return pod


def test_by_pod_address_ipv4_and_ipv6(redirected):
    assert who(redirected.ip, PORTS["http"]) == "laptop"
    assert who(redirected.ip6, PORTS["http"]) == "laptop"


def test_by_service_address_and_node_port(cluster, lab_only, redirected):
    service = make_service(cluster, redirected, [(80, PORTS["http"])], type="NodePort")
    until(lambda: who(service["spec"]["clusterIP"], 80, timeout_ms=1000) == "laptop", what="the Service's address")
    assert who(cluster.env["LAB_NODE_IP"], service["spec"]["ports"][0]["nodePort"]) == "laptop"


def test_from_the_same_pod(lab_only, redirected):
    pid = redirected.pid()
    assert who("127.0.0.1", PORTS["http"], netns_pid=pid) == "laptop"
    assert who("::1", PORTS["http"], netns_pid=pid) == "laptop"
    assert who(redirected.ip, PORTS["http"], netns_pid=pid) == "laptop"


def test_no_local_leaves_clients_in_the_pod_alone(lab_only, podgraft, pod, laptop):
    podgraft.redirect(f"pod/{pod.name}", f"{PORTS['http']}:{laptop.ports['http']}", "--no-local")
    assert who("127.0.0.1", PORTS["http"], netns_pid=pod.pid()) == "app"
    assert who(pod.ip, PORTS["http"]) == "laptop"


@pytest.mark.parametrize("direction", ["bulk-down", "bulk-up"])
def test_one_gib_arrives_unchanged(redirected, direction):
    assert peer(direction, redirected.ip, PORTS["bulk"], "--bytes", GIB, timeout=300)["ok"]


def test_single_bytes(redirected):
    assert peer("onebyte", redirected.ip, PORTS["echo"], "--count", 2000)["ok"]


def test_half_close_by_the_client(redirected):
    """The server answers only after the client's FIN, so the FIN must arrive and the answer come back."""
    assert peer("halfclose-client", redirected.ip, PORTS["halfclose"], "--bytes", 300000)["ok"]


def test_half_close_by_the_server(redirected):
    assert peer("shutfirst-client", redirected.ip, PORTS["shutfirst"], "--bytes", 300000)["ok"]


def test_reset_by_the_server_arrives_as_a_reset(redirected):
    assert peer("reset-client", redirected.ip, PORTS["reset"], "--bytes", 1000)["saw"] == "reset"


def test_server_that_speaks_first(redirected):
    assert peer("latency", redirected.ip, PORTS["echo"], "--size", 100, "--count", 100)["ok"]


def test_a_thousand_connections_at_once(redirected):
    assert peer("idle", redirected.ip, PORTS["echo"], "--conns", 1000, timeout=120)["ok"]


def test_it_goes_back_when_the_redirect_ends(lab_only, podgraft, pod, laptop):
    before = pod.rules()
    r = podgraft.redirect(f"pod/{pod.name}", f"{PORTS['http']}:{laptop.ports['http']}")
    assert who(pod.ip, PORTS["http"]) == "laptop"
    assert r.stop() == 0
    assert who(pod.ip, PORTS["http"]) == "app"
    assert "podgraft-tcp" not in pod.rules()
    assert before == ""
