"""Every way through the API server carries the same bytes and the same endings."""

import pytest

from harness.pods import PORTS
from harness.sockets import who
from harness.tools import peer


@pytest.fixture(scope="module", params=["spdy", "tunnel", "websocket"])
def redirected(request, same_user, shared_pod, laptop):
    """The file's pod, redirected over the transport whose turn it is."""
    r = same_user.redirect_to(laptop, shared_pod, *PORTS, options=["--transport", request.param])
    assert r.up["transport"] == request.param
    yield shared_pod
    assert r.stop() == 0


def test_echo(redirected):
    assert who(redirected.ip, PORTS["http"]) == "laptop"
    assert peer("latency", redirected.ip, PORTS["echo"], "--count", 500)["ok"]


@pytest.mark.parametrize("direction", ["bulk-down", "bulk-up"])
def test_bulk(redirected, direction):
    got = peer(direction, redirected.ip, PORTS["bulk"], "--bytes", 64 << 20)
    assert got["ok"] and got["bytes"] == 64 << 20, got


def test_many_connections_at_once(redirected):
    assert peer("bulk-up", redirected.ip, PORTS["bulk"], "--bytes", 16 << 20, "--conns", 50)["ok"]


def test_half_close_by_the_client(redirected):
    assert peer("halfclose-client", redirected.ip, PORTS["halfclose"], "--bytes", 300000)["ok"]


def test_half_close_by_the_server(redirected):
    assert peer("shutfirst-client", redirected.ip, PORTS["shutfirst"], "--bytes", 300000)["ok"]


def test_reset_by_the_server(redirected):
    assert peer("reset-client", redirected.ip, PORTS["reset"], "--bytes", 1000)["saw"] == "reset"
