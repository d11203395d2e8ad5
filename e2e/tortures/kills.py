"""`kill -9` of everything that takes part. What is open cannot live on; what matters is how it ends, and what comes after."""

import os
import signal
import time

from harness.sockets import dial, echoes, read_exactly
from harness.waiting import until

from .case import Outcome, case, seen
from .lines import ForwardLine, await_app, kill_app

NOT_THERE = Outcome("there is none", True)


def _within(condition, seconds):
    try:
        until(condition, timeout=seconds)
        return True
    except AssertionError:
        return False


def _told(*statements):
    """An outcome of (whether it is as it should be, words) pairs."""
    return Outcome("; ".join(words for _, words in statements), all(good for good, _ in statements))


def _ends(client, program):
    """How an open connection ends for both, when both can be told."""
    is_told = "nothing" not in (client, program)
    return is_told, f"an open connection ends: the client sees {client}, the program sees {program}"


def _back_to_app(line, seconds):
    is_back = _within(lambda: line.answered_by() == "app", seconds)
    return is_back, f"the app answers {'within' if is_back else 'not within'} {seconds} s"


@case("kill -9 of the agent", "With a connection open.")
def _(line, _size):
    if isinstance(line, ForwardLine):
        return NOT_THERE
    with line.joined() as (client, server):
        os.kill(line.agent(), signal.SIGKILL)
        app = _back_to_app(line, 1)
        ends = _ends(seen(client), seen(server))
    line.redirect.up = line.redirect.event("resumed", timeout=30)
    is_back = _within(lambda: line.answered_by() == "laptop", 5)
    return _told(ends, app, (is_back, "the redirect comes back by itself" if is_back else "the redirect does not come back"))


@case("kill -9 of the tool", "Of podgraft, or of kubectl, on the laptop, with a connection open.")
def _(line, _size):
    with line.joined() as (client, server):
        line.process.kill()
        line.process.wait()
        ends = _ends(seen(client), seen(server))
    if isinstance(line, ForwardLine):
        new = (True, "clients are served" if line.serves() else "clients are refused")
        line.restart()
        return _told(ends, new)
    app = _back_to_app(line, 15)
    clean = _within(lambda: line.pod.rules() == line.rules, 15)
    line.restart()
    return _told(ends, app, (clean, "no rule stays" if clean else "rules stay"))


@case("kill -9 of the program", "Of the one that serves, with a connection open; it is started again later.")
def _(line, _size):
    with dial(line.host, line.port("echo")) as s:
        assert echoes(s)
        line.kill_program()
        how = seen(s)
    ends = (how == "a FIN", f"an open connection ends: the client sees {how}")
    if isinstance(line, ForwardLine):
        with dial(line.host, line.port("echo")) as s:
            new = (True, f"a new one sees {seen(s)}")
    else:
        new = _back_to_app(line, 1)
    time.sleep(0.2)  # so that a tool that ends for that has done so
    again = "started again"
    if line.has_ended():
        new = (False, f"{new[1]}; {line.name} ended")
        again = f"started again, and {line.name} too"
        line.restart()
    line.start_program()
    is_back = _within(line.serves, 10)
    return _told(ends, new, (is_back, f"{again}, it gets {'connections' if is_back else 'none'}"))


@case("kill -9 of the client", "With a connection open.")
def _(line, _size):
    process, server = line.idle_client()
    with server:
        server.sendall(read_exactly(server, 1))
        time.sleep(0.2)  # so that its answer is read: unread bytes would make a reset of the FIN
        process.kill()
        process.wait()
        process.stdin.close()
        how = seen(server)
    return _told((how == "a FIN", f"an open connection ends: the program sees {how}"))


@case("kill -9 of the app", "Of the pod's own program, with a connection open; the kubelet starts it again. With kubectl port-forward "
                            "that connection is to the app itself.")
def _(line, _size):
    if isinstance(line, ForwardLine):
        return _app_behind_forward(line)
    with line.joined() as (client, server):
        killed = kill_app(line.pod)
        server.sendall(b"?")
        good = read_exactly(client, 1) == b"?" and line.serves()
        await_app(line.pod, killed)
        server.sendall(b"?")
        good = good and read_exactly(client, 1) == b"?" and line.serves()
    return _told((good, "nothing happens: open and new connections go on" if good else "connections break"))


def _app_behind_forward(line):
    port = line.forward.ports[line.app_port]
    with dial(line.host, port) as s:
        assert echoes(s)
        killed = kill_app(line.pod)
        how = seen(s)
    await_app(line.pod, killed)
    ends = (False, f"an open connection ends: the client sees {how}")
    try:
        with dial(line.host, port) as s:
            good = echoes(s)
    except (OSError, AssertionError):
        good = False
    ended = f"; {line.name} ended" if line.has_ended() else ""
    return _told(ends, (good, "new ones work once the app is back" if good else f"new ones fail also once the app is back{ended}"))
