"""What docs/security.md says of rights: its Role is enough for a redirect, nothing of it is superfluous, and what PodSecurity allows."""

import json
import re

import pytest
import yaml

from harness.cluster import TOP
from harness.pods import PORTS, container, make_deployment, make_pod, make_service, pods_of
from harness.rights import await_right, may
from harness.sockets import who
from harness.tools import Podgraft
from harness.waiting import until

PAGE = (TOP / "docs" / "security.md").read_text()
WORKLOADS = ("replicationcontrollers", "deployments", "statefulsets", "daemonsets", "replicasets", "jobs")
DEV = ("--as", "dev", "--as-group", "developers")


def documented_role():
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
    return next(role for role in map(yaml.safe_load, blocks) if role["kind"] == "Role")


@pytest.fixture
def dev(cluster, lab_only, tmp_path):
    """podgraft as the lab's unprivileged user, who may do what the documented Role says."""
    cluster.apply(documented_role())
    cluster.apply({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "podgraft"},
                   "subjects": [{"kind": "User", "name": "dev"}],
                   "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "podgraft"}})
    user = Podgraft(cluster, tmp_path, KUBECONFIG=cluster.env["LAB_DEV_KUBECONFIG"])
    await_right(cluster, "patch", "pods/ephemeralcontainers", *DEV)
    yield user
    user.close()
    cluster.kubectl("delete", "role,rolebinding", "podgraft")


@pytest.fixture
def web(cluster):
    """A deployment, with a Service before its pod."""
    name = make_deployment(cluster)
    pod, = pods_of(cluster, name)
    make_service(cluster, pod, [(80, PORTS["http"])], name=name)
    yield name, pod
    cluster.kubectl("delete", "deployment,service", name)


def redirect_once(user, *words):
    """A redirect that ends at once: its exit status is 0, or 125 for failures of podgraft."""
    return user.run("redirect", *words, "--image", user.cluster.image, "--", "true")


def test_it_is_enough(dev, web, laptop):
    name, pod = web
    redirect = dev.redirect(f"deploy/{name}", f"{PORTS['http']}:{laptop.ports['http']}")
    assert who(pod.ip, PORTS["http"]) == "laptop"
    assert redirect.stop() == 0
    assert redirect_once(dev, f"svc/{name}", "80").returncode == 0
    assert redirect_once(dev, "-l", f"app={name}").returncode == 0
    assert dev.run("ps", f"pod/{pod.name}", "--image", dev.cluster.image).returncode == 0


# Each right, and a command that cannot do without it. Without "watch pods" podgraft asks again and again.
NEEDED_BY = {
    "get pods": ["pod/POD", "8080"], "list pods": ["deploy/WEB", "8080"],
    "get pods/log": ["pod/POD", "8080"], "patch pods/ephemeralcontainers": ["pod/POD", "8080"],
    "create pods/portforward": ["pod/POD", "8080"], "get pods/portforward": ["pod/POD", "8080", "--transport", "websocket"],
    "get services": ["svc/WEB", "80"], "get deployments": ["deploy/WEB", "8080"],
}


def without(role, right):
    """The role less one right; its other rights are kept, each in a rule of its own."""
    rules = [{"apiGroups": rule["apiGroups"], "resources": [resource], "verbs": [verb]}
             for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"] if f"{verb} {resource}" != right]
    return {**role, "rules": rules}


def test_every_right_has_its_row():
    rights = {f"{verb} {resource}" for rule in documented_role()["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
    others = {f"get {kind}" for kind in WORKLOADS if kind != "deployments"}  # read as deployments are
    assert rights == set(NEEDED_BY) | others | {"watch pods"}


@pytest.mark.parametrize("right", NEEDED_BY)
def test_nothing_of_it_is_superfluous(cluster, dev, web, right):
    name, pod = web
    cluster.apply(without(documented_role(), right))
    until(lambda: not may(cluster, *right.split(), *DEV), what=f"the end of '{right}'")
    words = [word.replace("POD", pod.name).replace("WEB", name) for word in NEEDED_BY[right]]
    done = redirect_once(dev, *words, "--output", "json")
    assert done.returncode == 125
    error = json.loads(done.stderr.splitlines()[-1])["error"]
    assert error["class"] == "cluster" and right.split()[1] in error["message"]
    assert "hint" in error and error["hint"]


@pytest.fixture
def restricted(cluster):
    """A pod in a namespace that enforces the strictest profile of PodSecurity."""
    label = "pod-security.kubernetes.io/enforce"
    cluster.kubectl("label", "namespace", cluster.namespace, f"{label}=restricted", "--overwrite")
    modest = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True, "runAsUser": 1000,
              "seccompProfile": {"type": "RuntimeDefault"}}
    pod = make_pod(cluster, [container(securityContext=modest)])
    yield pod
    pod.delete()
    cluster.kubectl("label", "namespace", cluster.namespace, f"{label}-")


def test_forward_passes_restricted(cluster, podgraft, restricted):
    done = podgraft.run("inject", f"pod/{restricted.name}", "--image", cluster.image, "--profile", "forward")
    assert done.returncode == 0, done.stderr


def test_redirect_does_not_pass_restricted(cluster, podgraft, restricted):
    done = podgraft.run("redirect", f"pod/{restricted.name}", "8080", "--image", cluster.image)
    assert done.returncode == 3
    assert "enforces the PodSecurity profile 'restricted'" in done.stderr and "--profile forward" in done.stderr
