#!/usr/bin/env python3
"""Compares the list of events in docs/man/podgraft.1 with the source, both ways. Prints what differs, one finding a line, as
ci/lint does; the exit status is 1 then.

In the source an event is a call pg_output_event(output, "NAME", FORMAT, "MEMBER", value, ...). In the manual it is an item of the
section EVENTS: ".It Cm NAME , NAME", with each member as ".Dq MEMBER", or ".Cm NAME" where the members of another item are meant.
A member that the manual names may also be one of an object within an event.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "man" / "podgraft.1"
WITHIN = {"credential", "status"}               # what a podgraft of --all-pods tells the one that started it
NAMED_BY_CALLERS = {"event": "pg_run_say_up"}   # a name that is an argument: of this function, in whose calls it stands
TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|[A-Za-z_]\w*|\S')
CODES = "sSiIfbnoO"


def words_of(text):
    text = re.sub(r'("(?:\\.|[^"\\\n])*")|/\*.*?\*/', lambda m: m.group(1) or " ", text, flags=re.S)
    return TOKEN.findall(text)


def calls(words, name):
    """The arguments, as lists of words, of each call of that function; declarations are taken for calls, and have no texts."""
    for at, word in enumerate(words[:-1]):
        if word != name or words[at + 1] != "(":
            continue
        args, depth = [[]], 0
        for inner in words[at + 1 :]:
            depth += (inner in "([{") - (inner in ")]}")
            if depth == 0:
                break
            if inner == "," and depth == 1:
                args.append([])
            elif (inner, depth) != ("(", 1) or args != [[]]:
                args[-1].append(inner)
        yield args


def text_of(arg):
    """What the string literals of an argument say, together; None when it has none."""
    parts = [word[1:-1] for word in arg if word.startswith('"')]
    return "".join(parts) if parts else None


def members(form, args):
    """The names of an object that json_pack(form, args...) makes, and of those in it."""
    found, at, is_key = set(), 0, False
    for code in form:
        if code == "{":
            is_key = True
        elif code == ",":
            is_key = True
        elif code == ":":
            is_key = False
        elif code in CODES:
            if is_key:
                found.add(text_of(args[at]) or "")
            at += code != "n"
    return found


def sources():
    for path in sorted((ROOT / "injector").glob("*.c")):
        if not path.name.startswith(("test_", "fuzz_")):
            yield words_of(path.read_text(encoding="utf-8"))


def said():
    """({event: members}, all members of all objects) of the source."""
    events, packed, callers = {}, set(), {}
    for words in sources():
        for args in calls(words, "json_pack"):
            packed |= members(text_of(args[0]) or "", args[1:])
        for variable, function in NAMED_BY_CALLERS.items():
            callers.setdefault(variable, set()).update(text_of(args[1]) for args in calls(words, function) if text_of(args[1]))
    for words in sources():
        for args in calls(words, "pg_output_event"):
            form = text_of(args[2]) if len(args) > 2 else None
            if form is None:
                continue
            names = {text_of(args[1])} if text_of(args[1]) else callers[args[1][-1]]
            for name in names - WITHIN:
                events.setdefault(name, set()).update(members(form, args[3:]))
    return events, packed.union(*events.values())


def told():
    """[(line, names, members, names of other items)] of the manual."""
    items, inside = [], False
    for number, line in enumerate(PAGE.read_text(encoding="utf-8").split("\n"), 1):
        if line.startswith(".Sh"):
            inside = line == ".Sh EVENTS"
        elif inside and line.startswith(".It Cm "):
            items.append((number, [name for name in line.split()[2:] if name != ","], set(), set()))
        elif items and inside and line.startswith((".Dq ", ".Cm ")):
            items[-1][2 if line.startswith(".Dq") else 3].add(line.split()[1])
        elif items and inside and line == ".El":
            break
    return items


def findings():
    events, packed = said()
    items = told()
    own = {name: shown for _, names, shown, _ in items for name in names}
    for name in sorted(set(events) - set(own)):
        yield f"docs/man/podgraft.1:1: events: lacks the event {name}"
    for line, names, shown, others in items:
        for name in names:
            if name not in events:
                yield f"docs/man/podgraft.1:{line}: events: there is no event {name}"
                continue
            seen = shown.union(*(own.get(other, set()) for other in others))
            for member in sorted(events[name] - seen):
                yield f"docs/man/podgraft.1:{line}: events: {name} has a member {member} as well"
        for member in sorted(shown - packed):
            yield f"docs/man/podgraft.1:{line}: events: no object has a member {member}"


def main():
    found = list(findings())
    print("".join(f"{finding}\n" for finding in found), end="")
    sys.exit(1 if found else 0)


main()
