"""A laptop that is not on the cluster's machine: its only way to the API server is a link that a test can cut."""

import json
import os
import subprocess
from pathlib import Path

from .netns import inside, make, path_of


def _run(*words):
    subprocess.run(words, check=True, capture_output=True, text=True)


class Away:
    """A network namespace joined to the machine's by a veth pair, and a kubeconfig that is good there. Needs the lab.

    The lab's API server listens on the machine's loopback: NAT brings it to the machine's end of the link.
    """

    def __init__(self, cluster, folder):
        self._namespace = make()
        self.netns = path_of(self._namespace)
        number = os.getpid() % (1 << 14)
        self.link, self.table = f"pgaway{number}", f"podgraft-away-{number}"
        self._here, self._there = (f"10.217.{number >> 6}.{(number & 63) * 4 + i}" for i in (1, 2))
        self.port = cluster.env["LAB_APISERVER"].rsplit(":", 1)[1]
        try:
            self._connect()
            self.env = {"KUBECONFIG": str(self._kubeconfig(cluster, folder))}
        except BaseException:
            self.close()
            raise

    def _connect(self):
        _run("ip", "link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", self.netns)
        _run("ip", "addr", "add", f"{self._here}/30", "dev", self.link)
        _run("ip", "link", "set", self.link, "up")
        inside(self.netns, _run, "ip", "addr", "add", f"{self._there}/30", "dev", "eth0")
        inside(self.netns, _run, "ip", "link", "set", "eth0", "up")
        Path(f"/proc/sys/net/ipv4/conf/{self.link}/route_localnet").write_text("1", encoding="ascii")
        _run("nft", f"""table inet {self.table} {{
            chain nat {{ type nat hook prerouting priority -100; ip daddr {self._here} tcp dport {self.port} dnat ip to 127.0.0.1; }}
            chain from {{ type filter hook prerouting priority -300; }}
            chain to {{ type filter hook postrouting priority 300; }}
        }}""")

    def _kubeconfig(self, cluster, folder):
        view = json.loads(cluster.kubectl("config", "view", "--raw", "--flatten", "-o", "json"))
        for entry in view["clusters"]:
            entry["cluster"] |= {"server": f"https://{self._here}:{self.port}", "tls-server-name": "127.0.0.1"}
        path = Path(folder) / "kubeconfig"
        path.write_text(json.dumps(view), encoding="utf-8")
        path.chmod(0o600)
        return path

    def cut(self):
        """From now on nothing arrives at either end, and nobody is told."""
        _run("nft", f"add rule inet {self.table} from iifname {self.link} drop; add rule inet {self.table} to oifname {self.link} drop")

    def mend(self):
        _run("nft", f"flush chain inet {self.table} from; flush chain inet {self.table} to")

    def close(self):
        subprocess.run(["nft", "delete", "table", "inet", self.table], check=False, capture_output=True)
        subprocess.run(["ip", "link", "delete", self.link], check=False, capture_output=True)
        os.close(self._namespace)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
