"""`podgraft redirect ... -- CMD`: a program that runs while the redirect is up, and whose status becomes ours."""

import json
import signal

import pytest

from harness.pods import PORTS
from harness.sockets import who
from harness.tools import PEER_BIN

HTTP = PORTS["http"]


@pytest.fixture
def run(same_user, shared_pod, laptop):
    """Runs a program with the file's pod redirected: a CompletedProcess."""
    def run_it(*command):
        return same_user.run("redirect", *same_user.graft, f"pod/{shared_pod.name}", f"{HTTP}:{laptop.ports['http']}", "--", *command)
    return run_it


def test_it_runs_while_the_redirect_is_up(run, shared_pod):
    done = run(PEER_BIN, "get", shared_pod.ip, HTTP)
    assert done.returncode == 0, done.stderr
    assert '"name":"laptop"' in done.stdout
    assert who(shared_pod.ip, HTTP) == "app"


@pytest.mark.parametrize("status", [0, 1, 7, 255])
def test_its_status_is_passed_on(run, status):
    assert run("sh", "-c", f"exit {status}").returncode == status


def test_its_output_is_untouched(run):
    done = run("sh", "-c", "printf 'to stdout'; printf 'to stderr' >&2")
    assert done.stdout == "to stdout"
    assert "to stderr" in done.stderr


def test_with_json_its_output_is_untouched_and_the_events_go_to_stderr(same_user, shared_pod, laptop):
    done = same_user.run("redirect", "-o", "json", *same_user.graft, f"pod/{shared_pod.name}", f"{HTTP}:{laptop.ports['http']}",
                         "--", PEER_BIN, "get", shared_pod.ip, HTTP)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1 and '"name":"laptop"' in done.stdout
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert [e["event"] for e in events if e["event"] in ("ready", "ended")] == ["ready", "ended"]


def test_with_json_who_served_whom_is_told_beside_a_program(same_user, shared_pod, laptop):
    r = same_user.redirect_to(laptop, shared_pod, "http", options=("--", "sleep", "60"))
    assert who(shared_pod.ip, HTTP) == "laptop"
    r.counts(lambda counts: counts["laptop"] == 1)
    r.process.terminate()  # the program, that is
    assert r.wait() == 128 + signal.SIGTERM


def test_a_program_that_is_not_found_is_127(run):
    done = run("podgraft-no-such-program")
    assert done.returncode == 127
    assert "podgraft-no-such-program" in done.stderr


def test_a_program_that_cannot_be_run_is_126(run, tmp_path):
    plain = tmp_path / "plain.txt"
    plain.write_text("not a program\n")
    assert run(plain).returncode == 126


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGKILL])
def test_a_program_that_is_killed_is_128_and_the_signal(run, signo):
    assert run("sh", "-c", f"kill -{int(signo)} $$").returncode == 128 + signo


def test_a_redirect_that_cannot_be_is_125_and_the_program_does_not_run(same_user, tmp_path):
    ran = tmp_path / "ran"
    done = same_user.run("redirect", *same_user.graft, "pod/no-such-pod", "80:80", "--", "touch", ran)
    assert done.returncode == 125
    assert "no-such-pod" in done.stderr
    assert not ran.exists()
