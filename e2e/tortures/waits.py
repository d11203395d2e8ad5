"""Long silences."""

import hashlib
import os
import select
import socket
import threading
import time

from harness.sockets import echoes, read_exactly
from harness.waiting import stretched

from .case import carried, case, lost

CHUNK = os.urandom(1 << 16)
MOST = 64 << 20     # whatever is on the way, its buffers end before that


def _send_until_blocked(s):
    """Sends until nothing was taken for a second: how many bytes."""
    s.setblocking(False)
    sent = 0
    while sent < MOST and select.select([], [s], [], 1)[1]:
        sent += s.send(CHUNK[sent % len(CHUNK):])
    return sent


def _digest_of_sent(n):
    digest = hashlib.sha256()
    for at in range(0, n, len(CHUNK)):
        digest.update(CHUNK[:min(len(CHUNK), n - at)])
    return digest.digest()


def _read_digest(s, n):
    digest = hashlib.sha256()
    while n > 0:
        got = s.recv(min(n, 1 << 20))
        if not got:
            break
        digest.update(got)
        n -= len(got)
    return digest.digest()


def _is_lively(line):
    """A new connection and its first answer within two seconds, also on a busy machine."""
    began = time.monotonic()
    return line.serves() and time.monotonic() - began < stretched(2)


@case("zero window", "The program does not read for {size.zero_window_seconds} s, the client sends until nothing more is taken; "
                     "new connections are tried meanwhile; then the program reads.")
def _(line, size):
    with line.joined() as (client, server):
        sent = _send_until_blocked(client)
        others = True
        end = time.monotonic() + size.zero_window_seconds
        while time.monotonic() < end:
            others = others and _is_lively(line)
            time.sleep(0.5)
        if _read_digest(server, sent) != _digest_of_sent(sent):
            return lost("bytes that waited for the reader")
        return carried("others notice nothing") if others else lost("the bytes arrive, but other connections had to wait")


def _keep_alive(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 3)):
        s.setsockopt(socket.IPPROTO_TCP, option, value)


@case("idling", "Nothing is said for {size.idle_seconds} s, with TCP's keep-alive probing both ends every second and giving up after "
                "three: an hour with a probe a minute, compressed.")
def _(line, size):
    with line.joined() as (client, server):
        for s in (client, server):
            _keep_alive(s)
        time.sleep(size.idle_seconds)
        echo = threading.Thread(target=lambda: server.sendall(read_exactly(server, 1000)))
        echo.start()
        try:
            return carried() if echoes(client, CHUNK[:1000]) else lost("what is said afterwards")
        finally:
            echo.join()
