"""Figures beside the peer's and beside what the design promises."""

from dataclasses import dataclass

from .contenders import TRANSPORTS
from .laptop import ROUND_TRIP_MS

KIB, MIB = 1 << 10, 1 << 20
BEST = TRANSPORTS[0]        # what podgraft takes by itself on a server that offers all of them
BARE, KUBECTL, PLAIN = "bare client", "kubectl", "plain TCP"
DIRECTIONS = ("from", "to")


@dataclass(frozen=True)
class Row:
    """One line of the table. `score` is what the target speaks of: a ratio, or the figure itself."""

    what: str
    ours: str
    peer: str = ""
    ratio: float = None
    score: float = None
    at_least: float = None
    at_most: float = None
    unit: str = ""

    @property
    def target(self):
        if self.at_least is not None:
            return f"at least {self.at_least:g}{self.unit}"
        return f"at most {self.at_most:g}{self.unit}" if self.at_most is not None else ""

    @property
    def quotient(self):
        """How many times the target was met: from 1 on it is. None without a target."""
        if self.at_least is not None:
            return self.score / self.at_least
        return self.at_most / max(self.score, 1e-9) if self.at_most is not None else None


def _number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _against(what, unit, ours, peer, name, transport="", **target):
    """A row whose target, if there is one, speaks of the ratio; nothing when one of the two was not measured."""
    if ours is None or not peer:
        return []
    ratio = ours / peer
    whom = f"{name} ({transport})" if transport else name
    return [Row(what, f"{_number(ours)} {unit}", f"{_number(peer)} {unit}, {whom}", ratio, ratio, **target)]


def _alone(what, text, score, peer="", **target):
    return [] if score is None else [Row(what, text.format(score), peer, None, score, **target)]


def _connections(count):
    return f"{count} connection{'s' if count > 1 else ''}"


def beside_kubectl(figures, path):
    """Of kubectl the better of its transports counts, each time anew."""
    rows, is_local = [], path == "local"
    for conns in (1, 8):
        for direction in DIRECTIONS:
            what = f"bulk {direction} {conns}"
            rows += _against(f"bulk {direction} the pod, {_connections(conns)}", "MB/s", figures.median(path, what, "podgraft", BEST),
                             *_peer(figures, path, what, True), at_least=1)
    for what in ("p50", "p99"):
        rows += _against(f"request of 100 bytes, {what}", "us", figures.median(path, f"request {what}", "podgraft", BEST),
                         *_peer(figures, path, f"request {what}", False), **({"at_most": 0.75} if is_local else {}))
    for at_once, words in ((1, "one after another"), (8, "eight at once")):
        what = f"connections {at_once}"
        rows += _against(f"new connections, {words}", "a second", figures.median(path, what, "podgraft", BEST),
                         *_peer(figures, path, what, True), **({"at_least": 5} if is_local else {}))
    return rows


def _peer(figures, path, what, highest):
    value, transport = figures.best(path, what, KUBECTL, highest)
    return value, KUBECTL, transport


def beside_bare_client(figures, path):
    """Of the same transport, with a lane for each connection."""
    rows, is_local = [], path == "local"
    for transport in TRANSPORTS:
        for conns, share in ((1, 0.85), (8, 0.95)):
            for direction in DIRECTIONS:
                what = f"bulk {direction} {conns}"
                rows += _against(f"{transport}: bulk {direction} the pod, {_connections(conns)}", "MB/s",
                                 figures.median(path, what, "podgraft", transport), figures.median(path, what, BARE, transport), BARE,
                                 **({"at_least": share} if is_local else {}))
        for what in ("p50", "p99"):
            rows += _against(f"{transport}: request of 100 bytes, {what}", "us",
                             figures.median(path, f"request {what}", "podgraft", transport),
                             figures.median(path, f"request {what}", BARE, transport), BARE, **({"at_most": 1.3} if is_local else {}))
    return rows


def beside_plain_tcp(figures):
    """What the slow path gives to one TCP connection is the measure there, also for eight that share a few lanes."""
    rows = []
    for conns in (1, 8):
        for direction in DIRECTIONS:
            rows += _against(f"bulk {direction} the pod, {_connections(conns)}", "MB/s",
                             figures.median("slow", f"bulk {direction} {conns}", "podgraft", BEST),
                             figures.median("slow", f"bulk {direction} 1", PLAIN), "one TCP connection", at_least=0.9)
    took = figures.median("slow", "connection p50 1", "podgraft", BEST)
    trips = took and took / 1000 / ROUND_TRIP_MS
    return rows + _alone("a new connection and its first answer, p50", "{:.2f} round trips", trips, at_most=2, unit=" round trips")


def crowds(figures, path):
    """What ten thousand connections that say nothing cost."""
    count = figures.median(path, "idle count", "podgraft", BEST)
    if not count:
        return []
    rows = []
    theirs, transport = figures.best(path, "idle bytes kubectl", KUBECTL, highest=False)
    fewer, _ = figures.best(path, "idle count", KUBECTL)
    for name in ("agent", "podgraft"):
        each = figures.median(path, f"idle bytes {name}", "podgraft", BEST)
        beside = f"{theirs / KIB:.1f} KiB, kubectl ({transport}) with {fewer:.0f}" if theirs and name == "podgraft" else ""
        rows += _alone(f"{count:.0f} idle connections: {name}, resident, each", "{:.1f} KiB", each and each / KIB, beside, at_most=16,
                       unit=" KiB")
    alone = figures.median(path, "idle p50 without", "podgraft", BEST)
    return rows + _against(f"request p50 beside {count:.0f} idle connections", "us",
                           figures.median(path, "idle p50 with", "podgraft", BEST), alone, "without them", at_most=1.1)


def starts(figures):
    """What no traffic is part of."""
    start, resident = figures.median("", "agent start", "podgraft"), figures.median("", "agent resident", "podgraft")
    image, agent = figures.median("", "size image", "podgraft"), figures.median("", "size agent", "podgraft")
    rows = _alone("agent: fork and exec to the first line of its log", "{:.1f} ms", start, at_most=50, unit=" ms")
    rows += _alone("agent: resident, idle", "{:.2f} MiB", resident and resident / MIB, at_most=4, unit=" MiB")
    rows += _alone("agent: image", "{:.2f} MiB", image and image / MIB, at_most=3, unit=" MiB")
    rows += _alone("agent: program", "{:.2f} MiB", agent and agent / MIB)
    ours, theirs = figures.median("", "size podgraft", "podgraft"), figures.median("", "size kubectl", KUBECTL)
    rows += _against("program on the laptop", "MiB", ours and ours / MIB, theirs and theirs / MIB, KUBECTL)
    kubelet = figures.median("", "container start", "kubelet")
    absent = figures.median("local", "first byte absent", "podgraft")
    rows += first_bytes(figures, "local")
    if absent and kubelet:
        rows.append(Row("the same with no agent, beyond a bare container's start", f"{absent - kubelet:.0f} ms",
                        f"{kubelet:.0f} ms, a bare ephemeral container", None, absent - kubelet, at_most=150, unit=" ms"))
    return rows


def first_bytes(figures, path):
    rows = []
    for what, words, target in (("present", "agent present", {"at_most": 60, "unit": " ms"}), ("absent", "no agent yet", {})):
        ours = figures.median(path, f"first byte {what}", "podgraft")
        theirs, transport = figures.best(path, "first byte", KUBECTL, highest=False)
        if ours is not None:
            rows.append(Row(f"command to first redirected byte, {words}", f"{ours:.0f} ms",
                            f"{theirs:.0f} ms, kubectl ({transport})" if theirs else "", ours / theirs if theirs else None, ours,
                            **(target if path == "local" else {})))
    return rows


def tables(figures):
    """(heading, remark, rows) of every table that has a row."""
    every = [
        ("Beside kubectl port-forward", "Each time beside the better one of its two transports.", beside_kubectl(figures, "local")),
        ("Beside a bare client", "Of the same transport: nothing above it, and a lane for each connection.",
         beside_bare_client(figures, "local")),
        ("Idle connections", "", crowds(figures, "local")),
        ("Sizes and beginnings", "", starts(figures)),
        (f"Over {ROUND_TRIP_MS} ms, 100 Mbit/s and 1 % loss: beside plain TCP", "", beside_plain_tcp(figures)),
        ("The same path: beside kubectl port-forward", "", beside_kubectl(figures, "slow") + first_bytes(figures, "slow")),
        ("The same path: beside a bare client", "", beside_bare_client(figures, "slow")),
        ("The same path: idle connections", "", crowds(figures, "slow")),
    ]
    return [table for table in every if table[2]]
