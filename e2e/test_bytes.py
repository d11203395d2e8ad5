"""What one end sends is what the other end reads, however it is sent and however it ends."""

import os
import socket

import pytest

from harness.pods import PORTS
from harness.sockets import Listener, abort, dial, echoes, ending, read_exactly, read_to_end
from harness.tools import peer

GIB = 1 << 30
PLAYED = 7100  # nothing in the pod listens there; the local program is the test itself
DATA = os.urandom(100000)


@pytest.fixture(scope="module")
def listener():
    with Listener() as played:
        yield played


@pytest.fixture(scope="module")
def redirected(same_user, shared_pod, laptop, listener):
    """The file's pod, with every port redirected to the laptop, and one to the test."""
    same_user.redirect(f"pod/{shared_pod.name}", *(f"{port}:{laptop.ports[mode]}" for mode, port in PORTS.items()),
                       f"{PLAYED}:{listener.port}")
    return shared_pod


@pytest.fixture
def joined(redirected, listener):
    """A client's socket, and the one that the local program accepted for it."""
    with dial(redirected.ip, PLAYED) as client:
        client.sendall(b"!")
        with listener.accept() as server:
            assert read_exactly(server, 1) == b"!"
            yield client, server


@pytest.mark.parametrize("direction", ["bulk-down", "bulk-up"])
def test_one_gib_arrives_unchanged(redirected, direction):
    got = peer(direction, redirected.ip, PORTS["bulk"], "--bytes", GIB)
    assert got["ok"] and got["bytes"] == GIB, got


@pytest.mark.parametrize("direction", ["bulk-down", "bulk-up"])
def test_over_ipv6(redirected, direction):
    assert peer(direction, redirected.ip6, PORTS["bulk"], "--bytes", 16 << 20)["ok"]


def test_single_bytes(redirected):
    assert peer("onebyte", redirected.ip, PORTS["echo"], "--count", 2000)["ok"]


def test_both_directions_at_once(redirected):
    with dial(redirected.ip, PORTS["echo"]) as s:
        assert all(echoes(s, DATA) for _ in range(10))


def test_server_that_speaks_first(redirected):
    with dial(redirected.ip, PORTS["greet"]) as s:
        assert read_exactly(s, 18) == b"hello from laptop\n"
        assert echoes(s)


def test_half_close_by_the_client(joined):
    """Its FIN arrives, and what the server says afterwards does too."""
    client, server = joined
    client.sendall(DATA)
    client.shutdown(socket.SHUT_WR)
    assert read_to_end(server) == DATA
    server.sendall(DATA)
    server.close()
    assert read_to_end(client) == DATA


def test_half_close_by_the_server(joined):
    client, server = joined
    server.sendall(DATA)
    server.shutdown(socket.SHUT_WR)
    assert read_to_end(client) == DATA
    client.sendall(DATA)
    client.close()
    assert read_to_end(server) == DATA


def test_the_end_of_the_client_arrives_without_a_byte(joined):
    client, server = joined
    client.close()
    assert ending(server) == "fin"


def test_reset_by_the_client_arrives_as_a_reset(joined):
    client, server = joined
    client.sendall(DATA[:1000])
    assert read_exactly(server, 1000) == DATA[:1000]
    abort(client)
    assert ending(server) == "reset"


def test_reset_by_the_server_arrives_as_a_reset(joined):
    client, server = joined
    client.sendall(DATA[:1000])
    assert read_exactly(server, 1000) == DATA[:1000]
    abort(server)
    assert ending(client) == "reset"


def test_reset_after_a_half_close_arrives_as_a_reset(joined):
    client, server = joined
    client.shutdown(socket.SHUT_WR)
    assert ending(server) == "fin"
    abort(server)
    assert ending(client) == "reset"
