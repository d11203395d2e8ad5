"""docs/torture.md: writing it, and reading what it says of podgraft."""

import re

from harness.cluster import TOP

PAGE = TOP / "docs/torture.md"

INTRODUCTION = """# Torture

What happens to connections through `podgraft redirect` and, side by side, through `kubectl port-forward`, when they are treated badly.
Written by `e2e/torture --write` from what it measured on the lab, with {kubectl}.
`ci/test` does all of it again in a shorter form (`e2e/torture --short`: {short}).
It fails when podgraft fails a case, and when this page says something else of podgraft.

The client stands at the pod and the program that serves at the laptop with podgraft, the other way round with kubectl. After every
case a new connection is tried; "kubectl ended" says that the tool itself was gone by then. "Nothing" means nothing for 5 seconds. The
agent has `--memory 512Mi`, which ten thousand connections need.

| what is done | podgraft | kubectl port-forward |
| --- | --- | --- |
"""


def row(one, size, ours, theirs):
    return f"| **{one.name}** {one.described(size)} | {ours.words} | {theirs.words} |"


def write(rows, kubectl, short):
    words = (f"{short.bytes >> 20} MiB, {short.crowd} connections, {short.zero_window_seconds} s of zero window, "
             f"{short.idle_seconds} s of idling")
    PAGE.write_text(INTRODUCTION.format(kubectl=kubectl, short=words) + "\n".join(rows) + "\n", encoding="utf-8")


def told():
    """{case: what the page says of podgraft}."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    return dict(re.findall(r"^\| \*\*(.+?)\*\* .*? \| (.+?) \| .+? \|$", text, re.M))
