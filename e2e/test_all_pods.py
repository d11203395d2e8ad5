"""--all-pods: every replica is redirected, those that come later as well, and those that go are let go."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from harness.tools import Load, LocalServer, free_port, peer, stop
from harness.waiting import stretched, until
from harness.workloads import apply, service, template, web, workload


def pods_of(cluster, name):
    """The usable pods of app=NAME: their addresses by their names."""
    found = json.loads(cluster.kubectl("get", "pods", "-l", f"app={name}", "-o", "json"))["items"]
    return {p["metadata"]["name"]: p["status"]["podIP"] for p in found
            if p["status"]["phase"] == "Running" and not p["metadata"].get("deletionTimestamp")}


def who(address, port=8080):
    return peer("get", address, port, "--timeout-ms", 3000).get("name")


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
        report = load.end()
    assert report["failed"] == 0 and report["names"]["laptop"]["count"] > 500, report
    cluster.kubectl("delete", "deploy,svc", name, "--wait=false")


def test_killed_with_kill_9_every_pod_is_given_back(cluster, podgraft, deployment, laptop_http):
    r = podgraft.redirect(f"deploy/{deployment}", f"8080:{laptop_http.ports['http']}", "--all-pods")
    until(lambda: all_reach(cluster, deployment, "laptop", 3), what="three redirected pods")
    r.process.kill()
    began = time.monotonic()
    until(lambda: all_reach(cluster, deployment, "app", 3), timeout=15, what="the app in every pod")
    assert time.monotonic() - began < stretched(15)


def test_the_podgraft_of_a_pod_that_is_killed_is_started_again(cluster, podgraft, deployment, laptop_http):
    r = podgraft.redirect(f"deploy/{deployment}", f"8080:{laptop_http.ports['http']}", "--all-pods")
    until(lambda: all_reach(cluster, deployment, "laptop", 3), what="three redirected pods")
    pid = r.process.pid
    os.kill(int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0]), signal.SIGKILL)
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
