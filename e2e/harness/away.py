"""A laptop that is not on the cluster's machine: its only way to the API server is a link that a test can cut, or that is slow and lossy."""

import contextlib
import itertools
import json
import os
import subprocess
from pathlib import Path

from .netns import inside, make, path_of
from .tools import BIN, LocalServer, Podgraft, stop

_serial = itertools.count()


def _run(*words):
    subprocess.run(words, check=True, capture_output=True, text=True)


class Away:
    """A network namespace joined to the machine's by a veth pair, and a kubeconfig that is good there. Needs the lab.

    The lab's API server listens on the machine's loopback: NAT brings it to the machine's end of the link.
    """

    def __init__(self, cluster, folder):
        number = (os.getpid() * 8 + next(_serial)) % (1 << 14)
        self.cluster, self.folder = cluster, folder
        self.netns = None
        self.link, self.table = f"pgaway{number}", f"podgraft-away-{number}"
        self._here, self._there = (f"10.217.{number >> 6}.{(number & 63) * 4 + i}" for i in (1, 2))
        self.port = cluster.env["LAB_APISERVER"].rsplit(":", 1)[1]
        try:
            self._join(self._make())
            self.env = {"KUBECONFIG": str(self._kubeconfig())}
        except BaseException:
            self.close()
            raise

    def _make(self):
        """Makes namespace and link: what the far end of the link is called there."""
        self._namespace = make()
        self.netns = path_of(self._namespace)
        _run("ip", "link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", self.netns)
        return "eth0"

    def _unmake(self):
        subprocess.run(["ip", "link", "delete", self.link], check=False, capture_output=True)
        if self.netns:
            os.close(self._namespace)

    def _join(self, far_end):
        _run("ip", "addr", "add", f"{self._here}/30", "dev", self.link)
        _run("ip", "link", "set", self.link, "up")
        inside(self.netns, _run, "ip", "link", "set", "lo", "up")
        inside(self.netns, _run, "ip", "addr", "add", f"{self._there}/30", "dev", far_end)
        inside(self.netns, _run, "ip", "link", "set", far_end, "up")
        Path(f"/proc/sys/net/ipv4/conf/{self.link}/route_localnet").write_text("1", encoding="ascii")
        _run("nft", f"""table inet {self.table} {{
            chain nat {{ type nat hook prerouting priority -100; ip daddr {self._here} tcp dport {self.port} dnat ip to 127.0.0.1; }}
            chain from {{ type filter hook prerouting priority -300; }}
            chain to {{ type filter hook postrouting priority 300; }}
        }}""")

    def _kubeconfig(self):
        view = json.loads(self.cluster.kubectl("config", "view", "--raw", "--flatten", "-o", "json"))
        for entry in view["clusters"]:
            entry["cluster"] |= {"server": f"https://{self._here}:{self.port}", "tls-server-name": "127.0.0.1"}
        path = Path(self.folder) / "kubeconfig"
        path.write_text(json.dumps(view), encoding="utf-8")
        path.chmod(0o600)
        return path

    @contextlib.contextmanager
    def redirect(self, pod, *modes):
        """A redirect of those ports of a pod to a program on that laptop."""
        user = Podgraft(self.cluster, self.folder, self.netns, **self.env)
        with LocalServer(netns=self.netns) as program:
            try:
                yield user.redirect_to(program, pod, *modes)
            finally:
                self.mend()
                user.close()

    def cut(self):
        """From now on nothing arrives at either end, and nobody is told."""
        _run("nft", f"add rule inet {self.table} from iifname {self.link} drop; add rule inet {self.table} to oifname {self.link} drop")

    def mend(self):
        _run("nft", f"flush chain inet {self.table} from; flush chain inet {self.table} to")

    def close(self):
        subprocess.run(["nft", "delete", "table", "inet", self.table], check=False, capture_output=True)
        self._unmake()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class FarAway(Away):
    """The same at the end of a path of 50 ms on which 3 of 100 packets are lost in each direction."""

    def _make(self):
        self._path = subprocess.Popen([BIN / "bench-path", "--link", self.link, "--delay", "25ms", "--loss", "30"], text=True,
                                      stdout=subprocess.PIPE)
        if not self._path.stdout.readline():
            raise AssertionError(f"bench-path ended with {self._path.wait()}")
        self.netns = f"/proc/{self._path.pid}/ns/net"
        return self.link

    def _unmake(self):
        stop(self._path)
        self._path.stdout.close()

    def drops(self):
        """Ends the path: how many packets of the way there and back it has lost."""
        stop(self._path)
        return json.loads(self._path.stdout.read().splitlines()[-1])
