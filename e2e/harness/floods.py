"""A process in the pod that floods a port: e2e/peers/hostile/flood.c."""

import json
import subprocess

from .tools import PEER_BIN, stop
from .waiting import stretched

FLOOD_BIN = PEER_BIN.parent / "flood"
RATE = 1000  # connections a second, as promised to be borne


class Flood:
    """Connects to a port on the pod's network at that rate, and behaves as `manner` says: garbage, silent, slow, huge, challenges,
    proofs (good but for their signature, and thus in need of the laptop's key), or all in turn."""

    def __init__(self, pod, host, port, manner, seconds, laptop_key="", rate=RATE):
        self.process = subprocess.Popen(pod.entered(FLOOD_BIN, host, port, manner, rate, int(stretched(seconds)), laptop_key),
                                        text=True, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == "flooding\n"

    def is_on(self):
        return self.process.poll() is None

    def result(self):
        """Waits for its end: how many connections were begun, refused, answered, ended by the other side, cut by itself."""
        return json.loads(self.process.communicate(timeout=stretched(60))[0])

    def close(self):
        stop(self.process)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
