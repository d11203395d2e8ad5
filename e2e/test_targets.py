"""Which pod, which container and which port a target means: the same that kubectl would take."""

import os
import re
import signal
import subprocess

import pytest

from harness.cli import ran, refused, run
from harness.pods import Pod, until
from harness.workloads import apply, pod, service, web, workload

KINDS = {"dep": "Deployment", "set": "StatefulSet", "dae": "DaemonSet", "rep": "ReplicaSet", "old": "ReplicationController", "jab": "Job"}


@pytest.fixture
def user(same_user):
    return same_user


@pytest.fixture(scope="module", autouse=True)
def workloads(cluster):
    """One of each kind, each of its pods labelled app=NAME; the Deployment has three."""
    replicas = {"Deployment": {"replicas": 3}, "StatefulSet": {"replicas": 1}, "ReplicaSet": {"replicas": 1},
                "ReplicationController": {"replicas": 1}}
    two = [web(), web("side", 8081)]
    apply(cluster, pod("solo"), pod("two", two), pod("chosen", two, {"kubectl.kubernetes.io/default-container": "side"}),
          pod("ended", [{**web(), "args": ["help"]}], restartPolicy="Never"), pod("node", [web(port=18473)], hostNetwork=True),
          pod("nowhere", nodeSelector={"no": "such-node"}),
          service("front", {80: "http", 90: 9000, 99: "nothing"}, {"app": "solo"}),
          {**service("pods-of-nobody", {80: 80}, {}), "spec": {"ports": [{"port": 80}]}},
          workload("Deployment", "none", replicas=0), *(workload(kind, name, **replicas.get(kind, {})) for name, kind in KINDS.items()))
    cluster.kubectl("rollout", "status", "deployment/dep", "--timeout=60s")
    running = ["solo", "two", "chosen", "node", *KINDS]
    cluster.kubectl("wait", "pod", "-l", f"app in ({','.join(running)})", "--for=condition=Ready", "--timeout=60s")
    until(lambda: cluster.get("pod", "ended")["status"]["phase"] == "Succeeded", what="a pod that has ended")
    yield
    kinds = "deployment,statefulset,daemonset,replicaset,replicationcontroller,job"
    cluster.kubectl("delete", kinds, "none", *KINDS, "--ignore-not-found", "--wait=false")
    cluster.kubectl("delete", "service", "front", "pods-of-nobody")
    cluster.kubectl("delete", "pod", "-l", f"app in ({','.join([*running, 'ended', 'nowhere'])})", "--grace-period=0", "--force",
                    "--wait=false")


def chosen(user, *target):
    """The pod's object that a target means to podgraft."""
    name = run(user, "inject", "--output", "json", *target).json()[-1]["pod"]
    return user.cluster.get("pod", name)


def kubectl_choice(cluster, target):
    """The pod that `kubectl exec` takes, from the requests that it makes."""
    done = subprocess.run(["kubectl", "-n", cluster.namespace, "-v=6", "exec", target, "--", "/peer", "help"], env=cluster.env, text=True,
                          capture_output=True, check=True)
    return re.search(r"/pods/([^/?]+)/exec", done.stderr)[1]


@pytest.mark.parametrize("target", [
    "solo", "pod/solo", "pods/solo", "po/solo", "svc/front", "service/front", "services/front",
    "deploy/dep", "deployment/dep", "deployments/dep", "deployments.apps/dep", "deployment.v1.apps/dep", "Deploy/dep",
    "sts/set", "statefulset/set", "statefulsets.apps/set", "ds/dae", "daemonset/dae", "rs/rep", "replicaset/rep",
    "rc/old", "replicationcontrollers/old", "job/jab", "jobs.batch/jab"])
def test_every_form_names_a_pod(user, target):
    name = target.rsplit("/", 1)[-1]
    assert chosen(user, target)["metadata"]["labels"]["app"] == {"front": "solo"}.get(name, name)


@pytest.mark.parametrize("selector", ["app=solo", "app==solo", "app in (solo, other),app notin (dep)", "app=solo,!missing"])
def test_a_selector_names_a_pod(user, selector):
    assert chosen(user, "-l", selector)["metadata"]["name"] == "solo"


def test_the_number_of_others_is_said(user):
    assert re.search(r"^pod 'dep-.*' of deploy/dep; 2 more matched$", run(user, "inject", "deploy/dep").words, re.M)
    assert re.search(r"^pod 'dep-.*' of the selector; 2 more matched$", run(user, "inject", "-l", "app=dep").words, re.M)
    assert run(user, "inject", "sts/set").words == ""


@pytest.mark.parametrize("target", ["deploy/dep", "rs/rep", "svc/front", "job/jab"])
def test_it_is_the_pod_that_kubectl_takes(user, target):
    assert chosen(user, target)["metadata"]["name"] == kubectl_choice(user.cluster, target)


def test_and_still_so_after_that_pod_has_crashed(lab_only, user):
    first = Pod(user.cluster, kubectl_choice(user.cluster, "deploy/dep"))
    os.kill(first.pid(), signal.SIGKILL)
    until(lambda: (s := first.refresh().object["status"]["containerStatuses"][0])["restartCount"] == 1 and s["ready"], what="its return")
    other = kubectl_choice(user.cluster, "deploy/dep")
    assert other != first.name
    assert chosen(user, "deploy/dep")["metadata"]["name"] == other


# --- which container ---

def test_the_defaulted_container_is_said_as_kubectl_says_it(user):
    kubectl = subprocess.run(["kubectl", "-n", user.cluster.namespace, "exec", "two", "--", "/peer", "help"], env=user.cluster.env,
                             text=True, capture_output=True, check=True)
    done = run(user, "inject", "two")
    assert done.words.splitlines()[0] == kubectl.stderr.splitlines()[0] == 'Defaulted container "app" out of: app, side'
    assert "Defaulted" not in run(user, "inject", "two", "-q").words


@pytest.mark.parametrize("target, container", [
    (["two"], "app"), (["two", "-c", "side"], "side"), (["two", "--container=side"], "side"), (["two", "--target", "side"], "side"),
    (["chosen"], "side"), (["chosen", "-c", "app"], "app")])
def test_the_container_is_the_one_named_or_the_annotated_or_the_first(user, target, container):
    """Shown by the processes that an agent beside it sees."""
    done = run(user, "ps", *target)
    assert ("Defaulted" in done.words) == (target == ["two"])
    assert f"/peer http {8080 if container == 'app' else 8081} {container}" in done.out


def test_a_container_that_does_not_exist(user):
    found = refused(user, "inject", "two", "-c", "sid", whole=True)
    assert (found.code, found.message) == (4, "pod 'two' has no container 'sid', it has: app, side")
    assert found.hint == "name one of them with -c"
    assert ran(user, "inject", "two", "-c", "side")


# --- which port ---

@pytest.mark.parametrize("target, pair, port", [
    ("svc/front", "80:{local}", 8080), ("svc/front", "p80:{local}", 8080), ("svc/front", "90:{local}", 9000),
    ("solo", "http:{local}", 8080), ("two", "side:{local}", 8081)])
def test_ports_of_services_and_named_ports(user, laptop, target, pair, port):
    local = laptop.ports["http"]
    r = user.redirect(target, pair.format(local=local), ready=False)
    assert r.event("ready")["redirects"] == [{"port": port, "local": f"127.0.0.1:{local}"}]
    assert r.stop() == 0


@pytest.mark.parametrize("target, port, message, hint", [
    ("svc/front", "8080", "the Service has no port 8080", "its ports: 80 (p80), 90 (p90), 99 (p99)"),
    ("svc/front", "http", "the Service has no port 'http'", "its ports: 80 (p80), 90 (p90), 99 (p99)"),
    ("svc/front", "99", "the Service's port 99 goes to a named port that pod 'solo' has not",
     "name the pod and its port instead: podgraft redirect solo PORT"),
    ("solo", "web", "pod 'solo' declares no port named 'web'", "its named ports: http")])
def test_ports_that_do_not_exist(user, target, port, message, hint):
    found = refused(user, "redirect", target, port, whole=True)
    assert (found.code, found.message, found.hint) == (2, message, hint)


# --- pods that cannot be worked on ---

def test_a_pod_that_has_ended(user):
    found = refused(user, "redirect", "ended", "8080", whole=True)
    assert (found.code, found.message) == (4, "pod 'ended' has ended (Succeeded)")
    assert found.hint


def test_a_pod_with_the_network_of_its_node(user):
    found = refused(user, "redirect", "node", "18473", whole=True)
    assert (found.code, found.hint) == (4, "choose a pod without hostNetwork; ps, and inject --profile forward, work with this one")
    assert "no network of its own" in found.message
    assert "ephemeralContainers" not in user.cluster.get("pod", "node")["spec"]
    assert "http 18473" in ran(user, "ps", "node")
    assert ran(user, "inject", "node", "--profile", "forward")


@pytest.mark.parametrize("target, message", [
    (["nowhere"], "pod 'nowhere' is not on a node yet: "), (["deploy/none"], "deployment 'none' has no pod that runs in namespace "),
    (["-l", "app=unheard-of"], "selector 'app=unheard-of' has no pod that runs in namespace ")])
def test_a_pod_that_does_not_appear_in_time(user, target, message):
    found = refused(user, "inject", *target, "--pod-running-timeout", "1500ms")
    assert found.code == 4
    assert found.message.startswith(message)
    assert "kubectl" in found.hint


def test_a_pod_that_appears_in_time(user):
    """It is waited for as long as --pod-running-timeout says."""
    user.cluster.kubectl("scale", "deployment/none", "--replicas=1")
    assert chosen(user, "deploy/none")["metadata"]["labels"]["app"] == "none"


def test_a_service_without_a_selector(user):
    found = refused(user, "redirect", "svc/pods-of-nobody", "80", whole=True)
    assert (found.code, found.message) == (4, "service 'pods-of-nobody' has no selector, so it names no pods")
    assert found.hint == "name a pod, a workload, or a selector with -l"
