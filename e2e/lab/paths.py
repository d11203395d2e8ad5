"""Where the lab keeps things, what it is made of, and how it speaks to the person."""

import os
import re
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEERS = HERE.parent / "peers"

STATE = Path(os.environ.get("PODGRAFT_LAB") or "/var/lib/podgraft-lab")


def cache_root():
    """Built programs and images live here, outside the tree: they outlive a checkout."""
    own = os.environ.get("PODGRAFT_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "podgraft"


def kubernetes_version():
    """The version that go.mod pins, such as "v1.36.3": no second place names it."""
    found = re.search(r"k8s\.io/kubernetes (v\d+\.\d+\.\d+)", (HERE / "go.mod").read_text())
    if not found:
        raise LabError("go.mod does not require k8s.io/kubernetes at a release")
    return found.group(1)


class LabError(Exception):
    """Something the person has to know: printed as one line, never as a traceback."""

    def __init__(self, what, hint=""):
        super().__init__(what)
        self.hint = hint


_start = time.monotonic()


def say(text):
    """One line of progress on stderr; stdout belongs to results."""
    print(f"lab: {time.monotonic() - _start:6.1f} s  {text}", file=sys.stderr, flush=True)


def write_file(path, text, mode=0o644):
    """Replaces `path` in one step, so that no reader ever sees half of it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    data = text if isinstance(text, bytes) else text.encode()
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "wb") as f:
        f.write(data)
    os.replace(new, path)
    return path
