"""What was measured on: the machine and the versions."""

import os
import re
import subprocess
from pathlib import Path

from harness.cluster import TOP


def _told(*command, **options):
    done = subprocess.run(command, text=True, capture_output=True, check=False, **options)
    return done.stdout.strip()


def _kubernetes(cluster):
    return re.search(r"Server Version: (\S+)", cluster.kubectl("version"))[1]


def facts(cluster):
    """{what: words} about the machine, its kernel and the programs, for the reader of the figures."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    memory = int(re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text(encoding="utf-8"))[1])
    load = os.getloadavg()[2]
    commit = _told("git", "describe", "--always", "--dirty", "--abbrev=12", cwd=TOP) or "unknown"
    return {"processor": f"{os.cpu_count()} cores of {model[1] if model else 'unknown'}, shared by everything",
            "memory": f"{memory / (1 << 20):.1f} GiB",
            "kernel": f"Linux {os.uname().release}, TCP congestion control "
                      + Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text(encoding="ascii").strip(),
            "load": f"{load:.1f} on average in the last 15 minutes, this run included",
            "podgraft": f"{(TOP / 'VERSION').read_text(encoding='ascii').strip()}, commit {commit}",
            "Kubernetes": f"{_kubernetes(cluster)} of the lab (e2e/lab), kubectl of the same version, "
                          f"containerd {_told('containerd', '--version').split()[2].split('~')[0]}, "
                          f"{_told('runc', '--version').splitlines()[0]}"}
