"""How connections end."""

import fcntl
import os
import socket
import struct
import termios

from harness.sockets import abort, read_exactly, read_to_end
from harness.waiting import until

from .case import carried, case, judged, lost, seen

DATA = os.urandom(100000)


@case("half-close by the client", "It sends 100 kB and a FIN, then the program answers with as much.")
def _(line, _size):
    with line.joined() as (client, server):
        client.sendall(DATA)
        client.shutdown(socket.SHUT_WR)
        if read_to_end(server) != DATA:
            return lost("what the client sent")
        server.sendall(DATA)
        server.close()
        return judged(read_to_end(client) == DATA, "", "the answer after the FIN")


@case("half-close by the program", "It sends 100 kB and a FIN, then the client sends as much.")
def _(line, _size):
    with line.joined() as (client, server):
        server.sendall(DATA)
        server.shutdown(socket.SHUT_WR)
        if read_to_end(client) != DATA:
            return lost("what the program sent")
        client.sendall(DATA)
        client.close()
        return judged(read_to_end(server) == DATA, "", "what the client sent after the FIN")


def _reset(by, other):
    by.sendall(DATA[:1000])
    read_exactly(other, 1000)
    abort(by)
    how = seen(other)
    return carried() if how == "a reset" else lost(f"the other end sees {how}")


@case("reset by the client", "After 1000 bytes, which have been read.")
def _(line, _size):
    with line.joined() as (client, server):
        return _reset(client, server)


@case("reset by the program", "After 1000 bytes, which have been read.")
def _(line, _size):
    with line.joined() as (client, server):
        return _reset(server, client)


@case("reset after a half-close", "The client sends a FIN, then the program resets.")
def _(line, _size):
    with line.joined() as (client, server):
        client.shutdown(socket.SHUT_WR)
        if seen(server) != "a FIN":
            return lost("the FIN")
        abort(server)
        how = seen(client)
        return carried() if how == "a reset" else lost(f"the client sees {how}")


def _unread(s):
    return struct.unpack("i", fcntl.ioctl(s, termios.FIONREAD, b"\0" * 4))[0]


@case("urgent close", "The program closes with 1000 bytes unread, which TCP answers with a reset.")
def _(line, _size):
    with line.joined() as (client, server):
        client.sendall(DATA[:1000])
        until(lambda: _unread(server) == 1000, timeout=5, what="bytes at the program")
        server.close()
        how = seen(client)
        return carried() if how == "a reset" else lost(f"the client sees {how}")


@case("urgent byte", "The client sends one byte out of band amid four others.")
def _(line, _size):
    with line.joined() as (client, server):
        client.sendall(b"ab")
        client.send(b"!", socket.MSG_OOB)
        client.sendall(b"cd")
        client.shutdown(socket.SHUT_WR)
        got = read_to_end(server)
        if got == b"abcd":
            return lost("the urgent byte; the others arrive")
        return judged(got == b"ab!cd", "in its place, as a byte like the others", "bytes around the urgent one")
