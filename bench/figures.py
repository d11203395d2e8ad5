"""Every figure of a run, by what was measured, where, and of whom."""

import collections
import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Key:
    path: str           # "local", "slow", or "" for what no path has a part in
    what: str           # "bulk from 8"
    who: str            # "podgraft"
    transport: str = ""


class Figures:
    def __init__(self):
        self._values = collections.defaultdict(list)
        self.failures = []

    def add(self, path, what, who, value, transport=""):
        self._values[Key(path, what, who, transport)].append(value)

    def median(self, path, what, who, transport=""):
        """Of the repetitions; None when it was not measured."""
        values = self._values.get(Key(path, what, who, transport))
        return statistics.median(values) if values else None

    def best(self, path, what, who, highest=True):
        """(value, transport) of its best transport; (None, "") when it was not measured."""
        found = [(statistics.median(values), key.transport) for key, values in self._values.items()
                 if (key.path, key.what, key.who) == (path, what, who)]
        return (max if highest else min)(found, default=(None, ""))

    def whats(self, path, prefix):
        """What was measured there under names that begin so, in the order in which it was."""
        return list(dict.fromkeys(key.what for key in self._values if key.path == path and key.what.startswith(prefix)))

    def contenders(self, path):
        """(who, transport) pairs of a path, in the order in which they came."""
        return list(dict.fromkeys((key.who, key.transport) for key in self._values if key.path == path))

    def rows(self):
        """For --json: one object for each figure, with all its repetitions."""
        return [{"path": k.path, "what": k.what, "who": k.who, "transport": k.transport, "median": statistics.median(v), "values": v}
                for k, v in self._values.items()]
