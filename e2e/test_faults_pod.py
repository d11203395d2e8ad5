"""The pod itself goes, with 100 new connections a second: the next one of its kind is redirected unasked, or it ends in plain words."""

import os
import signal
import time
from pathlib import Path

import pytest

from harness import workloads
from harness.faults import HTTP, Clients, answers
from harness.pods import PORTS, Pod, make_deployment, pods_of
from harness.sockets import dial, echoes, ending, who
from harness.tools import Load
from harness.waiting import stretched, until
from harness.workloads import apply, service, template, web, workload

pytestmark = pytest.mark.usefixtures("lab_only")


class Remains:
    """What of a redirect could outlive its pod: the agent's process, and rules and sockets in the pod's network, which is kept for this."""

    def __init__(self, pod, agent):
        self.pod, self.process = pod, Path(f"/proc/{pod.pid(agent)}")
        assert self.seen()

    def seen(self):
        sockets = [line for line in self.pod.run_in_netns("ss", "-Htanp").splitlines() if "pid=" in line]
        rules = [line for line in self.pod.rules().splitlines() if "podgraft" in line]
        return [*rules, *sockets, *([str(self.process)] if self.process.exists() else [])]

    def await_none(self, timeout=10):
        until(lambda: not self.seen(), timeout, what=lambda: f"a pod without traces; there is {self.seen()}")


def deleted(cluster, pod):
    """As `kubectl delete` does it, with the time to end that the pod asks for."""
    cluster.kubectl("delete", "pod", pod.name, "--wait=false")


def test_a_pod_of_its_own_deleted_under_load_ends_it_in_plain_words(cluster, podgraft, pod, laptop):
    """Nothing of it is left, and nobody is left hanging."""
    r = podgraft.redirect_to(laptop, pod, "http", "echo")
    answers(pod, "laptop", 1)
    remains = Remains(pod, r.up["container"])
    with dial(pod.ip, PORTS["echo"], timeout=15) as held, Clients(pod) as clients:
        assert echoes(held)
        gone = time.time()
        deleted(cluster, pod)
        r.event("lost", timeout=10)
        error = r.error(timeout=10)
        assert (r.wait(5), error["code"], error["class"]) == (4, 4, "target")
        assert time.time() - gone < stretched(15)
        assert error["message"].startswith(f"find pod '{pod.name}': not found in namespace ") and error["hint"]
        assert ending(held) in ("fin", "reset")
        report = clients.end()
    begun = gone * 1000 - report["start_unix_ms"]
    assert [f for f in report["failures"] if f["begin_ms"] < begun - 100] == []
    assert list(report["names"]) == ["laptop"] or report["names"]["app"]["first_ms"] > begun, report
    remains.await_none()


def test_of_a_deployment_the_next_pod_is_redirected_unasked_and_its_service_loses_nobody(cluster, podgraft, laptop):
    """As a drained node or an eviction does it: the pod goes while another serves, and a third one comes."""
    app = web(readinessProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 1}, lifecycle={"preStop": {"sleep": {"seconds": 3}}})
    apply(cluster, workload("Deployment", "moving", replicas=2, template=template("moving", [app], terminationGracePeriodSeconds=10)),
          service("moving", {80: 8080}, {"app": "moving"}))
    cluster.kubectl("rollout", "status", "deploy/moving", "--timeout=60s")
    address = cluster.kubectl("get", "svc", "moving", "-o", "jsonpath={.spec.clusterIP}")
    r = podgraft.redirect("deploy/moving", f"8080:{laptop.ports['http']}")
    old = Pod(cluster, r.up["pod"])
    answers(old, "laptop", 1)
    remains = Remains(old, r.up["container"])
    with Load(address, 80, seconds=3600) as load:
        deleted(cluster, old)
        new = Pod(cluster, r.event("resumed", timeout=20)["pod"])
        assert new.name != old.name
        answers(new, "laptop", 1)
        remains.await_none(timeout=15)
        report = load.end()
    assert report["failed"] == 0 and set(report["names"]) == {"app", "laptop"}, report
    assert r.stop() == 0
    assert who(new.ip, HTTP) == "app"
    cluster.kubectl("delete", "deploy,svc", "moving", "--wait=false")


def test_the_only_pod_of_a_deployment_is_replaced_and_the_next_one_is_redirected_unasked(cluster, podgraft, laptop):
    name = make_deployment(cluster)
    old = pods_of(cluster, name)[0]
    r = podgraft.redirect(f"deploy/{name}", f"{HTTP}:{laptop.ports['http']}")
    old.delete()
    assert r.event("resumed", timeout=30)["pod"] != old.name
    new = pods_of(cluster, name)[0]
    assert who(new.ip, HTTP) == "laptop"
    with Clients(new) as clients:
        report = clients.end()
    assert report["failed"] == 0 and list(report["names"]) == ["laptop"], report


def test_a_pod_that_has_ended_ends_it_too(cluster, podgraft, laptop):
    apply(cluster, workloads.pod("brief", restartPolicy="Never"))
    cluster.kubectl("wait", "pod/brief", "--for=condition=Ready", "--timeout=60s")
    r = podgraft.redirect("pod/brief", f"8080:{laptop.ports['http']}")
    os.kill(Pod(cluster, "brief").pid(), signal.SIGKILL)
    error = r.error(timeout=20)
    assert (r.wait(), error["class"], error["message"]) == (4, "target", "pod 'brief' has ended (Failed)")
    cluster.kubectl("delete", "pod/brief", "--wait=false")
