"""What admission, quota and sandboxes refuse or take away: told in seconds, with one hint that works when it is followed."""

import json
import os
from pathlib import Path

import pytest

from harness import workloads
from harness.cli import ran, refused, run
from harness.pods import PORTS, container, make_pod
from harness.sockets import who
from harness.waiting import until
from harness.webhook import Webhook, deny, patch

HTTP = PORTS["http"]
AT_SECURITY = "/securityContext"
ALLOW = patch()
ASK_THEM = "ask those who run its mutating webhooks and policies"


# --- webhooks ---

@pytest.fixture
def hooked(cluster, lab_only, shared_pod, tmp_path):
    """Puts a webhook before grafts into the file's pod; a function that makes one."""
    made = []

    def make(judge=None, **more):
        made.append(Webhook(cluster, tmp_path, judge, **more))
        made[-1].watches(shared_pod.name)
        return made[-1]
    yield make
    for hook in made:
        hook.close()


def works(podgraft, pod, laptop):
    r = podgraft.redirect_to(laptop, pod, "http")
    assert who(pod.ip, HTTP) == "laptop"
    assert r.stop() == 0


def test_a_webhook_that_denies(podgraft, hooked, shared_pod):
    hook = hooked(deny("no grafts on Fridays"))
    found = refused(podgraft, "redirect", shared_pod.name, HTTP, whole=True)
    assert found.code == 3
    assert 'admission webhook "grafts.example.com" denied the request: no grafts on Fridays' in found.message
    assert found.hint == "a policy of this cluster denied it: ask those who run the webhook named here"
    assert hook.asked == 2  # for people and for programs, once each


def test_a_webhook_that_does_not_answer(podgraft, hooked, shared_pod):
    hook = hooked(ALLOW, timeout_s=2)
    hook.judge = None
    found = refused(podgraft, "redirect", shared_pod.name, HTTP)
    assert found.code == 3
    assert 'failed calling webhook "grafts.example.com"' in found.message
    assert found.hint == "an admission webhook of this cluster is down: ask its administrators"
    assert hook.asked == 2
    planned = run(podgraft, "plan", shared_pod.name)
    assert planned.code == 3 and hook.asked == 3, planned
    assert "waiting for the API server: graft an agent of profile 'redirect'" in planned.words and found.hint in planned.words


def test_a_webhook_that_takes_net_admin(podgraft, hooked, shared_pod, laptop):
    hook = hooked(patch({"op": "remove", "path": f"{AT_SECURITY}/capabilities/add"}), mutating=True)
    found = refused(podgraft, "redirect", shared_pod.name, HTTP, whole=True)
    assert found.code == 3 and "something in this cluster takes NET_ADMIN from the agent" in found.message
    assert found.hint == f"{ASK_THEM}; only --profile forward needs no capability"
    planned = run(podgraft, "plan", shared_pod.name)
    assert planned.code == 3 and "takes NET_ADMIN from the agent" in planned.words
    hook.judge = ALLOW
    works(podgraft, shared_pod, laptop)


def test_a_webhook_that_wants_no_root(podgraft, hooked, shared_pod):
    hooked(patch({"op": "replace", "path": f"{AT_SECURITY}/runAsNonRoot", "value": True}), mutating=True)
    found = refused(podgraft, "redirect", shared_pod.name, HTTP, whole=True)
    assert found.code == 3 and "keeps the agent from running as root" in found.message
    assert found.hint == f"{ASK_THEM}; only --profile forward needs no root"
    assert ran(podgraft, "inject", shared_pod.name, "--profile", "forward")


def test_a_webhook_that_meddles_with_agents_that_are_there(podgraft, hooked, shared_pod):
    ran(podgraft, "inject", shared_pod.name)
    hook = hooked(patch({"op": "add", "path": "/env", "value": [{"name": "MESH", "value": "1"}]}), mutating=True)
    hook.meddles = True
    found = refused(podgraft, "ps", shared_pod.name, whole=True)
    assert found.code == 3 and f"something in this cluster changes agents that pod '{shared_pod.name}' has already" in found.message
    assert found.hint.endswith("to leave existing ephemeral containers alone")
    hook.meddles = False
    assert ran(podgraft, "ps", shared_pod.name)


# --- the pod's own settings ---

def test_a_pod_that_runs_as_nobody_is_redirected(cluster, podgraft, laptop):
    """runAsNonRoot of the pod is the app's: the agent says otherwise for itself."""
    pod = make_pod(cluster, [container(securityContext={"runAsNonRoot": True, "runAsUser": 1000})])
    works(podgraft, pod, laptop)
    pod.delete()


# --- a sandbox without nf_tables ---

NETLINK, NETFILTER, EPROTONOSUPPORT = 16, 12, 93


@pytest.fixture
def without_nf_tables(cluster, lab_only, hooked):
    """Agents get a sandbox in which no netfilter socket can be had, as in gVisor or on a kernel without nfnetlink."""
    name = f"{cluster.namespace}.json"
    profile = Path(cluster.env["LAB_STATE"]) / "kubelet/seccomp" / name
    profile.parent.mkdir(exist_ok=True)
    arguments = [{"index": at, "value": value, "op": "SCMP_CMP_EQ"} for at, value in ((0, NETLINK), (2, NETFILTER))]
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": EPROTONOSUPPORT, "args": arguments}]}))
    yield hooked(patch({"op": "replace", "path": f"{AT_SECURITY}/seccompProfile",
                        "value": {"type": "Localhost", "localhostProfile": name}}), mutating=True)
    os.unlink(profile)


def test_a_sandbox_without_nf_tables(podgraft, another_user, shared_pod, without_nf_tables, laptop):
    found = refused(podgraft, "redirect", shared_pod.name, HTTP)
    assert found.code == 4 and "open a netfilter socket: Protocol not supported" in found.message
    assert found.hint == ("the node's kernel or the pod's sandbox has no nf_tables: choose a pod on another node, or without its "
                          "runtime class")
    without_nf_tables.judge = ALLOW
    works(another_user, shared_pod, laptop)


# --- quota ---

@pytest.fixture(scope="module")
def full(cluster):
    """A namespace whose quota is used up by one pod, and whose limits would fit no agent; and a deployment that may have no pod."""
    name = f"{cluster.namespace}-full"
    cluster.create_namespace(name)
    limits = {"cpu": "100m", "memory": "64Mi"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "one", "namespace": name},
             "spec": {"hard": {"pods": "1", "limits.cpu": "100m", "limits.memory": "64Mi"}}}
    least = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "least", "namespace": name},
             "spec": {"limits": [{"type": "Container", "min": limits, "max": limits}]}}
    pod = workloads.pod("web", [workloads.web(resources={"limits": limits, "requests": limits})])
    pod["metadata"]["namespace"] = name
    cluster.kubectl("apply", "-n", name, "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": [quota, least]}))
    until(lambda: "pods" in json.loads(cluster.kubectl("get", "-n", name, "resourcequota", "one", "-o", "json"))
          .get("status", {}).get("hard", {}), what="the quota's effect")
    cluster.kubectl("apply", "-n", name, "-f", "-", stdin=json.dumps(pod))
    api = workloads.workload("Deployment", "api")
    cluster.kubectl("apply", "-n", name, "-f", "-", stdin=json.dumps(api))
    cluster.kubectl("wait", "-n", name, "pod/web", "--for=condition=Ready", "--timeout=60s")
    cluster.kubectl("wait", "-n", name, "deployment/api", "--for=condition=ReplicaFailure", "--timeout=60s")
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def test_no_quota_and_no_limit_stops_an_agent(podgraft, full):
    """Kubernetes counts no ephemeral container against them, and podgraft asks for no resources."""
    done = run(podgraft, "redirect", "web", "8080", "--", "true", namespace=full)
    assert done.code == 0, done


def test_a_workload_that_quota_allows_no_pod(cluster, podgraft, full):
    """That is how quota shows: there is nothing to graft onto. It is told at once, without waiting for a pod."""
    found = refused(podgraft, "redirect", "deploy/api", "8080", namespace=full, whole=True)
    assert found.code == 3
    assert found.message.startswith("deployment 'api' has no pod that runs, and the cluster allows it none: pods \"api-")
    assert "exceeded quota: one" in found.message
    assert found.hint == f"free some of the quota: kubectl -n {full} describe resourcequota"
    cluster.kubectl("describe", "resourcequota", "-n", full)
