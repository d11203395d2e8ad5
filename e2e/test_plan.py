"""`podgraft plan` says beforehand what would work, and what an administrator would have to allow: applied, it works. It changes nothing."""

import itertools
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from harness import workloads
from harness.cli import SECONDS, run
from harness.pods import PORTS, make_deployment, pods_of
from harness.sockets import who
from harness.tools import Podgraft
from harness.waiting import until
from harness.webhook import Webhook, deny

HTTP = PORTS["http"]
NEEDED = [("get", "pods"), ("patch", "pods/ephemeralcontainers"), ("get", "pods/log"), ("create", "pods/portforward")]
OF_WORKLOADS = [("get", "deployments.apps"), ("list", "pods")]
HELPFUL = [("get", "pods/portforward"), ("watch", "pods"), ("list", "events"), ("create", "events")]
_people = itertools.count(1)


@pytest.fixture(scope="module")
def web(cluster):
    """A deployment of one pod: its name, and the pod."""
    name = make_deployment(cluster)
    pod, = pods_of(cluster, name)
    yield name, pod
    cluster.kubectl("delete", "deployment", name, "--wait=false")


class Plan:
    """What `podgraft plan` said, to programs and to people."""

    def __init__(self, user, *args, **more):
        self.data, text = (run(user, "plan", *args, *form, **more) for form in (["-o", "json"], []))
        self.code, self.words, self.text = self.data.code, text.words, text.out
        assert text.code == self.code and max(text.seconds, self.data.seconds) < SECONDS, (text, self.data)
        lines = self.data.json()
        self.said = next(line for line in lines if line.get("event") == "plan")
        self.error = lines[-1].get("error")
        self.manifest = self.said["manifest"]
        assert (self.error or {"code": 0})["code"] == self.code
        assert self.text.endswith(self.manifest), self.text

    def works(self):
        return {job["job"]: job["works"] for job in self.said["jobs"]}

    def lacks(self, needed=True):
        return {(right["verb"], right["resource"]) for right in self.said["rights"]
                if right["granted"] == "no" and right["needed"] == needed}


def allow(cluster, rights):
    """A new person with these rights: the name."""
    person = f"person-{next(_people)}-{cluster.namespace}"
    rules = [{"apiGroups": [resource.partition(".")[2]], "resources": [resource.partition(".")[0]], "verbs": [verb]}
             for verb, resource in rights]
    kind = "rbac.authorization.k8s.io"
    workloads.apply(cluster, {"apiVersion": f"{kind}/v1", "kind": "Role", "metadata": {"name": person}, "rules": rules},
                    {"apiVersion": f"{kind}/v1", "kind": "RoleBinding", "metadata": {"name": person},
                     "subjects": [{"kind": "User", "name": person}], "roleRef": {"apiGroup": kind, "kind": "Role", "name": person}})
    return person


def plan_that_lacks(podgraft, lacking, *args):
    """The plan, once it says that just these rights are missing: RBAC takes a moment to know of a new Role."""
    plans = []
    until(lambda: plans.append(Plan(podgraft, *args)) or plans[-1].lacks() == lacking, 10, what=f"plan to name {lacking}")
    return plans[-1]


def works_for(podgraft, person, target, pod, laptop, **more):
    """A redirect, as that person."""
    r = podgraft.redirect(target, f"{HTTP}:{laptop.ports['http']}", *(["--as", person] if person else []), **more)
    assert who(pod.ip, HTTP) == "laptop"
    assert r.stop() == 0


# --- what it says when all is well ---

def test_it_changes_nothing(cluster, podgraft, web, tmp_path):
    _, pod = web
    before = cluster.get("pod", pod.name)
    plan = Plan(podgraft, f"pod/{pod.name}")
    assert plan.code == 0 and plan.error is None
    after = cluster.get("pod", pod.name)
    assert after["spec"] == before["spec"] and "ephemeralContainers" not in after["spec"]
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_administrator_may_do_everything(cluster, podgraft, web):
    name, pod = web
    plan = Plan(podgraft, f"deploy/{name}")
    assert plan.code == 0
    assert set(plan.works().values()) == {"yes"} and set(plan.works()) == {"redirect", "forward", "ps", "token"}
    assert plan.lacks() == plan.lacks(needed=False) == set() and plan.manifest == ""
    assert {job["job"]: job["capabilities"] for job in plan.said["jobs"]} == {
        "redirect": ["NET_ADMIN"], "forward": [], "ps": ["SYS_PTRACE", "DAC_READ_SEARCH"], "token": []}
    info = cluster.get("node", pod.object["spec"]["nodeName"])["status"]["nodeInfo"]
    assert plan.said["pod"] == {
        "name": pod.name, "phase": "Running", "host_network": False, "runtime_class": None,
        "node": {"name": pod.object["spec"]["nodeName"], "os": "linux", "arch": info["architecture"],
                 "kernel": info["kernelVersion"], "runtime": info["containerRuntimeVersion"]}}
    assert info["kernelVersion"] in plan.text and info["containerRuntimeVersion"] in plan.text
    assert any("nf_tables" in line for line in plan.said["unknown_until_grafted"])


# --- rights ---

def test_a_user_without_any_right(cluster, podgraft, web, laptop):
    name, pod = web
    person = f"nobody-{cluster.namespace}"
    plan = Plan(podgraft, f"deploy/{name}", "--as", person)
    assert plan.code == 3 and plan.error["class"] == "cluster"
    assert plan.said["user"] == person and plan.said["pod"] is None
    assert plan.lacks() == {*NEEDED, *OF_WORKLOADS} and plan.lacks(needed=False) == set(HELPFUL)
    assert set(plan.works().values()) == {"no"}
    assert plan.error["hint"] in plan.words and "kubectl apply -f -" in plan.error["hint"]
    manifest = run(podgraft, "plan", f"deploy/{name}", "--as", person, "--manifest").out
    assert manifest == plan.manifest
    cluster.kubectl("apply", "-f", "-", stdin=manifest)
    until(lambda: run(podgraft, "plan", f"deploy/{name}", "--as", person).code == 0, what="the Role's effect")
    works_for(podgraft, person, f"deploy/{name}", pod, laptop)


@pytest.fixture(scope="module")
def followed(cluster, web, laptop, tmp_path_factory):
    """For each right: the plan of somebody who lacks just that one, and the exit code of a redirect when the manifest was applied.

    All at once, each on a laptop and a port of their own, as most of the time is the cluster's.
    """
    name, _ = web

    def follow(lacking, mode):
        user = Podgraft(cluster, tmp_path_factory.mktemp("lacking"))
        words = f"deploy/{name}", "--as", allow(cluster, [right for right in NEEDED + OF_WORKLOADS if right != lacking])
        plan = plan_that_lacks(user, {lacking}, *words)
        cluster.kubectl("apply", "-f", "-", stdin=plan.manifest)
        until(lambda: run(user, "plan", *words).code == 0, what="the Role's effect")
        pair = f"{PORTS[mode]}:{laptop.ports[mode]}"
        return words[-1], plan, run(user, "redirect", words[0], pair, *words[1:], "--", "true")
    rights = NEEDED + OF_WORKLOADS
    with ThreadPoolExecutor() as pool:
        return dict(zip(rights, pool.map(follow, rights, PORTS)))


@pytest.mark.parametrize("lacking", NEEDED + OF_WORKLOADS, ids=" ".join)
def test_a_user_who_lacks_one_right(followed, lacking):
    person, plan, redirect = followed[lacking]
    assert plan.code == 3
    role, binding = yaml.safe_load_all(plan.manifest)
    resource, _, group = lacking[1].partition(".")
    assert role["rules"] == [{"apiGroups": [group], "resources": [resource], "verbs": [lacking[0]]}]
    assert binding["subjects"][0]["name"] == person
    assert redirect.code == 0, redirect


def test_what_only_helps_is_told_and_not_asked_for(cluster, podgraft, web, laptop):
    """Nodes and namespaces are nobody's business but an administrator's: then they are unknown."""
    _, pod = web
    person = allow(cluster, NEEDED)
    plan = plan_that_lacks(podgraft, set(), pod.name, "--as", person)
    assert plan.code == 0 and plan.manifest == "" and set(plan.works().values()) == {"yes"}
    assert plan.lacks(needed=False) == {*HELPFUL, ("list", "pods")}
    assert plan.said["pod"]["node"]["kernel"] is None and plan.said["pod_security"] == {"known": False, "enforce": None}
    assert "kernel unknown" in plan.text
    works_for(podgraft, person, f"pod/{pod.name}", pod, laptop)


def test_a_websocket_needs_one_right_more(cluster, podgraft, web):
    _, pod = web
    person = allow(cluster, NEEDED)
    plan = plan_that_lacks(podgraft, {("get", "pods/portforward")}, pod.name, "--as", person, "--transport", "websocket")
    assert plan.code == 3
    cluster.kubectl("apply", "-f", "-", stdin=plan.manifest)
    until(lambda: run(podgraft, "plan", pod.name, "--as", person, "--transport", "websocket").code == 0, what="the Role's effect")
    done = run(podgraft, "token", pod.name, "--as", person, "--transport", "websocket")
    assert done.code == 0, done


def test_strangers_learn_nothing(podgraft, web):
    _, pod = web
    done = run(podgraft, "plan", pod.name, "--as", "system:anonymous")
    assert done.code == 3 and "got no credentials from us" in done.words, done


# --- admission ---

def test_namespaces_with_pod_security(cluster, podgraft, guarded):
    """Both profiles at once, as most of the time is the cluster's."""
    def check(profile):
        namespace = guarded(profile)
        plan = Plan(podgraft, "web", namespace=namespace)
        assert plan.code == 3 and plan.said["pod_security"] == {"known": True, "enforce": profile}
        assert plan.works() == {"redirect": "no", "forward": "yes", "ps": "no", "token": "yes"}
        assert "NET_ADMIN" in plan.error["message"]
        assert run(podgraft, "plan", "web", "--profile", "forward", namespace=namespace).code == 0
        label, = yaml.safe_load_all(plan.manifest)
        assert label["kind"] == "Namespace" and label["metadata"]["name"] == namespace
        cluster.kubectl("apply", "-f", "-", stdin=plan.manifest)
        until(lambda: run(podgraft, "plan", "web", namespace=namespace).code == 0, what="the label's effect")
        return run(podgraft, "redirect", "web", "8080", "--", "true", namespace=namespace)
    with ThreadPoolExecutor() as pool:
        for done in pool.map(check, ["baseline", "restricted"]):
            assert done.code == 0, done


def test_a_webhook_that_denies(podgraft, cluster, lab_only, web, tmp_path):
    _, pod = web
    with Webhook(cluster, tmp_path, deny("no grafts on Fridays")) as hook:
        hook.watches(pod.name)
        plan = Plan(podgraft, pod.name)
        assert plan.code == 3 and set(plan.works().values()) == {"no"} and plan.manifest == ""
        assert "no grafts on Fridays" in plan.error["message"] and "grafts.example.com" in plan.error["message"]
        assert plan.error["hint"] == "a policy of this cluster denied it: ask those who run the webhook named here"


# --- pods ---

def test_a_pod_on_its_nodes_network(podgraft, cluster):
    cluster.apply(workloads.pod("noded", [workloads.web(port=18474)], hostNetwork=True))
    cluster.kubectl("wait", "pod/noded", "--for=condition=Ready", "--timeout=60s")
    plan = Plan(podgraft, "noded")
    assert plan.code == 4 and plan.error["class"] == "target" and plan.said["pod"]["host_network"] is True
    assert plan.works() == {"redirect": "no", "forward": "yes", "ps": "yes", "token": "yes"}
    assert plan.manifest == "" and "inject --profile forward" in plan.error["hint"]
    done = run(podgraft, "inject", "noded", "--profile", "forward")
    assert done.code == 0, done
    assert Plan(podgraft, "noded", "--profile", "inspect").code == 0
    cluster.kubectl("delete", "pod", "noded", "--grace-period=0", "--force", "--wait=false")


def test_there_is_no_such_pod(podgraft):
    done = run(podgraft, "plan", "no-such", "-o", "json")
    assert done.code == 4 and json.loads(done.out)["error"]["class"] == "target"
