"""A process in the pod that floods a port: e2e/peers/hostile/flood.c."""

import json
import subprocess

from .tools import PEER_BIN, stop

FLOOD_BIN = PEER_BIN.parent / "flood"
RATE = 1000  # connections a second, as promised to be borne
SECONDS_MOST = 60


class Flood:
    """Connects to a port of the pod's loopback at that rate, and behaves as `manner` says: garbage, silent, slow, huge, challenges,
    proofs (good but for their signature, and thus in need of the laptop's key), or all in turn."""

    def __init__(self, pod, port, manner, laptop_key="", rate=RATE):
        self.process = subprocess.Popen(pod.entered(FLOOD_BIN, "127.0.0.1", port, manner, rate, SECONDS_MOST, laptop_key),
                                        text=True, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == "flooding\n"

    def end(self):
        """Ends it: how many connections were begun, refused, answered, ended by the other side, cut by itself, in how many ms."""
        assert self.process.poll() is None
        self.process.terminate()
        return json.loads(self.process.communicate(timeout=20)[0])

    def close(self):
        stop(self.process)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
