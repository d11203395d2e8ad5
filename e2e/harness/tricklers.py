"""usage: tricklers.py HOST PORT COUNT: connections that begin a request and send a byte of it now and then, until killed.

Whoever is thrown out comes again.
"""

import socket
import sys
import time

REQUEST = b"POST /v1/link HTTP/1.1\r\nHost: trickle\r\nX-Slow: " + b"a" * 4000


class Trickler:
    def __init__(self, where):
        self.where = where
        self.begin()

    def begin(self):
        self.socket = socket.create_connection(self.where)
        self.socket.setblocking(False)
        self.sent = 0

    def step(self):
        try:
            self.sent += self.socket.send(REQUEST[self.sent:self.sent + 1])
            if self.socket.recv(4096) == b"":
                raise ConnectionResetError
        except BlockingIOError:
            pass
        except OSError:
            self.socket.close()
            self.begin()


def main():
    host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    tricklers = [Trickler((host, port)) for _ in range(count)]
    print(f"{count} connected", flush=True)
    while True:
        for one in tricklers:
            one.step()
        time.sleep(0.2)


main()
