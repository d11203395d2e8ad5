"""Whose port it is: take-over, status, undo, and events."""

import json
import os
import pathlib
import shutil
import signal
import time
from urllib.parse import urlsplit

import pytest

from harness.cli import ran, run
from harness.faults import stopped
from harness.faults import Clients
from harness.kubeconfigs import OnlyOnce
from harness.pods import PORTS
from harness.rights import await_right
from harness.sockets import dial, read_exactly, who
from harness.tools import LocalServer, Podgraft
from harness.waiting import stretched, until

HTTP, ECHO = PORTS["http"], PORTS["echo"]


@pytest.fixture(scope="module")
def desk():
    """Another developer's program."""
    with LocalServer("desk") as server:
        yield server


# --- take-over ---

def test_a_port_is_taken_over_under_load_without_a_lost_connection_and_the_holder_is_told(podgraft, another_user, pod, laptop, desk):
    first = podgraft.redirect_to(laptop, pod, "http", "echo", "greet")
    with dial(pod.ip, ECHO) as open_one:
        open_one.sendall(b"before")
        assert read_exactly(open_one, 6) == b"before"
        with Clients(pod) as clients:
            another_user.redirect_to(desk, pod, "http", "echo", options=["--take-over"])
            assert {(e["port"], "@" in e["by"]) for e in (first.event("taken"), first.event("taken"))} == {(HTTP, True), (ECHO, True)}
            assert who(pod.ip, HTTP) == "desk"
            report = clients.end()
        assert report["failed"] == 0 and {"laptop", "desk"} <= set(report["names"]), report
        open_one.sendall(b"after")  # what was open goes on to its end
        assert read_exactly(open_one, 5) == b"after"
    with dial(pod.ip, PORTS["greet"]) as s:  # and so do the other ports
        assert read_exactly(s, 18) == b"hello from laptop\n"
    assert "podgraft-takeover" not in pod.rules()
    assert first.stop() == 0


def test_who_has_no_port_left_ends_and_says_why(podgraft, another_user, shared_pod, laptop, desk):
    first = podgraft.redirect_to(laptop, shared_pod, "http")
    second = another_user.redirect_to(desk, shared_pod, "http", options=["--take-over"])
    error = first.error()
    assert f"port {HTTP} was taken over by" in error["message"] and "--take-over" in error["hint"] and error["code"] == 4
    assert first.wait() == 4
    assert who(shared_pod.ip, HTTP) == "desk"
    assert second.stop() == 0


def test_a_port_of_ones_own_other_podgraft_is_taken_over_too(podgraft, shared_pod, laptop, desk):
    first = podgraft.redirect_to(laptop, shared_pod, "http", "greet")
    second = podgraft.redirect_to(desk, shared_pod, "http", options=["--take-over"])
    assert first.up["container"] == second.up["container"]
    assert first.event("taken")["port"] == HTTP
    assert who(shared_pod.ip, HTTP) == "desk"
    assert first.stop() == 0
    assert who(shared_pod.ip, HTTP) == "desk"
    assert second.stop() == 0


@pytest.mark.usefixtures("lab_only")
def test_a_stopped_agent_loses_its_port_with_its_lease_and_does_not_get_it_back(podgraft, another_user, pod, laptop, desk):
    first = podgraft.redirect_to(laptop, pod, "http")
    pid = pod.pid(pod.agents()[0])
    os.kill(pid, signal.SIGSTOP)
    try:
        another_user.redirect_to(desk, pod, "http", options=["--take-over"])
        assert who(pod.ip, HTTP) == "desk"
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: "podgraft-takeover" not in pod.rules(), what="the claim to be the taker's own")
    assert pod.rules().count("podgraft-tcp-8080") == 1
    assert first.up and who(pod.ip, HTTP) == "desk"


# --- a port that somebody else has ---

def echoes(pod):
    """Whether the echo port of the pod answers."""
    with dial(pod.ip, ECHO) as s:
        s.sendall(b"hear")
        return read_exactly(s, 4) == b"hear"


def test_a_port_that_another_has_is_told_and_taken_once_it_is_free_and_the_others_are_up_at_once(podgraft, another_user, pod, laptop, desk):
    first = podgraft.redirect_to(laptop, pod, "http")
    second = another_user.redirect_to(desk, pod, "http", "greet")
    assert [(r["port"], "@" in r.get("held_by", "")) for r in second.up["redirects"]] == [(HTTP, True), (PORTS["greet"], False)]
    held, = (seen for seen in second.seen if seen.get("event") == "held")
    assert held["port"] == HTTP and "@" in held["by"] and abs(held["since"] - time.time()) < 60
    with dial(pod.ip, PORTS["greet"]) as s:
        assert read_exactly(s, 16) == b"hello from desk\n"
    assert who(pod.ip, HTTP) == "laptop"
    assert first.stop() == 0
    assert second.event("freed")["port"] == HTTP
    assert who(pod.ip, HTTP) == "desk"
    assert second.stop() == 0
    assert who(pod.ip, HTTP) == "app"


def test_no_port_that_is_free_is_an_error_at_the_start(podgraft, another_user, shared_pod, laptop, desk):
    first = podgraft.redirect_to(laptop, shared_pod, "http", "greet")
    second = another_user.redirect(f"pod/{shared_pod.name}", f"{HTTP}:{desk.ports['http']}", f"{PORTS['greet']}:{desk.ports['greet']}",
                                   ready=False)
    error = second.error()
    assert f"port {HTTP} is redirected by" in error["message"] and "--take-over" in error["hint"]
    assert second.wait() == 4
    assert first.stop() == 0


@pytest.mark.usefixtures("lab_only")
def test_a_port_taken_while_the_link_was_down_is_told_and_the_others_return(podgraft, another_user, pod, laptop, desk):
    first = podgraft.redirect_to(laptop, pod, "http", "echo")
    with stopped(first.process.pid):
        os.kill(pod.pid(first.up["container"]), signal.SIGKILL)
        second = another_user.redirect_to(desk, pod, "http")
    back = first.event("resumed")
    assert [(r["port"], "held_by" in r) for r in back["redirects"]] == [(HTTP, True), (ECHO, False)]
    assert [seen["port"] for seen in first.seen if seen.get("event") == "held"] == [HTTP]
    assert who(pod.ip, HTTP) == "desk" and echoes(pod)
    assert second.stop() == 0
    assert first.event("freed")["port"] == HTTP
    assert who(pod.ip, HTTP) == "laptop"
    assert first.stop() == 0


@pytest.mark.usefixtures("lab_only")
def test_ctrl_c_ends_at_once_while_a_port_is_waited_for_after_a_loss(podgraft, pod, laptop, desk):
    """The port is in the hands of another podgraft of the same user, which is given a moment to let go of it."""
    first = podgraft.redirect_to(laptop, pod, "http")
    with stopped(first.process.pid):
        os.kill(pod.pid(first.up["container"]), signal.SIGKILL)
        second = podgraft.redirect_to(desk, pod, "http")
    first.event("lost")
    time.sleep(0.5)  # now it asks the agent for its port, again and again
    began = time.monotonic()
    assert first.stop() == 0
    assert time.monotonic() - began < stretched(1)
    assert not any(seen.get("event") == "resumed" for seen in first.seen)
    assert who(pod.ip, HTTP) == "desk"
    assert second.stop() == 0


# --- status ---

@pytest.fixture
def reader(cluster, lab_only, tmp_path):
    """The lab's unprivileged user, who may read pods and logs and nothing else."""
    cluster.apply({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "reader"},
                   "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
                             {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]}]})
    cluster.apply({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "reader"},
                   "subjects": [{"kind": "User", "name": "dev"}],
                   "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}})
    await_right(cluster, "get", "pods/log", "--as", "dev", "--as-group", "developers")
    user = Podgraft(cluster, tmp_path / "reader", KUBECONFIG=cluster.env["LAB_DEV_KUBECONFIG"])
    yield user
    cluster.kubectl("delete", "role,rolebinding", "reader")


def agents_of(user, pod, *words):
    return run(user, "status", pod.name, "--output", "json", *words).json()[-1]["agents"]


def test_status_tells_who_redirects_what_to_who_may_only_read(podgraft, another_user, reader, pod, laptop):
    first = podgraft.redirect_to(laptop, pod, "http", "greet")
    another_user.redirect_to(laptop, pod, "echo")
    shown = {agent["container"]: agent for agent in agents_of(reader, pod)}
    assert set(shown) == set(pod.agents())
    ports = sorted((r["port"], r["state"], r["direction"]) for agent in shown.values() for r in agent["redirects"])
    assert ports == [(ECHO, "redirected", "incoming"), (PORTS["greet"], "redirected", "incoming"), (HTTP, "redirected", "incoming")]
    assert all("@" in r["by"] and abs(r["since"] - time.time()) < 60 for agent in shown.values() for r in agent["redirects"])
    assert not any(agent["yours"] for agent in shown.values())
    assert not pathlib.Path(reader.env["HOME"], "podgraft", "key").exists()
    assert [agent["yours"] for agent in agents_of(podgraft, pod)].count(True) == 1
    head, *rows = ran(reader, "status").splitlines()
    assert head.split() == ["POD", "CONTAINER", "BY", "WHAT", "SINCE", "STATE", "AGE"]
    assert len([row for row in rows if row.startswith(f"{pod.name} ")]) == 3
    assert first.stop() == 0
    mine, = (agent for agent in agents_of(podgraft, pod) if agent["yours"])
    assert mine["state"] == "running" and mine["redirects"] == []
    assert run(reader, "status", "-A").code == 3  # which this user may not


def test_status_says_what_is_parked_and_forgets_what_has_ended(podgraft, pod, laptop):
    podgraft.redirect(f"pod/{pod.name}", f"{HTTP}:1")
    assert who(pod.ip, HTTP) == "app"
    redirect, = agents_of(podgraft, pod)[0]["redirects"]
    assert redirect["state"] == "parked" and redirect["note"] == "the laptop does not answer"
    assert run(podgraft, "undo", pod.name).code == 0
    assert run(podgraft, "undo", pod.name).code == 0  # whether the pod's status shows the end already or not
    until(lambda: not pod.agents(), what="the agent's end")
    assert agents_of(podgraft, pod) == []
    assert "no agent of podgraft" in run(podgraft, "status", pod.name).words
    ended, = agents_of(podgraft, pod, "--all")
    assert ended["state"] == "ended" and ended["redirects"] == []


def test_of_a_laptop_that_vanished_status_says_since_when_until_it_is_back(podgraft, reader, pod, laptop):
    """Nothing of it is left but that note: the port is free for others."""
    podgraft.redirect_to(laptop, pod, "http").kill()
    until(lambda: "8080" not in pod.rules(), what="the end of the rules")
    agent, = agents_of(reader, pod)
    redirect, = agent["redirects"]
    assert (redirect["port"], redirect["state"]) == (HTTP, "parked") and "@" in redirect["by"]
    assert redirect["note"].startswith("laptop away since 2"), redirect
    assert "parked: laptop away since 2" in ran(reader, "status", pod.name)
    podgraft.redirect_to(laptop, pod, "http")
    redirect, = agents_of(reader, pod)[0]["redirects"]
    assert redirect["state"] == "redirected"


# --- undo ---

@pytest.fixture
def same_key(podgraft, cluster, tmp_path):
    """The first user on another laptop: the key was copied, the record was not."""
    other = Podgraft(cluster, tmp_path / "other")

    def copied():
        folder = pathlib.Path(other.env["XDG_STATE_HOME"], "podgraft")
        folder.mkdir(mode=0o700, parents=True)
        shutil.copy(pathlib.Path(podgraft.env["XDG_STATE_HOME"], "podgraft", "key"), folder)
        return other
    yield copied
    other.close()


def test_undo_ends_ones_own_from_another_laptop_with_the_same_key_and_nobody_elses(podgraft, another_user, same_key, pod, laptop):
    mine = podgraft.redirect_to(laptop, pod, "http", "greet")
    another_user.redirect_to(laptop, pod, "echo")
    undone, = run(same_key(), "undo", pod.name, "--output", "json").json()
    assert (undone["event"], undone["pod"], undone["redirects"]) == ("undone", pod.name, 2)
    assert who(pod.ip, HTTP) == "app"
    error = mine.error()
    assert "ended by podgraft undo of" in error["message"] and error["code"] == 4
    assert mine.wait() == 4
    assert not any(seen.get("event") == "resumed" for seen in mine.seen)
    until(lambda: len(pod.agents()) == 1, what="the agent's end")
    assert pod.container(undone["container"])["state"]["terminated"]["exitCode"] == 0
    with dial(pod.ip, ECHO) as s:  # the other user's goes on
        s.sendall(b"still")
        assert read_exactly(s, 5) == b"still"
    done = run(podgraft, "undo", pod.name)
    assert done.code == 0 and "no agent of yours" in done.words


def test_undo_all_ends_what_is_on_record_and_says_what_it_cannot_reach(podgraft, shared_pod, laptop):
    up = podgraft.redirect_to(laptop, shared_pod, "http").up
    record = pathlib.Path(podgraft.env["XDG_STATE_HOME"], "podgraft", "state.json")
    state = json.loads(record.read_text())
    far = {**state["agents"][0], "cluster": "https://far.example:6443", "uid": "00000000", "pod": "far-0"}
    gone = {**state["agents"][0], "uid": "11111111", "pod": "gone-0"}
    record.write_text(json.dumps({**state, "agents": [far, gone, *state["agents"]]}))
    done = run(podgraft, "undo", "--all", namespace="")
    assert f"pod '{shared_pod.name}': {up['container']} ends: 1 redirect" in done.out
    assert "pod 'far-0': no context of the kubeconfig leads to its cluster, https://far.example:6443" in done.words
    assert done.code == 3 and "1 of your agents could not be ended" in done.words
    assert who(shared_pod.ip, HTTP) == "app"
    left, = json.loads(record.read_text())["agents"]
    assert left["pod"] == "far-0" and abs(left["missed"] - time.time()) < 60


def test_undo_all_forgets_agents_of_a_cluster_that_is_out_of_reach_for_a_week_or_when_told_to(podgraft, shared_pod):
    run(podgraft, "inject", shared_pod.name)
    record = pathlib.Path(podgraft.env["XDG_STATE_HOME"], "podgraft", "state.json")
    state = json.loads(record.read_text())

    def undone(days, *options):
        """undo --all with nothing on record but an agent of a cluster that has not been reached for so long."""
        far = {**state["agents"][0], "cluster": "https://far.example:6443", "missed": int(time.time() - days * 86400)}
        record.write_text(json.dumps({**state, "agents": [far]}))
        done = run(podgraft, "undo", "--all", *options, namespace="")
        assert "leads to its cluster, https://far.example:6443" in done.words
        return done.code, len(json.loads(record.read_text())["agents"])
    assert undone(6.9) == (3, 1)
    assert undone(7.1) == (0, 0)
    assert undone(1, "--forget") == (0, 0)


def test_undo_says_of_an_agent_that_has_not_started_that_it_cannot_be_told_to_end(podgraft, pod):
    refused = run(podgraft, "redirect", pod.name, "8080", "--image", "localhost/no-such:1", "--pull-policy", "Never")
    assert refused.code == 4, refused.words
    record = pathlib.Path(podgraft.env["XDG_STATE_HOME"], "podgraft", "state.json")

    def recorded():
        return [a["container"] for a in json.loads(record.read_text())["agents"] if a["uid"] == pod.uid]
    asked, = recorded()
    done = run(podgraft, "undo", "--all", namespace="")
    assert done.code == 4 and "1 of your agents could not be ended" in done.words, done.words
    assert f"pod '{pod.name}': {asked} has not started, so it cannot be told to end" in done.words
    assert "should it start yet, it ends by itself after its idle time" in done.words
    assert recorded() == [asked]  # the next redirect waits for it instead of asking for another
    done = run(podgraft, "undo", "--all", "--forget", namespace="")
    assert done.code == 0 and f"{asked} has not started; it is forgotten" in done.words
    assert recorded() == []


@pytest.mark.usefixtures("lab_only")
def test_undo_takes_an_api_server_that_ends_for_no_agent_that_has_ended(podgraft, shared_pod):
    run(podgraft, "inject", shared_pod.name)
    record = pathlib.Path(podgraft.env["XDG_STATE_HOME"], "podgraft", "state.json")
    agent, = json.loads(record.read_text())["agents"]
    there = urlsplit(agent["cluster"])
    server = f"https://127.0.0.1:{OnlyOnce((there.hostname, there.port)).port}"
    record.write_text(record.read_text().replace(agent["cluster"], server))
    done = run(podgraft, "undo", shared_pod.name, "--server", server)
    assert done.code == 3 and f"connect to {server}: Connection refused" in done.words, done.words
    assert [a["container"] for a in json.loads(record.read_text())["agents"]] == [agent["container"]]


def test_undo_without_a_key_changes_nothing_and_makes_none(cluster, tmp_path):
    nobody = Podgraft(cluster, tmp_path)
    done = run(nobody, "undo")
    assert done.code == 6 and "no key of podgraft here" in done.words
    assert not pathlib.Path(tmp_path, "podgraft", "key").exists()


# --- events ---

def events(cluster, pod):
    found = cluster.get("events", "--field-selector", f"involvedObject.uid={pod.uid}")["items"]
    return {event["reason"]: event["message"] for event in found if event["source"].get("component") == "podgraft"}


def test_event_tells_on_the_pod_of_the_redirect_and_of_its_end(podgraft, cluster, shared_pod, laptop):
    redirect = podgraft.redirect_to(laptop, shared_pod, "http", "echo", options=["--event"])
    until(lambda: "PodgraftRedirect" in events(cluster, shared_pod), what="the event of its start")
    assert "PodgraftStopped" not in events(cluster, shared_pod)
    assert redirect.stop() == 0
    told = events(cluster, shared_pod)
    assert told["PodgraftRedirect"].endswith(f"redirects ports {HTTP}, {ECHO}") and "@" in told["PodgraftRedirect"]
    assert told["PodgraftStopped"].endswith(f"redirects ports {HTTP}, {ECHO} no longer")


def test_event_without_the_right_is_one_warning_and_the_redirect_works(cluster, lab_only, tmp_path, shared_pod, laptop):
    rules = [{"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list", "watch"]},
             {"apiGroups": [""], "resources": ["pods/ephemeralcontainers"], "verbs": ["patch"]},
             {"apiGroups": [""], "resources": ["pods/portforward"], "verbs": ["get", "create"]}]
    cluster.apply({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "no-events"}, "rules": rules})
    cluster.apply({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "no-events"},
                   "subjects": [{"kind": "User", "name": "dev"}],
                   "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "no-events"}})
    await_right(cluster, "patch", "pods/ephemeralcontainers", "--as", "dev", "--as-group", "developers")
    before = events(cluster, shared_pod)
    dev = Podgraft(cluster, tmp_path, KUBECONFIG=cluster.env["LAB_DEV_KUBECONFIG"])
    try:
        redirect = dev.redirect_to(laptop, shared_pod, "http", options=["--event"])
        warning = redirect.event("warning")["message"]
        assert "leave an event" in warning and "events" in warning
        assert who(shared_pod.ip, HTTP) == "laptop"
        assert redirect.stop() == 0
        redirect.event("ended")
        assert [seen["message"] for seen in redirect.seen if seen.get("event") == "warning"] == [warning]
    finally:
        dev.close()
        cluster.kubectl("delete", "role,rolebinding", "no-events")
    assert events(cluster, shared_pod) == before
