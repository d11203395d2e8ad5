"""What the lab changes on the machine itself, and how it is taken back."""

import json
import os
import re
import subprocess
import time
from pathlib import Path

from paths import STATE, say, write_file

NODE = "lab"
NODE_LINK = "pglab0"
NODE_IP, NODE_IP6 = "10.215.0.1", "fdb0:c4a7:1::1"
POD_CIDR, POD_CIDR6 = "10.213.0.0/24", "fdb0:c4a7:2::/64"
CLUSTER_CIDR, CLUSTER_CIDR6 = "10.213.0.0/16", "fdb0:c4a7:2::/56"
SERVICE_CIDR, SERVICE_CIDR6 = "10.214.0.0/24", "fdb0:c4a7:3::/112"
SERVICE_IP, SERVICE_IP6 = "10.214.0.1", "fdb0:c4a7:3::1"

# Set by the lab, the CNI plugins, kubelet or kube-proxy. All of them are put back by `down`.
SYSCTLS = ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", "net.ipv6.conf.default.forwarding",
           "vm.overcommit_memory", "vm.panic_on_oom", "kernel.panic", "kernel.panic_on_oops",
           "kernel.keys.root_maxkeys", "kernel.keys.root_maxbytes",
           "net.ipv4.conf.all.route_localnet", "net.ipv4.vs.conntrack",
           "net.netfilter.nf_conntrack_max")
WANTED = {"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"}

# Made by programs of the lab at places that no option moves. Removed when empty and not there before.
FOREIGN_DIRS = ("/run/containerd/s", "/run/containerd/fifo", "/run/containerd/runc/k8s.io",
                "/run/containerd/runc", "/run/containerd", "/run/runc/k8s.io", "/run/runc",
                "/var/lib/cni/results", "/var/lib/cni", "/var/log/containers",
                "/var/lib/kubelet/device-plugins", "/var/lib/kubelet", "/opt/containerd/bin",
                "/opt/containerd/lib", "/opt/containerd", "/etc/cni/net.d", "/etc/cni",
                "/run/xtables.lock")


def run(*args, check=False):
    """A command's output; failures are for the caller to see in its effects unless `check`."""
    done = subprocess.run([str(a) for a in args], capture_output=True, text=True, check=check)
    return done.stdout


def _sysctl(name):
    return Path("/proc/sys") / name.replace(".", "/")


def _set(path, value):
    try:
        path.write_text(value, encoding="ascii")
    except OSError:
        say(f"cannot set {path} to {value}: going on")


def _remember():
    """Writes the machine's own settings down before the first change, and never again after it."""
    before = STATE / "before.json"
    if before.exists():
        return
    settings = {n: _sysctl(n).read_text(encoding="ascii").strip() for n in SYSCTLS
                if _sysctl(n).exists()}
    for path in Path("/proc/sys/net/ipv6/conf").glob("*/accept_ra"):
        settings[f"net.ipv6.conf.{path.parent.name}.accept_ra"] = path.read_text().strip()
    for path in Path("/proc/sys/net/ipv6/conf").glob("*/forwarding"):
        settings[f"net.ipv6.conf.{path.parent.name}.forwarding"] = path.read_text().strip()
    there = [d for d in FOREIGN_DIRS if os.path.exists(d)]
    write_file(before, json.dumps({"sysctls": settings, "there": there}, indent=1))


def prepare():
    """The node's address on a link of its own, and forwarding. Safe to call again."""
    _remember()
    if not Path(f"/sys/class/net/{NODE_LINK}").exists():
        # A bridge without ports: it exists in every kernel that runs pods, "dummy" does not.
        run("ip", "link", "add", NODE_LINK, "type", "bridge", check=True)
    run("ip", "addr", "replace", f"{NODE_IP}/32", "dev", NODE_LINK, check=True)
    run("ip", "addr", "replace", f"{NODE_IP6}/128", "dev", NODE_LINK, "nodad", check=True)
    run("ip", "link", "set", NODE_LINK, "up", check=True)
    # With forwarding on, Linux drops routes that a router announced, unless accept_ra is 2.
    for path in Path("/proc/sys/net/ipv6/conf").glob("*/accept_ra"):
        if path.read_text().strip() == "1":
            _set(path, "2")
    for name, value in WANTED.items():
        if _sysctl(name).read_text(encoding="ascii").strip() != value:
            _set(_sysctl(name), value)


def mounts_below(directory):
    """Mount points at or below `directory`, the innermost first."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split()[4].encode().decode("unicode_escape")
        if point == str(directory) or point.startswith(f"{directory}/"):
            found.append(point)
    return sorted(found, key=len, reverse=True)


def pod_links():
    """The node's ends of the pods' links, as the CNI plugins recorded them."""
    names = set()
    for result in Path("/var/lib/cni/results").glob("podgraft-lab-*"):
        try:
            interfaces = json.loads(result.read_text())["result"]["interfaces"]
        except (OSError, ValueError, KeyError):
            continue
        names |= {i["name"] for i in interfaces if not i.get("sandbox")}
    return {n for n in names if Path(f"/sys/class/net/{n}").exists()}


def _cgroups(containers):
    """The containers' cgroups, in every hierarchy that the machine has."""
    top = Path("/sys/fs/cgroup")
    return [p for c in containers for p in [*top.glob(f"*/k8s.io/{c}"), top / "k8s.io" / c]
            if p.exists()]


def cgroup_processes(containers):
    """Every process in a cgroup of these containers, whatever started it there."""
    pids = set()
    for cgroup in _cgroups(containers):
        for procs in [cgroup / "cgroup.procs", *cgroup.rglob("cgroup.procs")]:
            try:
                pids |= {int(p) for p in procs.read_text().split()}
            except OSError:
                pass
    return pids


def _remove_cgroups(containers):
    for _ in range(50):
        for cgroup in _cgroups(containers):
            for path in [*sorted((p for p in cgroup.rglob("*") if p.is_dir()), reverse=True), cgroup]:
                try:
                    path.rmdir()
                except OSError:
                    pass
        if not _cgroups(containers):
            break
        time.sleep(0.1)
    else:
        say("some cgroups of the lab's pods could not be removed")
    top = Path("/sys/fs/cgroup")
    for parent in [*top.glob("*/k8s.io"), top / "k8s.io"]:
        try:
            parent.rmdir()
        except OSError:
            pass  # not there, or another containerd has containers in it


def restore(links, containers):
    """Takes back all that prepare() and the lab's programs did to the machine."""
    for point in mounts_below(STATE):
        run("umount", point)
    for point in mounts_below(STATE):
        run("umount", "-l", point)
    for link in [*links, NODE_LINK]:
        run("ip", "link", "del", link)
    for family in ("ip", "ip6"):
        run("nft", "delete", "table", family, "kube-proxy")
    _remove_cgroups(containers)
    for container in containers:
        for result in Path("/var/lib/cni/results").glob(f"*-{container}-*"):
            result.unlink()
    for link in Path("/var/log/containers").glob("*"):
        if link.is_symlink() and str(link.readlink()).startswith(f"{STATE}/"):
            link.unlink()
    for file in Path("/var/lib/kubelet/device-plugins").glob("*"):
        if re.fullmatch(r"kubelet\.sock|DEPRECATION|kubelet_internal_checkpoint", file.name):
            file.unlink()
    before = STATE / "before.json"
    if not before.exists():
        return
    told = json.loads(before.read_text())
    for name, value in told["sysctls"].items():
        path = _sysctl(name)
        if path.exists() and path.read_text(encoding="ascii").strip() != value:
            _set(path, value)
    for directory in FOREIGN_DIRS:
        if directory not in told["there"] and os.path.isdir(directory):
            try:
                os.rmdir(directory)
            except OSError:
                pass  # somebody else uses it by now
    before.unlink()
