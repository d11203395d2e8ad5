"""Images of those who mean harm (e2e/peers/hostile): agents that prove themselves and then misbehave in one manner, and an app."""

import contextlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from .cluster import TOP
from .tools import BIN, PEER_BIN
from .waiting import stretched

sys.path.insert(0, str(TOP / "e2e/lab"))

import oci  # noqa: E402

APP = "localhost/podgraft-hostile:1"  # of hostile.c, as /hostile
MODES = ["banner-endless", "banner-steers", "banner-drips", "banner-app", "log-lies", "challenge-steers", "refusal-steers", "answer-endless",
         "answer-terabyte", "answer-drips", "ps-steers", "ps-many", "ps-deep", "proof-wrong", "link-garbage", "link-drips",
         "holder-steers", "ports-absurd", "open-flood", "open-unknown", "data-overrun", "told-flood"]


def image(mode):
    return f"localhost/podgraft-evil:{mode}"


def load_images(folder):
    """Makes an image for each mode, and the app's, all of one layer, and has the lab's runtime take them."""
    tree = Path(folder) / "tree"
    tree.mkdir()
    for program in ("evil-agent", "hostile"):
        subprocess.run(["strip", "-o", tree / program, PEER_BIN.parent / program], check=True)
    layer = oci.layer(tree)
    archive = Path(folder) / "evil.tar"
    oci.write(archive, [(image(mode), layer, {"Entrypoint": ["/evil-agent", mode]}) for mode in MODES]
              + [(APP, layer, {"Entrypoint": ["/hostile"], "Cmd": ["sleep"]})])
    subprocess.run([TOP / "e2e/lab/lab", "load", archive], check=True, capture_output=True)


@dataclass
class Outcome:
    code: int
    out: str
    words: str
    seconds: float
    kib: int        # the most memory that it held


class Victim:
    """podgraft, run against an evil image (or with those that there are: mode None): what it said, and what it cost."""

    def __init__(self, user, mode, verb, *args):
        self.user = user
        self.files = tempfile.TemporaryFile("w+"), tempfile.TemporaryFile("w+")
        graft = ["--image", image(mode), "--pull-policy", "Never"] if mode else []
        command = [str(BIN / "podgraft"), verb, "-n", user.cluster.namespace, *graft, *map(str, args)]
        self.began = time.monotonic()
        self.process = subprocess.Popen(command, env=user.env, stdout=self.files[0], stderr=self.files[1], stdin=subprocess.DEVNULL)
        self.kib = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def said(self, which=1):
        self.files[which].seek(0)
        return self.files[which].read()

    def is_on(self):
        return self.process.poll() is None

    def _watch(self):
        """Sees how much memory it holds, for as long as it runs."""
        status = Path(f"/proc/{self.process.pid}/status")
        with contextlib.suppress(OSError, TypeError):  # it has ended
            while True:
                self.kib = int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1])
                time.sleep(0.02)

    def end(self, timeout=40, interrupt=False):
        """Waits for its end, after a Ctrl-C if one is due."""
        if interrupt:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(stretched(timeout))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        return Outcome(self.process.returncode, self.said(0), self.said(1), time.monotonic() - self.began, self.kib)
