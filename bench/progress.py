"""The line that says what is being measured, how far it is, and how long it will take."""

import sys
import time


def clock(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


class Progress:
    def __init__(self, total):
        self.total, self.done, self.began = total, 0, time.monotonic()
        self.is_terminal = sys.stderr.isatty()

    def gone(self):
        """Seconds since the first step."""
        return time.monotonic() - self.began

    def skip(self):
        """One step less."""
        self.total -= 1

    def _line(self, text):
        gone = self.gone()
        left = f", {clock(gone / self.done * (self.total - self.done))} left" if self.done > 2 else ""
        return f"[{self.done + 1:3}/{self.total}] {clock(gone)}{left}  {text}"

    def begin(self, text):
        """Says what begins; on a terminal the same line tells later what came of it."""
        self.line = self._line(text)
        if self.is_terminal:
            print(f"\r\033[K{self.line} ...", end="", file=sys.stderr, flush=True)

    def end(self, result):
        start = "\r\033[K" if self.is_terminal else ""
        print(f"{start}{self.line}: {result}", file=sys.stderr, flush=True)
        self.done += 1


def say(text):
    print(text, file=sys.stderr, flush=True)
