"""Much of something: small writes, large transfers, many connections; and addresses of another family."""

import os

from harness.sockets import read_exactly

from .case import carried, case, judged, lost


@case("1-byte writes", "{size.byte_writes} writes of one byte each, echoed.")
def _(line, size):
    got = line.peer("onebyte", "echo", "--count", size.byte_writes)
    return carried() if got.get("ok") else lost(f"{got.get('echoed', 0)} came back, then {got.get('saw')}")


@case("much data", "{mib} MiB each way, every byte checked by who receives.")
def _(line, size):
    for verb, words in (("bulk-up", "to the program"), ("bulk-down", "to the client")):
        got = line.peer(verb, "bulk", "--bytes", size.bytes)
        if not got.get("ok"):
            return lost(f"{words}: {got.get('saw')}")
    return carried()


@case("many connections", "{size.crowd} at once, a byte there and back on each when all are open, and again before they close.")
def _(line, size):
    got = line.peer("idle", "echo", "--conns", size.crowd)
    if got.get("ok"):
        return carried()
    return lost(f"{got.get('failed', 'an unknown number')} of {size.crowd} fail: {got.get('saw')}")


@case("IPv4-mapped IPv6", "The client dials ::ffff:A.B.C.D from an IPv6 socket; the program listens on ::, for both families.")
def _(line, _size):
    with line.joined(f"::ffff:{line.host}") as (client, server):
        data = os.urandom(10000)
        client.sendall(data)
        server.sendall(read_exactly(server, len(data)))
        return judged(read_exactly(client, len(data)) == data, "", "what came back")
