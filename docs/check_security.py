#!/usr/bin/env python3
"""Checks docs/security.md: every test that it names exists, and every attempt in its tables names one.

Tests are named `file::test`: a function of that name, or in C also a row of a table of that name. Prints what is wrong, one
finding a line; the exit status is 1 then.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "security.md"
NAMED = re.compile(r"`([\w/.-]+\.(?:c|py))::([^`]+)`")
FILES = re.compile(r"`((?:agent|injector|proto|e2e|docs)/[\w/.-]+\.\w+)(?:::[^`]*)?`")
TABLE = "| attempt | what stops it | shown by |"


def exists(path, name):
    if not path.is_file():
        return False
    text = path.read_text()
    if path.suffix == ".py":
        return re.search(rf"^def {re.escape(name)}\(", text, re.M) is not None
    return re.search(rf"^static void {re.escape(name)}\(void \*\*state\)", text, re.M) is not None or f'"{name}"' in text


def attempts(lines):
    """(number, line) of every row of the tables of attempts."""
    inside = False
    for number, line in enumerate(lines, 1):
        inside = line == TABLE or inside and line.startswith("|")
        if inside and line != TABLE and not line.startswith("| ---"):
            yield number, line


def findings():
    lines = PAGE.read_text().splitlines()
    rows = list(attempts(lines))
    if len(rows) < 10:
        yield 1, "the tables of attempts are not to be found"
    for number, line in rows:
        if not NAMED.search(line):
            yield number, "an attempt without a test that shows that it fails"
    for number, line in enumerate(lines, 1):
        for path in FILES.findall(line):
            if not (ROOT / path).exists():
                yield number, f"no file {path}"
        for path, name in NAMED.findall(line):
            if not exists(ROOT / path, name):
                yield number, f"no test {name!r} in {path}"


def main():
    found = list(findings())
    for number, what in found:
        print(f"docs/security.md:{number}: {what}")
    return 1 if found else 0


sys.exit(main())
