"""The developer's side: here, or at the far end of a path of 50 ms, 100 Mbit/s and 1 % loss."""

import json
import subprocess
from pathlib import Path

from harness.netns import inside
from harness.pods import PORTS, serve
from harness.tools import BIN, PEER_BIN, free_port, last_object, stop

DELAY_MS, RATE_MBIT, LOSS_PERMILLE = 25, 100, 10  # in each direction
ROUND_TRIP_MS = 2 * DELAY_MS
LINK, OUTSIDE, INSIDE = "pgbench0", "10.216.0.1", "10.216.0.2"


class Laptop:
    """Where podgraft, kubectl and the local program run. This one is on the machine's own network, beside the API server."""

    name = "local"
    title = "API server on the same machine"
    outside = None      # the address of this end of its path, if that is not the machine's own

    def __init__(self, cluster):
        self.cluster = cluster
        self.env = dict(cluster.env)
        self.netns = None
        self.server = None
        self.ports = {}

    def command(self, *words):
        """The command line that runs a program there."""
        enter = ["nsenter", f"--net={self.netns}"] if self.netns else []
        return [*enter, *map(str, words)]

    def inside(self, function, *args):
        return inside(self.netns, function, *args)

    def free_port(self):
        return self.inside(free_port)

    def peer(self, *words, timeout=120):
        """Runs a client of the peer program there: what it reports, an object."""
        done = subprocess.run(self.command(PEER_BIN, *words), text=True, capture_output=True, timeout=timeout, check=False)
        return last_object(done.stdout)

    def serve(self):
        """Starts the local program: a peer that serves every mode on ports of its own."""
        self.ports = {mode: self.free_port() for mode in PORTS}
        specs = (spec.split(":") for spec in serve("laptop")[1:])
        words = [":".join([mode, str(self.ports[mode]), *rest]) for mode, _, *rest in specs]
        self.server = subprocess.Popen(self.command(PEER_BIN, "--listen", "127.0.0.1", "multi", *words), text=True,
                                       stdout=subprocess.PIPE)
        for _ in self.ports:
            json.loads(self.server.stdout.readline())

    def close(self):
        if self.server:
            stop(self.server)
            self.server.stdout.close()

    def __enter__(self):
        self.serve()
        return self

    def __exit__(self, *_):
        self.close()


class FarLaptop(Laptop):
    """The same in a network namespace behind bench-path. The API server, which listens on loopback alone, is reached by NAT."""

    name = "slow"
    title = f"{ROUND_TRIP_MS} ms, {RATE_MBIT} Mbit/s, {LOSS_PERMILLE / 10:g} % loss"
    outside = OUTSIDE
    table = "podgraft-bench"

    def __init__(self, cluster, folder):
        super().__init__(cluster)
        self.path = subprocess.Popen([BIN / "bench-path", "--link", LINK, "--delay", f"{DELAY_MS}ms", "--rate", str(RATE_MBIT),
                                      "--loss", str(LOSS_PERMILLE)], text=True, stdout=subprocess.PIPE)
        self.counts = None
        self.plain = None
        try:
            assert json.loads(self.path.stdout.readline())["event"] == "ready"
            self.netns = f"/proc/{self.path.pid}/ns/net"
            self._connect()
            self.env["KUBECONFIG"] = str(self._kubeconfig(folder))
        except BaseException:
            self.close()
            raise

    def _connect(self):
        def run(*words):
            subprocess.run(words, check=True, capture_output=True, text=True)

        def up(address):
            run("ip", "addr", "add", f"{address}/30", "dev", LINK)
            run("ip", "link", "set", LINK, "up", "txqueuelen", "2000")

        up(OUTSIDE)
        self.inside(run, "ip", "link", "set", "lo", "up")
        self.inside(up, INSIDE)
        Path(f"/proc/sys/net/ipv4/conf/{LINK}/route_localnet").write_text("1", encoding="ascii")
        port = self.cluster.env["LAB_APISERVER"].rsplit(":", 1)[1]
        rule = f"ip daddr {OUTSIDE} tcp dport {port} dnat to 127.0.0.1:{port}"
        # The first two: a table that a killed run has left is taken away.
        run("nft", f"add table ip {self.table}; delete table ip {self.table}; add table ip {self.table}; "
                   f"add chain ip {self.table} in {{ type nat hook prerouting priority -100; }}; "
                   f"add rule ip {self.table} in {rule}")

    def _kubeconfig(self, folder):
        view = json.loads(self.cluster.kubectl("config", "view", "--raw", "--flatten", "-o", "json"))
        port = self.cluster.env["LAB_APISERVER"].rsplit(":", 1)[1]
        for entry in view["clusters"]:
            entry["cluster"] |= {"server": f"https://{OUTSIDE}:{port}", "tls-server-name": "127.0.0.1"}
        path = Path(folder) / "kubeconfig"
        path.write_text(json.dumps(view), encoding="utf-8")
        path.chmod(0o600)
        return path

    def serve(self):
        """Also a peer at this end of the path, for what one TCP connection gets there."""
        super().serve()
        self.plain_port = free_port()
        self.plain = subprocess.Popen([PEER_BIN, "--listen", OUTSIDE, "bulk", str(self.plain_port)], text=True, stdout=subprocess.PIPE)
        json.loads(self.plain.stdout.readline())

    def close(self):
        super().close()
        if self.plain:
            stop(self.plain)
            self.plain.stdout.close()
        subprocess.run(["nft", "delete", "table", "ip", self.table], check=False, capture_output=True)
        stop(self.path)
        text = self.path.stdout.read().strip()
        self.path.stdout.close()
        self.counts = json.loads(text.splitlines()[-1]) if text else None
