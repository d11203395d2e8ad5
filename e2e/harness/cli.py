"""podgraft run to its end: what it says, how long it takes, and how a refusal must look."""

import json
import re
import shlex
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from .rights import await_right
from .tools import BIN
from .waiting import stretched

SECONDS = stretched(20)  # in which every refusal comes
# What may stand before a refusal: kubectl's line, the choice of a pod, waits, the server's own warnings.
REMARKS = re.compile(r'Defaulted container "|pod \'.*\' of .* more matched$|waiting for |warning: |Ctrl-C gives|port \d+ of pod ')


@dataclass
class Ran:
    code: int
    out: str
    words: str      # of standard error
    seconds: float

    def json(self):
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class Refusal:
    message: str
    hint: str
    code: int
    said: str


def run(user, verb, *args, namespace=None, env=None, timeout=60):
    """Runs `podgraft VERB ...` as that user, with the image under test. `namespace` "" leaves it to the kubeconfig."""
    where = user.cluster.namespace if namespace is None else namespace
    command = [BIN / "podgraft", verb, *(["-n", where] if where else []), *map(str, args)]
    policy = {"PODGRAFT_IMAGE": user.cluster.image}
    began = time.monotonic()
    done = subprocess.run(command, env={**user.env, **policy, **(env or {})}, text=True, capture_output=True, timeout=timeout,
                          stdin=subprocess.DEVNULL, check=False)
    return Ran(done.returncode, done.stdout, done.stderr, time.monotonic() - began)


def ran(user, verb, *args, **more):
    """The same for what must succeed: its standard output."""
    done = run(user, verb, *args, **more)
    assert done.code == 0, done.words
    return done.out


def refused(user, verb, *args, whole=False, **more):
    """Runs it for people and for programs at once: both are refused in seconds, with one message and one hint, and agree.

    With `whole` nothing but those two lines may be said.
    """
    with ThreadPoolExecutor() as pool:
        text, data = pool.map(lambda form: run(user, verb, *form, *args, **more), ([], ["--output", "json"]))
    assert text.code == data.code != 0, (text, data)
    assert max(text.seconds, data.seconds) < SECONDS, (text, data)
    *before, message, hint = text.words.rstrip("\n").split("\n")
    assert message.startswith("podgraft: ") and hint.startswith("  hint: "), text.words
    assert all(REMARKS.match(line) for line in before) and not (whole and before), text.words
    assert text.out == "" and data.words == "", (text.out, data.words)
    error = next(line["error"] for line in data.json() if "error" in line)
    found = Refusal(message[len("podgraft: "):], hint[len("  hint: "):], text.code, text.words)
    assert same(error["message"]) == same(found.message) and same(error["hint"]) == same(found.hint), (error, text.words)
    assert error["code"] == found.code
    assert error["class"] == ["", "internal", "usage", "cluster", "target", "link", "local"][found.code]
    return found


def same(text):
    """A message without what differs between two tries."""
    return re.sub(r"podgraft-[a-z0-9]{5}\b", "podgraft-?", text)


def follow(hint, user):
    """Runs the commands that a hint gives to an administrator, up to where it goes on in words; what they allow then holds."""
    for command in re.findall(r"kubectl [^;]+", hint):
        subprocess.run(shlex.split(command.split(", and ")[0]), env=user.cluster.env, check=False, capture_output=True)
    if (role := re.search(r"--verb=(\w+) --resource=(\w+(?:/\w+)?)", hint)) and (person := re.search(r" --user=([^\s;]+)", hint)):
        await_right(user.cluster, *role.groups(), "--as", person[1])
