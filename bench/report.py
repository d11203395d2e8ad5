"""docs/benchmarks.md, or the same on a terminal."""

from harness.cluster import TOP

from . import plot, targets
from .contenders import TRANSPORTS

PAGE, PICTURE, NOTES = "benchmarks.md", "benchmarks.svg", "benchmarks-notes.md"

INTRODUCTION = f"""# Benchmarks

What a redirect costs, beside `kubectl port-forward` and beside bare clients of its transports, measured in one run by `bench/run --write`,
which writes this page. Where a target is missed, [{NOTES}]({NOTES}) says why and whose it is. No test asserts any of it.

![How far each figure is from its target]({PICTURE})

A redirect carries connections from the pod to the laptop, a port-forward from the laptop to the pod. So that they can be compared,
directions are named after where the bytes go: "from the pod" is what a redirect's requests and a port-forward's answers use. Both
pass laptop, API server, kubelet, container runtime and pod, and whoever receives checks every byte. A bare client (`bench-lane`) is
podgraft's own transport with nothing above it. All programs share one machine, the API server and the kubelet included, so the figures
say what the whole path costs, and only the ratios travel to other machines. Each figure is the median of its repetitions, in which
the contenders take turns.
"""

CPU = """The processor time of all programs on the way, in seconds for a gigabyte, one and eight connections together. "own" is podgraft,
kubectl or the bare client itself. What the cluster's programs do besides counts too, so the longer a transfer takes, the more of it."""


def _row(row):
    ratio = f"{row.ratio:.2f}" if row.ratio is not None else ""
    met = "" if row.quotient is None else "yes" if row.quotient >= 1 else "**no**"
    return f"| {row.what} | {row.ours} | {row.peer} | {ratio} | {row.target} | {met} |"


def _table(heading, remark, rows):
    lines = [f"## {heading}", ""] + ([remark, ""] if remark else [])
    lines += ["| what | podgraft | peer | ratio | target | met |", "| --- | --- | --- | --- | --- | --- |"]
    return "\n".join(lines + [_row(row) for row in rows])


def _cpu(figures, path, heading):
    """Rows are contenders, columns processes; nothing when no bulk was measured."""
    own = {"podgraft": "podgraft", "kubectl": "kubectl", "bare client": "bare client"}
    columns = ["agent", "API server", "kubelet", "containerd", "shim"]
    lines = []
    for direction in ("from", "to"):
        for who, transport in figures.contenders(path):
            used = [figures.median(path, f"cpu {direction} {name}", who, transport) for name in [own.get(who, ""), *columns]]
            if any(value is not None for value in used):
                cells = ["" if value is None else f"{value:.2f}" for value in used]
                total = sum(value or 0 for value in used)
                lines.append(f"| {direction} the pod | {who} ({transport}) | {' | '.join(cells)} | {total:.2f} |")
    if not lines:
        return ""
    head = ["direction", "who", "own", *columns, "all"]
    return "\n".join([f"## {heading}", "", CPU, "", f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *lines])


def _every_transport(figures, path, heading):
    """All figures of traffic, of every contender and transport."""
    units = {"bulk": "MB/s", "request": "us", "connections": "a second", "connection": "us"}
    whats = [what for prefix in ("bulk", "request", "connection") for what in figures.whats(path, prefix)]
    columns = [(who, transport) for who in ("podgraft", "kubectl", "bare client", "plain TCP") for transport in (*TRANSPORTS, "")
               if any(figures.median(path, what, who, transport) for what in whats)]
    if not whats:
        return ""
    lines = [f"## {heading}", "", "| what | " + " | ".join(f"{who} {transport}".strip() for who, transport in columns) + " |",
             f"|{' --- |' * (len(columns) + 1)}"]
    for what in whats:
        values = (figures.median(path, what, who, transport) for who, transport in columns)
        cells = ["" if value is None else f"{value:.1f}" if value < 100 else f"{value:.0f}" for value in values]
        lines.append(f"| {what}, {units[what.split()[0]]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _about(figures, about):
    lines = ["## Where, when and how", "", "| | |", "| --- | --- |"]
    lines += [f"| {name} | {words} |" for name, words in about.items() if name != "command"]
    lines += [f"| command | `{about['command']}` |"]
    lines += [f"| failed | {failure} |" for failure in figures.failures]
    return "\n".join(lines)


def text(figures, about):
    """The whole page after its introduction, in Markdown."""
    parts = [_table(*table) for table in targets.tables(figures)]
    parts += [_cpu(figures, "local", "Processor time"), _every_transport(figures, "local", "Every transport"),
              _cpu(figures, "slow", "Processor time on the slow path"),
              _every_transport(figures, "slow", "Every transport on the slow path"), _about(figures, about)]
    return "\n\n".join(part for part in parts if part)


def write(figures, about):
    docs = TOP / "docs"
    (docs / PAGE).write_text(f"{INTRODUCTION}\n{text(figures, about)}\n", encoding="utf-8")
    (docs / PICTURE).write_text(plot.svg(targets.tables(figures), about), encoding="utf-8")
