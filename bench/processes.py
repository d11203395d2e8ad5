"""What processes use: CPU time and resident memory, from /proc."""

import json
import os
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
CLUSTER_PARTS = {"API server": "apiserver", "kubelet": "kubelet", "containerd": "containerd"}


def cpu_seconds(pid):
    """User and system time of a process so far, threads that have ended included."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def resident_bytes(pid):
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid)


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1])


def cluster_pids(cluster, pod):
    """{name: pid} of the cluster's programs that bytes of a port-forward pass, and of the pod's shim, which they should not."""
    run = Path(cluster.env["LAB_STATE"]) / "run"
    found = {name: json.loads((run / f"{part}.json").read_text())["pid"] for name, part in CLUSTER_PARTS.items()}
    return {**found, "shim": parent(pod.pid())}


class CpuMeter:
    """CPU seconds of each of some processes between its two ends."""

    def __init__(self, pids):
        self.pids = pids
        self.used = {}

    def __enter__(self):
        self._began = {name: cpu_seconds(pid) for name, pid in self.pids.items()}
        return self

    def __exit__(self, *_):
        self.used = {name: cpu_seconds(pid) - self._began[name] for name, pid in self.pids.items()}
