"""Starts a program detached, remembers it in a file, and ends that very process and no other."""

import json
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

from paths import LabError, write_file


def _boot_id():
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def stat(pid):
    """(state letter, start time in ticks since boot) of a process, or None when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])


class Process:
    """One program of the lab: its log, and its record of pid, start time and command line."""

    def __init__(self, name, state):
        self.name = name
        self.log = state / "log" / f"{name}.log"
        self.record = state / "run" / f"{name}.json"

    def _read(self):
        try:
            told = json.loads(self.record.read_text())
        except (OSError, ValueError):
            return None
        return told if told.get("boot") == _boot_id() else None

    def pid(self):
        """Its pid while it lives, else None: a number that another process got does not count."""
        told = self._read()
        now = stat(told["pid"]) if told else None
        if not now or now[0] in "ZX" or now[1] != told["started"]:
            return None
        return told["pid"]

    def stopped(self):
        """Whether it lives but was stopped (SIGSTOP), so that it will never answer."""
        pid = self.pid()
        return bool(pid) and (stat(pid) or ("", 0))[0] in "Tt"

    def runs_as(self, command):
        """Whether it lives and was started with exactly this command."""
        return self.pid() is not None and self._read()["command"] == [str(c) for c in command]

    def start(self, command, env=None):
        """Starts it in a session of its own, so that it outlives the caller and its terminal."""
        command = [str(c) for c in command]
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "ab") as log:
            log.write(f"--- {' '.join(command)}\n".encode())
            log.flush()
            # Pods inherit it from containerd; a Go program passes its children the old soft limit.
            _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            # Not waited for: it belongs to init as soon as this program ends.
            proc = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                    cwd="/", env=env, start_new_session=True)
        now = stat(proc.pid)
        if not now:
            raise LabError(f"{self.name} ended at once", f"its words are in {self.log}")
        write_file(self.record, json.dumps({"pid": proc.pid, "started": now[1],
                                            "boot": _boot_id(), "command": command}))

    def stop(self, grace_s=3):
        """TERM, then KILL after the grace. Fine when it is gone already."""
        pid = self.pid()
        if pid:
            if self.stopped():
                os.kill(pid, signal.SIGKILL)
            for number, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 10)):
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    break
                deadline = time.monotonic() + wait_s
                while self.pid() == pid and time.monotonic() < deadline:
                    time.sleep(0.02)
                if self.pid() != pid:
                    break
            else:
                raise LabError(f"{self.name} (process {pid}) does not end")
        self.record.unlink(missing_ok=True)

    def last_words(self, lines=5):
        """The end of its log, for messages."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join("  " + line[:300] for line in text.splitlines()[-lines:])
