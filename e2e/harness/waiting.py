"""Deadlines are promises, and the machine decides how much a promise may be stretched."""

import os
import time

# 1, or what the sanitized programs need more: E2E_SLOW=3.
SLOW = float(os.environ.get("E2E_SLOW", "1"))


def stretched(seconds):
    """A promised time on this machine, with these programs."""
    return seconds * SLOW


def until(condition, timeout=30, interval=0.05, what="the condition"):
    """Waits for `condition()` to be true and returns what it returned. The time is stretched. `what`: words, or makes them.

    It fails when an attempt that began after that time fails: attempts take time themselves.
    """
    limit = stretched(timeout)
    end = time.monotonic() + limit
    while True:
        is_last = time.monotonic() > end
        value = condition()
        if value:
            return value
        if is_last:
            said = what() if callable(what) else what
            raise AssertionError(f"{said}: not within {limit:g} s; last: {value!r}")
        time.sleep(interval)
