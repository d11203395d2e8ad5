#!/usr/bin/env python3
"""Compares the events in docs/man/podgraft.1 with the source: each event on its own, with every call that says it, both ways. Prints
what differs, one finding a line, as ci/lint does; the exit status is 1 then.

In the source an event is a call pg_output_event(output, "NAME", FORMAT, "MEMBER", value, ...). The members of objects within it are
those of FORMAT, and those of each json_pack() in the same function and in the functions that are called for its values.

In the manual it is an item of the section EVENTS: ".It Cm NAME", with each member, and each member of an object within it, as
".Dq MEMBER". An item of several names, ".It Cm NAME , NAME", tells of events that have the same members.
"""

import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "man" / "podgraft.1"
WITHIN = {"credential", "status"}               # what a podgraft of --all-pods tells the one that started it
NAMED_BY_CALLERS = {"event": "pg_run_say_up"}   # a name that is an argument: of this function, in whose calls it stands
ADDED = {"pod"}                                 # members that --all-pods adds to what one of its pods has said (injector/post.c)
TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|[A-Za-z_]\w*|\S')
CODES = "sSiIfbnoO"

Emitter = collections.namedtuple("Emitter", "where own inner")  # a call: "file", its members, those of objects within them


def words_of(text):
    text = re.sub(r'("(?:\\.|[^"\\\n])*")|/\*.*?\*/', lambda m: m.group(1) or " ", text, flags=re.S)
    text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", " ", text, flags=re.M)
    return TOKEN.findall(text)


def functions(words):
    """{name: words of its body} of all functions that are defined there."""
    found, depth, name, begin = {}, 0, None, 0
    for at, word in enumerate(words):
        if word == "{":
            if depth == 0 and words[at - 1] == ")":
                begin = at
            depth += 1
        elif word == "}":
            depth -= 1
            if depth == 0 and begin:
                found[name] = words[begin : at + 1]
            if depth == 0:
                name, begin = None, 0
        elif depth == 0 and word == ";":
            name = None
        elif depth == 0 and not name and words[at + 1 : at + 2] == ["("]:
            name = word
    return found


def calls(words, name):
    """The arguments, as lists of words, of each call of that function."""
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
    """The names of the object that json_pack(form, args...) makes, and those of the objects in it."""
    own, inner, at, is_key, depth = set(), set(), 0, False, 0
    for code in form:
        depth += (code == "{") - (code == "}")
        if code in "{,":
            is_key = True
        elif code == ":":
            is_key = False
        elif code in CODES:
            if is_key:
                (own if depth == 1 else inner).add(text_of(args[at]) or "")
            at += code != "n"
    return own, inner


def packed(body):
    """The names in all objects that a function makes with json_pack()."""
    found = set()
    for args in calls(body, "json_pack"):
        found = found.union(*members(text_of(args[0]) or "", args[1:]))
    return found


def said():
    """{event: [its emitters]} of the source."""
    events, callers, bodies = {}, {}, {}
    for path in sorted((ROOT / "injector").glob("*.c")):
        if not path.name.startswith(("test_", "fuzz_")):
            bodies[path.name] = functions(words_of(path.read_text(encoding="utf-8")))
    for variable, function in NAMED_BY_CALLERS.items():
        everything = [word for defined in bodies.values() for body in defined.values() for word in body]
        callers[variable] = {text_of(args[1]) for args in calls(everything, function)}
    for file, defined in bodies.items():
        for body in defined.values():
            for args in calls(body, "pg_output_event"):
                own, inner = members(text_of(args[2]), args[3:])
                helpers = {word for arg in args[3:] for word in arg if word in defined}
                inner = inner.union(packed(body), *(packed(defined[helper]) for helper in helpers))
                for name in ({text_of(args[1])} if text_of(args[1]) else callers[args[1][-1]]) - WITHIN:
                    events.setdefault(name, []).append(Emitter(f"injector/{file}", own, inner))
    return events


def told():
    """[(line, names, members)] of the manual."""
    items, inside = [], False
    for number, line in enumerate(PAGE.read_text(encoding="utf-8").split("\n"), 1):
        if line.startswith(".Sh"):
            inside = line == ".Sh EVENTS"
        elif inside and line.startswith(".It Cm "):
            items.append((number, [name for name in line.split()[2:] if name != ","], set()))
        elif items and inside and line.startswith(".Dq "):
            items[-1][2].add(line.split()[1])
        elif items and inside and line == ".El":
            break
    return items


def compare(name, emitters, shown):
    """What is to be said of one event."""
    for emitter in emitters:
        for member in sorted((emitter.own | emitter.inner) - shown):
            yield f"{name} has a member {member} as well ({emitter.where})"
        for member in sorted(shown - emitter.own - emitter.inner - ADDED):
            yield f"{name} has no member {member} ({emitter.where})"
    for member in sorted((shown & ADDED) - set.union(*(emitter.own for emitter in emitters))):
        yield f"{name} has no member {member} of its own"


def findings():
    events = said()
    items = told()
    for name in sorted(set(events) - {name for _, names, _ in items for name in names}):
        yield f"docs/man/podgraft.1:1: events: lacks the event {name}"
    for line, names, shown in items:
        for name in names:
            told_of = compare(name, events[name], shown) if name in events else [f"there is no event {name}"]
            for finding in told_of:
                yield f"docs/man/podgraft.1:{line}: events: {finding}"


def main():
    found = list(findings())
    print("".join(f"{finding}\n" for finding in found), end="")
    sys.exit(1 if found else 0)


main()
