#!/usr/bin/env python3
"""Compares docs/errors.md with the messages of the source.

  docs/check_errors.py            prints what differs, one finding a line, as ci/lint does; the exit status is 1 then
  docs/check_errors.py --write    writes the list anew, between the markers in docs/errors.md

Listed is what a pg_fail() says when a pg_hint() or pg_blame() after it names whose fault it is, then every other pg_fail(); only
memory that ran out is not listed. What the program fills in is shown as "…". A row of a table with a member `hint` counts as such a
pair, too. Functions that stand for one of the calls are known by name: see FAILS and HINTS.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "errors.md"
FOLDERS = ("proto/base", "proto/wire", "proto/mux", "proto/io", "injector", "agent")
BEGIN, END = "<!-- written by docs/check_errors.py -->", "<!-- end of what it wrote -->"
CLASSES = {"USER": "usage, exit 2", "CLUSTER": "cluster, exit 3", "TARGET": "target, exit 4", "LINK": "link, exit 5",
           "LOCAL": "local, exit 6"}
OTHERS = ("Without a hint", "Told alone they are of the class internal, exit 1. Most of them end a message from above, after its colon, whose "
          "exit code and hint count then.")
INNER = "…"  # a message that a function further in has made

TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|[A-Za-z_]\w*|\S')
# Calls that say or advise something: where their format stands among the arguments, and what stands in for the one before it.
FAILS = {"pg_fail": (2, None), "pg_kube_bad": (2, "- EINVAL")}
WITH_HINT = {"pg_kube_bad"}  # it advises as well, always the same
HINTS = {"pg_hint": (2, None), "pg_blame": (None, None), "pg_kube_start_hint": (1, "PG_TARGET")}
LEAVES = {"return", "break", "goto", "continue"}
CONDITIONS = {"if", "else", "for", "while"}


def tokens(text):
    """The words of C source without comments and preprocessor lines."""
    text = re.sub(r'("(?:\\.|[^"\\\n])*")|/\*.*?\*/|//[^\n]*', lambda m: m.group(1) or " ", text, flags=re.S)
    text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", " ", text, flags=re.M)
    return TOKEN.findall(text)


def arguments(words, at):
    """The arguments, as lists of words, of the call whose "(" is at `at`."""
    args, depth = [[]], 0
    for word in words[at:]:
        depth += (word in "([{") - (word in ")]}")
        if depth == 0:
            return args
        if word == "," and depth == 1:
            args.append([])
        elif not (word == "(" and depth == 1 and not args[-1] and len(args) == 1):
            args[-1].append(word)
    raise ValueError("a call that does not end")


def texts(words):
    """The texts that an expression may be: its string literals joined, names between them shown as "…"."""
    found = []
    for part in " ".join(words).split(" ? ")[-1].split(" : ") if '"' in " ".join(words) else []:
        pieces = TOKEN.findall(part)
        if any(p.startswith('"') for p in pieces):
            found.append("".join(p[1:-1] if p.startswith('"') else INNER for p in pieces))
    return found


def shown(text):
    """A format as people see it."""
    text = text.replace('\\"', '"').replace("\\n", " ")
    text = re.sub(r"%[-+ #0]*(?:\d+|\*)?(?:\.(?:\d+|\*))?(?:hh|h|ll|l|z|j|t)?[diouxXcsfgp]", INNER, text).replace("%%", "%")
    return re.sub(f"{INNER}+", INNER, text)


def message_of(call, args):
    """What a call such as pg_fail(err, code, format, ...) says, the errno's text included where it adds that."""
    at, code = FAILS[call]
    code, said = code or " ".join(args[at - 1]), []
    if code == "- ENOMEM":
        return []
    for text in texts(args[at]):
        if text.endswith("."):
            said.append(shown(text[:-1]))
        else:
            said.append(shown(text) + ("" if code in ("- EPROTO", "- EINVAL") else f": {INNER}"))
    return said or [INNER]


def hints_of(call, args, helpers):
    """What a call such as pg_hint(err, whose, format, ...) advises: [""] for nothing, "…" for what a table or a peer says."""
    at, _ = HINTS[call]
    if at is None:
        return [""]
    found = texts(args[at])
    if found == ["%s"]:
        found = texts(args[at + 1]) or helpers.get(args[at + 1][0]) or [INNER]
    return [shown(text) for text in found]


def helpers_of(text):
    """The hints that functions of a file return, by the functions' names."""
    found = {}
    for made in re.finditer(r"^static const char \*(\w+)\(.*?\)\n\{(.*?)^\}", text, re.M | re.S):
        said = found.setdefault(made.group(1), [])
        words = tokens(made.group(2))
        while "return" in words:
            words = words[words.index("return") + 1 :]
            said += texts(words[: words.index(";")])
    return found


def calls_in(words):
    """(name, arguments) of each call in these words that says or advises something."""
    for at, word in enumerate(words[:-1]):
        if (word in FAILS or word in HINTS) and words[at + 1] == "(":
            yield word, arguments(words, at + 1)


def hints_of_callee(name):
    """(class, hint) that a function of WITH_HINT gives, as its definition has them."""
    for text in sources():
        if made := re.search(rf"^int {name}\(.*?^\}}", text, re.M | re.S):
            args = next(args for call, args in calls_in(tokens(made.group())) if call == "pg_hint")
            return args[1][-1], hints_of("pg_hint", args, {})
    raise ValueError(f"{name} is nowhere defined")


class Function:
    """Follows the messages through the blocks of one function: which may have been said when a hint is given."""

    def __init__(self, helpers):
        self.pairs = set()
        self.said = set()
        self.helpers = helpers
        self.blocks = [[[], []]]  # of each: what was said before it, and what is said by now

    def statement(self, words):
        if not words:
            return
        said = self.blocks[-1]
        fails = []
        for word, args in calls_in(words):
            if word in FAILS:
                fails = message_of(word, args)
                self.said |= set(fails)
                said[1] = (said[1] if words[0] in CONDITIONS else []) + fails
                if word in WITH_HINT:
                    self.pair(*hints_of_callee(word), fails)
            else:
                self.pair(HINTS[word][1] or args[1][-1], hints_of(word, args, self.helpers), said[1])
        if words[0] in LEAVES:
            said[1] = list(said[0])
        elif fails and "return" in words:
            said[1] = said[1][: -len(fails)]

    def pair(self, whose, hints, messages):
        whose = whose.removeprefix("PG_")
        if whose in CLASSES:
            self.pairs |= {(whose, message, hint) for message in messages or [INNER] for hint in hints}

    def open(self):
        self.blocks.append([list(self.blocks[-1][1]), list(self.blocks[-1][1])])

    def close(self):
        before, now = self.blocks.pop()
        if self.blocks:
            outer = self.blocks[-1][1]
            outer += [message for message in now if message not in outer and message not in before]


def is_value(statement):
    """Whether a brace after these words opens a value, not a block."""
    if statement.count("(") != statement.count(")"):
        return True
    return bool(statement) and statement[0] not in CONDITIONS | {"switch", "do"} and ("=" in statement or statement[0] == "return")


def pairs_of_functions(words, helpers):
    """(class, message, hint) of every function in the words of a file, and ("", message, "") of what stands alone."""
    found, depth, statement, function, inside = set(), 0, [], None, 0
    for at, word in enumerate(words):
        if function and word == "{" and (inside or is_value(statement)):
            inside += 1
            statement.append(word)
        elif word == "}" and inside:
            inside -= 1
            statement.append(word)
        elif word == "{":
            depth += 1
            if depth == 1 and words[at - 1] == ")":
                function = Function(helpers)
            elif function:
                function.statement(statement)
                function.open()
            statement = []
        elif word == "}":
            depth -= 1
            if function:
                function.statement(statement)
                function.close()
                found |= function.pairs | {("", message, "") for message in function.said}
                function = function if depth else None
            statement = []
        elif word == ";" and statement.count("(") == statement.count(")"):
            if function:
                function.statement(statement)
            statement = []
        elif word == ":" and statement and statement[0] in ("case", "default"):
            statement = []
        else:
            statement.append(word)
    return found


def pairs_of_tables(text):
    """The same of tables of hints, whose class is in the row or in the pg_hint() that uses them."""
    used = re.search(r'pg_hint\(\s*err,\s*PG_(\w+),\s*"%s",\s*(?:\w+(?:->|\.))?(?:hint|otherwise)\)', text)
    for table in re.finditer(r"^static const struct (\w+)?(.*?)\w+\[\] = \{\n(.*?)^\};", text, re.M | re.S):
        members = table.group(2) or re.search(rf"^struct {table.group(1)} \{{(.*?)^\}};", text, re.M | re.S).group(1)
        if not re.search(r"\*hint\b", members):
            continue
        for row in re.findall(r"\{(.*?)\}", table.group(3), re.S):
            strings = re.findall(r'"((?:\\.|[^"\\])*)"', re.sub(r'"\s*"', "", row))
            whose = re.search(r"\bPG_(\w+)", row)
            whose = whose.group(1) if whose and whose.group(1) in CLASSES else used.group(1)
            yield whose, f"{INNER}{shown(strings[-2])}{INNER}", shown(strings[-1])


def sources():
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).glob("*.c")):
            if not path.name.startswith(("test_", "fuzz_")):
                yield path.read_text(encoding="utf-8")


def pairs():
    found = set()
    for text in sources():
        found |= pairs_of_functions(tokens(text), helpers_of(text))
        found |= set(pairs_of_tables(text))
    explained = {(whose, message) for whose, message, hint in found if hint}
    empty = {pair for pair in found if pair[2] in ("", INNER) and not re.search(r"\w", pair[1])}
    listed = {message for whose, message, _ in found if whose}
    return found - empty - {(whose, message, "") for whose, message in explained} - {("", message, "") for message in listed}


def lines():
    """The list as it belongs between the markers."""
    found = pairs()
    yield BEGIN
    for whose, title in CLASSES.items():
        yield from ("", f"### {title[0].upper()}{title[1:]}", "", "| message | hint |", "| --- | --- |")
        rows = sorted((message.lower(), message, hint) for of, message, hint in found if of == whose)
        for _, message, hint in rows:
            yield f"| {message} | {hint} |".replace("  |", " |").replace("<", "&lt;")
    yield from ("", "### " + OTHERS[0], "", OTHERS[1], "", "| message |", "| --- |")
    yield from (f"| {message} |".replace("<", "&lt;") for message in sorted((m for of, m, _ in found if not of), key=str.lower))
    yield from ("", END)


def main():
    if sys.argv[1:] not in ([], ["--write"]):
        sys.exit(__doc__)
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN, 1)
    written, after = rest.split(END, 1)
    wanted = list(lines())
    if sys.argv[1:]:
        PAGE.write_text(before + "\n".join(wanted) + after, encoding="utf-8")
        return
    here = (BEGIN + written + END).split("\n")
    first = before.count("\n") + 1
    findings = [f"docs/errors.md:{first}: errors: lacks: {row}" for row in wanted if row and row not in here]
    findings += [f"docs/errors.md:{first + at}: errors: nothing says: {row}" for at, row in enumerate(here) if row not in wanted]
    if not findings and here != wanted:
        findings = [f"docs/errors.md:{first}: errors: the list is in another order"]
    if findings:
        findings.append(f"docs/errors.md:{first}: errors: docs/check_errors.py --write writes the list anew")
    print("".join(f"{finding}\n" for finding in findings), end="")
    sys.exit(1 if findings else 0)


main()
