"""Figures of traffic: bulk with its CPU time, requests, new connections, and a crowd of idle ones."""

import contextlib
import json
import select
import subprocess

from .contenders import Failed, Forward, Plain, Redirect
from .processes import CpuMeter, cluster_pids, resident_bytes

SECTIONS = ("bulk", "requests", "connections", "idle")
CROWD_SECONDS = 45    # ten thousand connections take three; over the slow path, some ten more
GB = 1e9


def bulk(figures, laptop, contender, direction, bytes_, conns):
    """Throughput, and the CPU seconds that each process spent on a gigabyte."""
    pids = {} if isinstance(contender, Plain) else {**contender.pids(), **cluster_pids(laptop.cluster, contender.pod)}
    with CpuMeter(pids) as cpu:
        report = contender.bulk(direction, bytes_, conns)
    rate = report["mb_per_s"]
    used = {**({contender.who: report["cpu_seconds"]} if "cpu_seconds" in report else {}), **cpu.used}
    figures.add(laptop.name, f"bulk {direction} {conns}", contender.who, rate, contender.transport)
    for name, seconds in used.items():
        figures.add(laptop.name, f"cpu {direction} {name}", contender.who, seconds / (bytes_ / GB), contender.transport)
    return f"{rate:.1f} MB/s"


def requests(figures, laptop, contender, count):
    us = contender.requests(count)
    for name in ("p50", "p99"):
        figures.add(laptop.name, f"request {name}", contender.who, us[name], contender.transport)
    return f"p50 {us['p50']} us, p99 {us['p99']} us"


def connections(figures, laptop, contender, seconds, at_once):
    got = contender.connections(seconds, at_once)
    figures.add(laptop.name, f"connections {at_once}", contender.who, got["per_second"], contender.transport)
    figures.add(laptop.name, f"connection p50 {at_once}", contender.who, got["us"]["p50"], contender.transport)
    figures.add(laptop.name, f"connection slowest {at_once}", contender.who, got["us"]["max"], contender.transport)
    return f"{got['per_second']:.0f} a second, the slowest took {got['us']['max'] / 1000:.0f} ms"


@contextlib.contextmanager
def crowd(contender, count):
    """That many connections, each proved by a byte, idle while the body runs, and proved again after it."""
    process = subprocess.Popen(list(map(str, contender.crowd("--conns", count))), text=True, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    try:
        _proved(process, count)
        yield
        process.stdin.close()
        _proved(process, count)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _proved(process, count):
    if not select.select([process.stdout], [], [], CROWD_SECONDS)[0]:
        raise Failed(f"{count} connections: not a byte there and back on each within {CROWD_SECONDS} s")
    line = process.stdout.readline()
    report = json.loads(line) if line else {}
    if not report.get("ok"):
        raise Failed(f"{report.get('conns', 0)} of {count} connections: {report.get('saw', 'the client ended')}")


def idle(figures, laptop, contender, count, request_count):
    """Resident bytes of a connection that says nothing, in each process of the contender, and what the crowd costs a lively one.

    What a process held before any traffic is not counted; what it kept of earlier traffic is.
    """
    def lively(what):
        figures.add(laptop.name, f"idle p50 {what}", contender.who, contender.requests(request_count)["p50"], contender.transport)

    lively("without")
    with crowd(contender, count):
        each = {name: (resident_bytes(pid) - contender.fresh[name]) / count for name, pid in contender.pids().items()}
        lively("with")
    lively("without")
    for name, bytes_ in each.items():
        figures.add(laptop.name, f"idle bytes {name}", contender.who, bytes_, contender.transport)
    figures.add(laptop.name, "idle count", contender.who, count, contender.transport)
    return ", ".join(f"{name} {bytes_ / 1024:.1f} KiB each" for name, bytes_ in each.items())


def steps(figures, laptop, ready, size):
    """What is to be done on one laptop with contenders that have been started: (section, title, function) triples.

    The contenders take turns within every repetition, so that a machine that is busy for a while is so for all of them.
    """
    def step(section, title, contender, function, *args):
        return section, f"{laptop.name}: {title}, {contender.title}", lambda: function(figures, laptop, contender, *args)

    for _ in range(size.rounds):
        for conns in (1, 8):
            for direction in ("from", "to"):
                words = f"bulk {direction} the pod, {conns} connection{'s' * (conns > 1)}"
                for one in ready:
                    yield step("bulk", words, one, bulk, direction, size.bulk_bytes, conns)
        for one in ready:
            if hasattr(one, "requests"):
                yield step("requests", "requests of 100 bytes", one, requests, size.requests)
        for at_once in (1, 8):
            for one in ready:
                if hasattr(one, "connections"):
                    yield step("connections", f"new connections, {at_once} at once", one, connections, size.connect_seconds, at_once)
    for one in (next((c for c in ready if isinstance(c, kind)), None) for kind in (Redirect, Forward)):
        if one:
            count = size.idle if isinstance(one, Redirect) else size.idle_kubectl
            yield step("idle", f"{count} idle connections", one, idle, count, size.requests)
