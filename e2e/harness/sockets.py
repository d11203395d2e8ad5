"""Plain sockets, for tests that look at single bytes and at how a connection ends."""

import http.client
import json
import os
import socket
import struct

from .waiting import stretched


def dial(host, port, timeout=5, source=None, receive_buffer=None):
    """A connected socket. `source`: the address that it comes from."""
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    s.settimeout(stretched(timeout))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if receive_buffer:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    if source:
        s.bind((source, 0))
    s.connect((host, port))
    return s


def serves(host, port):
    """Whether connections are taken there."""
    try:
        dial(host, port).close()
        return True
    except OSError:
        return False


def abort(s):
    """Closes with a reset."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def read_exactly(s, n):
    got = b""
    while len(got) < n:
        more = s.recv(n - len(got))
        if not more:
            raise AssertionError(f"the end after {len(got)} of {n} bytes")
        got += more
    return got


def read_to_end(s):
    """All bytes up to the FIN."""
    got = []
    while more := s.recv(1 << 16):
        got.append(more)
    return b"".join(got)


def ending(s):
    """How a connection that says nothing more ends: "fin" or "reset"."""
    try:
        read_to_end(s)
        return "fin"
    except ConnectionResetError:
        return "reset"


def echoes(s, data=None):
    """Whether what is sent comes back."""
    data = data or os.urandom(100)
    s.sendall(data)
    return read_exactly(s, len(data)) == data


def ask(host, port, timeout=5, source=None):
    """The peer's answer to GET /, as an object."""
    connection = http.client.HTTPConnection(host, port, timeout=stretched(timeout), source_address=source and (source, 0))
    try:
        connection.request("GET", "/", headers={"Connection": "close"})
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def who(host, port, timeout=5, source=None):
    """Which peer answers: the name that it gives itself, or None when nobody answers."""
    try:
        return ask(host, port, timeout, source)["name"]
    except (OSError, http.client.HTTPException):
        return None


class Listener:
    """A local program that the test itself plays: it accepts when it is told to."""

    def __init__(self, host="127.0.0.1"):
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.socket.bind((host, 0))
        self.socket.listen(128)
        self.socket.settimeout(stretched(5))
        self.port = self.socket.getsockname()[1]

    def accept(self):
        """The next client that says something. podgraft looks once whether anybody listens: that one does not count."""
        while True:
            s, _ = self.socket.accept()
            s.settimeout(stretched(5))
            if s.recv(1, socket.MSG_PEEK):
                return s
            s.close()

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
