"""A case of torture: what is done, and what came of it."""

import subprocess
from dataclasses import dataclass
from typing import Callable

from harness.sockets import ending

CASES = []


@dataclass(frozen=True)
class Outcome:
    words: str          # the same each time, so no figures that differ from run to run
    good: bool = False


@dataclass(frozen=True)
class Size:
    """How much of it: all, or what continuous integration has the time for."""

    bytes: int
    byte_writes: int
    crowd: int
    zero_window_seconds: int
    idle_seconds: int


FULL = Size(bytes=1 << 30, byte_writes=20000, crowd=10000, zero_window_seconds=60, idle_seconds=60)
SHORT = Size(bytes=256 << 20, byte_writes=5000, crowd=1000, zero_window_seconds=5, idle_seconds=5)


@dataclass(frozen=True)
class Case:
    name: str
    what: str           # what is done; {size.FIELD} stands for how much of it
    run: Callable

    def described(self, size):
        return self.what.format(size=size, mib=size.bytes >> 20)


def case(name, what):
    """Makes a case of a function that takes a line and a size, and returns an outcome."""
    def register(function):
        CASES.append(Case(name, what, function))
        return function
    return register


def carried(words=""):
    return Outcome(f"carried through{': ' if words else ''}{words}", True)


def lost(words):
    return Outcome(f"lost: {words}")


def judged(is_good, good_words, bad_words):
    return carried(good_words) if is_good else lost(bad_words)


def seen(s):
    """What the holder of a socket sees of the connection's end: "a FIN", "a reset", or "nothing" for some seconds."""
    try:
        return {"fin": "a FIN", "reset": "a reset"}[ending(s)]
    except TimeoutError:
        return "nothing"


def attempt(one, line, size):
    """Runs a case on a line: its outcome, whatever happens, and what became of the line."""
    try:
        outcome = one.run(line, size)
    except TimeoutError:
        outcome = Outcome("hung: nothing for 5 s")
    except subprocess.TimeoutExpired as error:
        outcome = Outcome(f"hung: not done after {error.timeout:g} s")
    except ConnectionResetError:
        outcome = lost("the connection is reset")
    except (OSError, AssertionError) as error:
        outcome = lost(" ".join(str(error).split())[:160])
    after = line.aftermath()
    return Outcome(f"{outcome.words}; {after}", False) if after else outcome
