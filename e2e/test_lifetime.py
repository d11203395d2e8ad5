"""Connections live as long as their two ends want, whatever begins and ends around them."""

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time

from harness.pods import PORTS
from harness.sockets import dial, echoes, ending, read_exactly, who
from harness.tools import LocalServer, free_port, stop
from harness.waiting import until

HTTP, GREET, ECHO = PORTS["http"], PORTS["greet"], PORTS["echo"]


def greeted(pod):
    """A connection to the port that says who serves it: the socket, and the name."""
    s = dial(pod.ip, GREET)
    line = b""
    while not line.endswith(b"\n"):
        line += read_exactly(s, 1)
    return s, line.decode().removeprefix("hello from ").strip()


def test_a_connection_opened_before_the_redirect_goes_on_through_its_whole_life(podgraft, shared_pod, laptop):
    old, name = greeted(shared_pod)
    with old:
        assert name == "app"
        r = podgraft.redirect_to(laptop, shared_pod, "greet")
        assert echoes(old)
        new, name = greeted(shared_pod)
        new.close()
        assert name == "laptop" and echoes(old)
        assert r.stop() == 0
        assert echoes(old)


def test_a_connection_opened_during_it_goes_on_to_its_end_while_the_redirect_drains(podgraft, shared_pod, laptop):
    r = podgraft.redirect_to(laptop, shared_pod, "greet")
    old, name = greeted(shared_pod)
    assert name == "laptop"
    r.interrupt()
    assert r.event("draining")["connections"] == 1
    new, name = greeted(shared_pod)
    new.close()
    assert name == "app", "new connections reach the app while old ones drain"
    assert echoes(old) and r.process.poll() is None
    old.close()
    assert r.event("ended")["connections"] == 1
    assert r.wait() == 0


def test_what_is_parked_stays_given_back_when_the_local_program_returns_while_another_port_drains(podgraft, shared_pod, laptop):
    port = free_port()
    r = podgraft.redirect(f"pod/{shared_pod.name}", f"{GREET}:{laptop.ports['greet']}", f"{HTTP}:{port}")
    old, name = greeted(shared_pod)
    with old:
        assert name == "laptop" and who(shared_pod.ip, HTTP) == "app"
        r.counts(lambda counts: counts["parked"] == 1)
        r.interrupt()
        r.event("draining")
        with LocalServer(ports={"http": port}):
            time.sleep(2)  # it would be found within half a second
            assert who(shared_pod.ip, HTTP) == "app"
        assert echoes(old)
    assert r.wait() == 0


def test_ctrl_c_cuts_what_drains_after_the_program_of_a_redirect_has_ended(podgraft, shared_pod, laptop):
    r = podgraft.redirect_to(laptop, shared_pod, "greet", options=("--", "sleep", "2"))
    old, name = greeted(shared_pod)
    with old:
        assert name == "laptop"
        r.event("draining")
        r.interrupt()
        assert r.wait(5) == 0
        assert ending(old) == "reset"


def test_a_second_ctrl_c_cuts_what_drains(podgraft, shared_pod, laptop):
    r = podgraft.redirect_to(laptop, shared_pod, "greet")
    old, _ = greeted(shared_pod)
    with old:
        r.interrupt()
        r.event("draining")
        r.interrupt()
        assert r.wait(5) == 0
        assert ending(old) == "reset"
    assert who(shared_pod.ip, HTTP) == "app"


def test_ctrl_c_with_nothing_open_ends_at_once(podgraft, shared_pod, laptop):
    r = podgraft.redirect_to(laptop, shared_pod, "http")
    assert who(shared_pod.ip, HTTP) == "laptop"
    r.interrupt()
    assert r.wait(3) == 0


def test_sigterm_drains_ten_seconds_at_most(podgraft, shared_pod, laptop):
    r = podgraft.redirect_to(laptop, shared_pod, "greet")
    old, _ = greeted(shared_pod)
    with old:
        r.process.send_signal(signal.SIGTERM)
        r.event("draining")
        assert echoes(old)
        r.wait(13)
        assert ending(old) == "reset"


def test_the_app_crashes_and_restarts_and_the_redirect_goes_on(lab_only, podgraft, pod, laptop):
    podgraft.redirect_to(laptop, pod, "greet")
    old, _ = greeted(pod)
    with old:
        os.kill(pod.pid(), signal.SIGKILL)
        until(lambda: pod.container()["restartCount"] == 1 and "running" in pod.container()["state"], what="a new app container")
        assert echoes(old)
        new, name = greeted(pod)
        new.close()
        assert name == "laptop"


def test_after_draining_nothing_is_left_but_the_idle_agent_which_ends_by_itself(lab_only, podgraft, pod, laptop):
    rules, listeners = pod.rules(), pod.listeners()
    r = podgraft.redirect_to(laptop, pod, "http", options=["--idle", "3s"])
    agent = r.up["container"]
    assert who(pod.ip, HTTP) == "laptop"
    assert r.stop() == 0
    pod.await_rules(rules)
    control = pod.logs(agent).split("listening on ")[1].split()[0]
    assert set(pod.listeners()) - set(listeners) <= {tuple(control.rsplit(":", 1))}
    until(lambda: pod.agents() == [], timeout=10, what="the idle agent's end")
    assert pod.container(agent)["state"]["terminated"]["exitCode"] == 0
    assert pod.listeners() == listeners


@contextlib.contextmanager
def on_terminal(podgraft, pod, pair):
    """A redirect of that pair of ports on a terminal of its own: (process, shows), where shows(pattern) looks through all it has shown."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 200, 0, 0))
    os.set_blocking(master, False)
    shown = []

    def shows(pattern):
        with contextlib.suppress(BlockingIOError):
            shown.append(os.read(master, 65536).decode())
        return re.search(pattern, "".join(shown))
    process = subprocess.Popen(podgraft.command("redirect", *podgraft.graft, pod.name, pair), env={**podgraft.env, "TERM": "xterm"},
                               stdin=slave, stdout=slave, stderr=slave)
    try:
        until(lambda: shows(r"now reaches"), what="the redirect")
        yield process, shows
    finally:
        stop(process)
        os.close(slave)
        os.close(master)


def test_on_a_terminal_one_line_counts_who_served_whom(podgraft, shared_pod):
    with LocalServer() as server, on_terminal(podgraft, shared_pod, f"{HTTP}:{server.ports['http']}") as (process, shows):
        assert who(shared_pod.ip, HTTP) == who(shared_pod.ip, HTTP) == "laptop"
        until(lambda: shows(r"redirecting: 0 open, 2 in all, \d"), timeout=5, what="the line")
        server.close()
        assert who(shared_pod.ip, HTTP) == "app"
        until(lambda: shows(r"parked: 0 open, \d in all, 1 by the app, 0 probes, "), timeout=5, what="the app in the line")
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


def test_the_line_goes_on_counting_after_a_loss(lab_only, podgraft, pod, laptop):
    with on_terminal(podgraft, pod, f"{ECHO}:{laptop.ports['echo']}") as (process, shows):
        with dial(pod.ip, ECHO) as s:
            assert echoes(s, bytes(2_000_000))
        until(lambda: shows(r"redirecting: 0 open, 1 in all, 2\.0 MB in, 2\.0 MB out"), timeout=5, what="what was echoed")
        os.kill(pod.pid(pod.agents()[0]), signal.SIGKILL)
        until(lambda: shows(r"redirecting: 0 open, 1 in all, 2\.0 MB in, 2\.0 MB out, \S+ ms, back 1 time"), what="the same after it")
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


def test_an_agent_that_ended_is_replaced(lab_only, podgraft, pod, laptop):
    first = podgraft.redirect_to(laptop, pod, "http", options=["--idle", "1s"])
    first.stop()
    until(lambda: pod.agents() == [], timeout=10, what="the idle agent's end")
    second = podgraft.redirect_to(laptop, pod, "http")
    assert not second.up["reused"] and second.up["container"] != first.up["container"]
    assert who(pod.ip, HTTP) == "laptop"
