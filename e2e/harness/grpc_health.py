"""A gRPC server that is always healthy, and nothing else: `grpc_health.py PORT`. HTTP/2 as far as a kubelet's probe needs it.

The frames are those of RFC 9113; of the request it reads only where it ends.
"""

import contextlib
import socket
import struct
import sys
import threading

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING = 0, 1, 4, 6
END_STREAM = ACK = 1
END_HEADERS = 4


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def field(name, value):
    """A header field that nobody remembers, spelled out (RFC 7541 6.2.2)."""
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value


def answer(stream):
    """SERVING, with status 0."""
    return (frame(HEADERS, END_HEADERS, stream, b"\x88" + field(b"content-type", b"application/grpc"))
            + frame(DATA, 0, stream, b"\0\0\0\0\2\x08\x01")
            + frame(HEADERS, END_HEADERS | END_STREAM, stream, field(b"grpc-status", b"0")))


def serve(s):
    with s, s.makefile("rb") as received, contextlib.suppress(ConnectionError):
        if received.read(len(PREFACE)) != PREFACE:
            return
        s.sendall(frame(SETTINGS, 0, 0))
        unacknowledged = 1
        while len(head := received.read(9)) == 9:
            size, kind, flags, stream = int.from_bytes(head[:3], "big"), head[3], head[4], int.from_bytes(head[5:], "big")
            payload = received.read(size)
            if kind == SETTINGS and flags & ACK:
                unacknowledged -= 1
                if unacknowledged < 0:  # an error to real servers, too
                    return
            elif kind == SETTINGS:
                s.sendall(frame(SETTINGS, ACK, 0))
            elif kind == PING and not flags & ACK:
                s.sendall(frame(PING, ACK, 0, payload))
            elif kind in (HEADERS, DATA) and flags & END_STREAM:
                s.sendall(answer(stream))


def main():
    listener = socket.create_server(("", int(sys.argv[1])))
    print("listening", flush=True)
    while True:
        threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()


if __name__ == "__main__":
    main()
