"""--all-pods: every replica is redirected, those that come later as well, and those that go are let go."""

import json
import os
import pty
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from harness import credentials
from harness.kubeconfigs import Access, by_plugin, config, credential, plugin
from harness.tools import Load, LocalServer, free_port, peer, stop
from harness.waiting import stretched, until
from harness.workloads import apply, pod, service, template, web, workload


def pods_of(cluster, name):
    """The usable pods of app=NAME: their addresses by their names."""
    found = json.loads(cluster.kubectl("get", "pods", "-l", f"app={name}", "-o", "json"))["items"]
    return {p["metadata"]["name"]: p["status"]["podIP"] for p in found
            if p["status"]["phase"] == "Running" and not p["metadata"].get("deletionTimestamp")}


def who(address, port=8080):
    return peer("get", address, port, "--timeout-ms", 3000).get("name")


def members_of(process):
    """The process numbers of the podgrafts that it has started."""
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def are_gone(pids):
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def all_reach(cluster, name, whom, count):
    pods = pods_of(cluster, name)
    return len(pods) == count and all(who(address) == whom for address in pods.values())


@pytest.fixture(scope="module")
def laptop_http():
    with LocalServer(ports={"http": free_port()}) as server:
        yield server


@pytest.fixture(scope="module")
def deployment(cluster):
    """A Deployment of three pods behind a Service, for all tests of the file."""
    name = "many"
    apply(cluster, workload("Deployment", name, replicas=3), service(name, {80: 8080}, {"app": name}))
    cluster.kubectl("rollout", "status", f"deploy/{name}", "--timeout=60s")
    yield name
    cluster.kubectl("delete", "deploy,svc", name, "--wait=false")


def test_every_replica_is_redirected_and_given_back(cluster, podgraft, deployment, laptop_http):
    r = podgraft.redirect(f"deploy/{deployment}", f"8080:{laptop_http.ports['http']}", "--all-pods")
    until(lambda: all_reach(cluster, deployment, "laptop", 3), what="three redirected pods")
    assert stop(r.process, signal.SIGINT) == 0
    assert all_reach(cluster, deployment, "app", 3)


def test_new_pods_join_and_gone_ones_are_dropped(cluster, podgraft, deployment, laptop_http):
    r = podgraft.redirect(f"svc/{deployment}", f"80:{laptop_http.ports['http']}", "--all-pods")
    until(lambda: all_reach(cluster, deployment, "laptop", 3), what="three redirected pods")
    cluster.kubectl("scale", f"deploy/{deployment}", "--replicas=5")
    until(lambda: all_reach(cluster, deployment, "laptop", 5), timeout=40, what="five redirected pods")
    cluster.kubectl("scale", f"deploy/{deployment}", "--replicas=2")
    gone = {r.event("gone", 40)["pod"] for _ in range(3)}
    assert len(gone) == 3 and not gone & set(pods_of(cluster, deployment))
    assert all_reach(cluster, deployment, "laptop", 2)
    cluster.kubectl("scale", f"deploy/{deployment}", "--replicas=3")
    until(lambda: all_reach(cluster, deployment, "laptop", 3), timeout=40, what="three redirected pods again")


def test_a_roll_out_under_load_is_followed_and_loses_nothing(cluster, podgraft, laptop_http):
    name = "rolling"
    app = web(readinessProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 1}, lifecycle={"preStop": {"sleep": {"seconds": 3}}})
    apply(cluster, workload("Deployment", name, replicas=2, template=template(name, [app], terminationGracePeriodSeconds=10)),
          service(name, {80: 8080}, {"app": name}))
    cluster.kubectl("rollout", "status", f"deploy/{name}", "--timeout=60s")
    address = cluster.kubectl("get", "svc", name, "-o", "jsonpath={.spec.clusterIP}")
    podgraft.redirect("-l", f"app={name}", f"8080:{laptop_http.ports['http']}", "--all-pods")
    until(lambda: all_reach(cluster, name, "laptop", 2), what="two redirected pods")
    before = set(pods_of(cluster, name))
    with Load(address, 80, seconds=3600) as load:
        cluster.kubectl("rollout", "restart", f"deploy/{name}")
        until(lambda: not before & set(pods_of(cluster, name)) and all_reach(cluster, name, "laptop", 2), timeout=50,
              what="two new redirected pods")
        followed = time.time()
        time.sleep(1)  # in which connections begin that only the new pods can take
        report = load.end()
    assert report["failed"] == 0 and report["ok"] == report["begun"], report
    assert report["names"]["laptop"]["last_ms"] > followed * 1000 - report["start_unix_ms"], report
    cluster.kubectl("delete", "deploy,svc", name, "--wait=false")


def test_killed_with_kill_9_every_pod_is_given_back(cluster, podgraft, deployment, laptop_http):
    r = podgraft.redirect(f"deploy/{deployment}", f"8080:{laptop_http.ports['http']}", "--all-pods")
    until(lambda: all_reach(cluster, deployment, "laptop", 3), what="three redirected pods")
    members = members_of(r.process)
    assert len(members) == 3
    r.process.kill()
    began = time.monotonic()
    until(lambda: all_reach(cluster, deployment, "app", 3), timeout=15, what="the app in every pod")
    assert time.monotonic() - began < stretched(15)
    until(lambda: are_gone(members), timeout=15, what="the end of every process")


def test_the_podgraft_of_a_pod_that_is_killed_is_started_again(cluster, podgraft, deployment, laptop_http):
    r = podgraft.redirect(f"deploy/{deployment}", f"8080:{laptop_http.ports['http']}", "--all-pods")
    until(lambda: all_reach(cluster, deployment, "laptop", 3), what="three redirected pods")
    os.kill(members_of(r.process)[0], signal.SIGKILL)
    failed = r.event("failed")
    assert failed["again"] and "was killed or has crashed (exit 137)" in failed["error"]["message"], failed
    until(lambda: all_reach(cluster, deployment, "laptop", 3), timeout=30, what="three redirected pods again")
    assert stop(r.process, signal.SIGINT) == 0


def test_a_command_runs_once_all_are_redirected(cluster, podgraft, deployment, laptop_http):
    pods = pods_of(cluster, deployment)
    script = "; ".join(f"curl -s --max-time 5 http://{address}:8080/" for address in pods.values())
    done = podgraft.run("redirect", *podgraft.graft, f"deploy/{deployment}", f"8080:{laptop_http.ports['http']}", "--all-pods",
                        "--", "sh", "-c", f"{script}; exit 7")
    assert done.returncode == 7, done.stderr
    assert done.stdout.count("laptop") == 3, done.stdout
    assert all_reach(cluster, deployment, "app", 3)


def test_one_pod_by_its_name_is_not_many(podgraft):
    done = podgraft.run("redirect", "pod/web-0", "8080", "--all-pods")
    assert done.returncode == 2
    assert "pod 'web-0' is one pod, not many" in done.stderr and "-l LABELS" in done.stderr


def test_where_no_pod_can_be_redirected_it_says_why_and_ends(cluster, podgraft, deployment):
    done = podgraft.run("redirect", f"deploy/{deployment}", "8080", "--all-pods", "--image", "localhost/no-such:1",
                        "--pull-policy", "Never")
    assert done.returncode in (3, 4), done.stderr
    assert "none of 3 pods is redirected" in done.stderr and "hint: leave --pull-policy Never out" in done.stderr


def test_scaled_to_zero_and_back(cluster, same_user, deployment, laptop_http):
    r = same_user.redirect(f"deploy/{deployment}", f"8080:{laptop_http.ports['http']}", "--all-pods")
    until(lambda: all_reach(cluster, deployment, "laptop", 3), what="three redirected pods")
    cluster.kubectl("scale", f"deploy/{deployment}", "--replicas=0")
    assert len({r.event("gone", 40)["pod"] for _ in range(3)}) == 3
    cluster.kubectl("scale", f"deploy/{deployment}", "--replicas=3")
    until(lambda: all_reach(cluster, deployment, "laptop", 3), timeout=40, what="three redirected pods again")
    assert r.stop() == 0


def test_without_the_right_to_watch_gone_pods_are_dropped_all_the_same(cluster, same_user, deployment, laptop_http, tmp_path):
    access = Access(cluster)
    role = json.loads(cluster.kubectl("get", "role", f"{access.account}-graft", "-o", "json"))
    for rule in role["rules"]:
        rule["verbs"] = [verb for verb in rule["verbs"] if verb != "watch"]
    apply(cluster, role)
    env = {"KUBECONFIG": str(config(tmp_path, access.trusted(), {"token": access.token}))}
    r = same_user.redirect("-l", f"app={deployment}", f"8080:{laptop_http.ports['http']}", "--all-pods", env=env)
    until(lambda: all_reach(cluster, deployment, "laptop", 3), what="three redirected pods")
    before = set(pods_of(cluster, deployment))
    cluster.kubectl("scale", f"deploy/{deployment}", "--replicas=2")
    gone = r.event("gone", 40)["pod"]
    assert {gone} == before - set(pods_of(cluster, deployment))
    cluster.kubectl("scale", f"deploy/{deployment}", "--replicas=3")
    until(lambda: all_reach(cluster, deployment, "laptop", 3), timeout=40, what="three redirected pods again")
    assert r.stop() == 0


def test_a_pod_that_cannot_be_redirected_stops_no_other(cluster, same_user, deployment, laptop_http):
    """A pod on the node's network is refused. Ctrl-C: status 0, because others were redirected."""
    port = free_port()
    apply(cluster, pod("hosted", [web(args=["http", str(port), "app"], ports=[])], hostNetwork=True))
    cluster.kubectl("wait", "pod/hosted", "--for=condition=Ready", "--timeout=60s")
    r = same_user.redirect("-l", f"app in ({deployment},hosted)", f"8080:{laptop_http.ports['http']}", "--all-pods",
                           ready=False)
    failed = r.event("failed")
    assert failed["pod"] == "hosted" and not failed["again"] and "network" in failed["error"]["message"], failed
    until(lambda: all_reach(cluster, deployment, "laptop", 3), what="three redirected pods")
    assert r.stop() == 0
    cluster.kubectl("delete", "pod/hosted", "--wait=false")


def test_every_word_of_a_member_comes_with_the_name_of_its_pod(cluster, same_user, deployment):
    """Nobody listens: the first connection to each pod parks its redirect, of which the members warn."""
    port = free_port()
    words = ["redirect", *same_user.graft, f"deploy/{deployment}", f"8080:{port}", "--all-pods"]
    pods = pods_of(cluster, deployment)
    process = subprocess.Popen(same_user.command(*words), env=same_user.env, text=True, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    said = []

    def heard(pattern):
        while not re.search(pattern, "".join(said)):
            said.append(process.stderr.readline())
            assert said[-1], said
    for name in pods:
        heard(f"port 8080 of pod '{name}' now reaches 127.0.0.1:{port} ")
    assert {who(address) for address in pods.values()} == {"app"}
    heard(r"warning: pod '[a-z0-9-]+': port 8080: parked: ")
    heard(r"warning: 2 times more: port 8080: parked: ")
    process.send_signal(signal.SIGINT)
    out, rest = process.communicate(timeout=stretched(20))
    assert process.returncode == 0 and not out, (out, rest)
    lines = "".join([*said, rest]).splitlines()
    assert [line for line in lines if "pod '" not in line and " times more: " not in line] == ["Ctrl-C gives all back"], lines


def test_for_programs_the_warnings_of_each_pod_are_events(cluster, same_user, deployment):
    r = same_user.redirect(f"deploy/{deployment}", f"8080:{free_port()}", "--all-pods")
    pods = pods_of(cluster, deployment)
    until(lambda: r.event("pods")["up"] == 3, what="three redirected pods")
    assert {who(address) for address in pods.values()} == {"app"}
    parked = set()
    while parked != set(pods):
        told = r.event("warning")
        parked |= {told["pod"]} if "parked" in told["message"] else set()
    assert r.stop() == 0
    assert not r._words, r._words


def test_ctrl_c_while_pods_are_grafted_ends_all(cluster, podgraft, deployment):
    r = podgraft.redirect(f"deploy/{deployment}", "8080", "--all-pods", ready=False)
    members = until(lambda: (found := members_of(r.process))[2:] and found, interval=0.01, what="three members")
    r.interrupt()
    assert r.wait(10) == 130
    until(lambda: are_gone(members), timeout=5, what="the end of every process")
    assert all_reach(cluster, deployment, "app", 3)


def test_a_second_ctrl_c_cuts_what_is_draining(cluster, same_user, deployment, laptop_http):
    r = same_user.redirect(f"deploy/{deployment}", f"8080:{laptop_http.ports['http']}", "--all-pods")
    until(lambda: all_reach(cluster, deployment, "laptop", 3), what="three redirected pods")
    members = members_of(r.process)
    open_ones = [socket.create_connection((address, 8080)) for address in pods_of(cluster, deployment).values()]
    until(lambda: r.event("counts")["laptop"] >= 1, what="connections")
    r.interrupt()
    for _ in open_ones:
        r.event("draining", 10)
    assert all_reach(cluster, deployment, "app", 3)
    assert r.process.poll() is None
    r.interrupt()
    assert r.wait(5) == 0
    until(lambda: are_gone(members), timeout=5, what="the end of every process")
    for one in open_ones:
        one.close()


@pytest.fixture
def on_terminal(same_user):
    """Starts podgraft with a terminal as its standard input and error: the process, and the terminal's other end."""
    made = []

    def start(words, env):
        ours, theirs = pty.openpty()
        process = subprocess.Popen(same_user.command(*words), env={**same_user.env, **env}, stdin=theirs, stdout=subprocess.DEVNULL,
                                   stderr=theirs, start_new_session=True)
        os.close(theirs)
        made.append((process, ours))
        return process, ours
    yield start
    for process, ours in made:
        stop(process, signal.SIGINT)
        os.close(ours)


def read_until(terminal, what, timeout=30):
    """What was shown, up to `what`."""
    said, end = "", time.monotonic() + stretched(timeout)
    while what not in said:
        assert time.monotonic() < end, said
        try:
            said += os.read(terminal, 65536).decode(errors="replace")
        except OSError:  # it has ended
            raise AssertionError(said) from None
    return said


def test_a_plugin_that_asks_on_the_terminal_asks_once_for_all_pods(cluster, same_user, deployment, laptop_http, tmp_path, on_terminal):
    """Its answer is kept for a member that is started later."""
    access = Access(cluster)
    path = plugin(tmp_path, 'test -t 0 || exit 1; printf "password: " >&2; read -r word; test "$word" = sesame || exit 1\n'
                  + credential(token=access.token))
    env = {"KUBECONFIG": str(config(tmp_path, access.trusted(), by_plugin(path, interactiveMode="Always")))}
    words = ["redirect", *same_user.graft, "-l", f"app={deployment}", f"8080:{laptop_http.ports['http']}", "--all-pods"]
    process, terminal = on_terminal(words, env)
    read_until(terminal, "password: ")
    os.write(terminal, b"sesame\n")
    until(lambda: all_reach(cluster, deployment, "laptop", 3), what="three redirected pods")
    os.kill(members_of(process)[0], signal.SIGKILL)
    read_until(terminal, "was killed or has crashed")
    until(lambda: all_reach(cluster, deployment, "laptop", 3), timeout=40, what="three redirected pods again")
    assert len((tmp_path / "runs").read_text()) == 1


@pytest.mark.usefixtures("lab_only")
def test_credentials_that_run_out_are_fetched_for_the_last_event_of_each_pod_too(cluster, same_user, deployment, laptop_http, tmp_path):
    """Ctrl-C ends at once, although every member needs a new credential to say on its pod that it has stopped."""
    access = Access(cluster)
    role = json.loads(cluster.kubectl("get", "role", f"{access.account}-graft", "-o", "json"))
    role["rules"].append({"apiGroups": [""], "resources": ["events"], "verbs": ["create"]})
    apply(cluster, role)
    seconds = int(stretched(10))
    path = plugin(tmp_path, credential(token=credentials.token(access, seconds), expirationTimestamp=credentials.moment(seconds)))
    env = {"KUBECONFIG": str(config(tmp_path, access.trusted(), by_plugin(path)))}
    r = same_user.redirect("-l", f"app={deployment}", f"8080:{laptop_http.ports['http']}", "--all-pods", "--event", env=env)
    began = time.monotonic()
    until(lambda: all_reach(cluster, deployment, "laptop", 3), what="three redirected pods")
    plugin(tmp_path, credential(token=access.token))
    time.sleep(max(0, seconds + 1 - (time.monotonic() - began)))
    assert r.stop() == 0
    found = cluster.get("events", "--field-selector", "reason=PodgraftStopped")["items"]
    assert {event["involvedObject"]["name"] for event in found} >= set(pods_of(cluster, deployment))


def test_without_a_terminal_a_plugin_that_needs_one_is_refused_before_any_pod(cluster, same_user, deployment, tmp_path):
    path = plugin(tmp_path, "exit 1")
    env = {"KUBECONFIG": str(config(tmp_path, Access(cluster).trusted(), by_plugin(path, interactiveMode="Always")))}
    done = same_user.run("redirect", "-l", f"app={deployment}", "8080", "--all-pods", env=env)
    assert done.returncode == 3 and "it wants a terminal" in done.stderr and "hint: run podgraft on a terminal" in done.stderr
    assert "pod '" not in done.stderr and not (tmp_path / "runs").exists()
