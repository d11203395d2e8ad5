"""Fixtures of the end-to-end tests. Every test runs on a real cluster: see e2e/harness/cluster.py for which one."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness import workloads  # noqa: E402
from harness.cluster import find_cluster  # noqa: E402
from harness.pods import PORTS, make_pod  # noqa: E402
from harness.sockets import Listener  # noqa: E402
from harness.tools import BIN, LocalServer, Podgraft  # noqa: E402


def pytest_collection_modifyitems(config, items):
    """Leaves out, and counts as deselected, what cannot hold for sanitized programs: nothing is to be skipped.

    Parts of the cluster are restarted last: a controller manager that lost its API server needs half a minute to go on.
    """
    items.sort(key=lambda item: item.path.name == "test_restarts.py")
    if "asan" not in str(BIN):
        return
    left_out = [item for item in items if item.get_closest_marker("unsanitized")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def cluster():
    """The cluster, with a namespace that is this run's own."""
    c = find_cluster()
    namespace = f"e2e-{random.randrange(16**6):06x}"
    c.create_namespace(namespace)
    c.namespace = namespace
    yield c
    subprocess.run(["kubectl", "delete", "namespace", namespace, f"--wait={'false' if c.is_lab else 'true'}", "--timeout=120s"],
                   env=c.env, check=False, capture_output=True)


def lent_pod(cluster):
    """A pod of one container that serves every mode of the peer program; its agents must not have crashed in the end."""
    p = make_pod(cluster)
    try:
        yield p
        p.assert_agents_sound()
    finally:
        p.delete()


@pytest.fixture
def pod(cluster):
    """A pod of one container that serves every mode of the peer program."""
    yield from lent_pod(cluster)


@pytest.fixture(scope="module")
def shared_pod(cluster):
    """The same for all tests of a file, which leave nothing behind in it but the idle agents of their users."""
    yield from lent_pod(cluster)


@pytest.fixture(scope="session")
def laptop():
    """The developer's program: serves every mode on ports of this machine, and calls itself "laptop"."""
    with LocalServer() as server:
        yield server


@pytest.fixture
def listener():
    """A developer's program that the test plays."""
    with Listener() as played:
        yield played


@pytest.fixture
def podgraft(cluster, tmp_path):
    """podgraft as one user would run it; what it started ends with the test."""
    p = Podgraft(cluster, tmp_path)
    yield p
    p.close()


@pytest.fixture
def another_user(cluster, tmp_path_factory):
    """The same for a second user, with keys and records of their own."""
    p = Podgraft(cluster, tmp_path_factory.mktemp("another"))
    yield p
    p.close()


@pytest.fixture(scope="module")
def same_user(cluster, tmp_path_factory):
    """One user for all tests of a file: what is redirected by one test stays so for the others, and agents are used again."""
    p = Podgraft(cluster, tmp_path_factory.mktemp("same"))
    yield p
    p.close()


@pytest.fixture(scope="module")
def redirected(same_user, shared_pod, laptop):
    """The file's pod, with every port redirected to the laptop."""
    same_user.redirect_to(laptop, shared_pod, *PORTS)
    return shared_pod


@pytest.fixture(scope="session")
def lab_only(cluster):
    """For tests that look behind the API server: at the node, its namespaces and processes."""
    if not cluster.is_lab:
        pytest.skip("looks at the node, which only the lab shows")


@pytest.fixture
def guarded(cluster):
    """Makes a namespace that enforces a profile of PodSecurity, with a pod in it that keeps to the strictest."""
    made = []

    def make(profile):
        name = f"{cluster.namespace}-{profile}"
        made.append(name)
        cluster.create_namespace(name)
        cluster.kubectl("label", "namespace", name, f"pod-security.kubernetes.io/enforce={profile}")
        strict = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True, "runAsUser": 1000,
                  "seccompProfile": {"type": "RuntimeDefault"}}
        pod = workloads.pod("web", [workloads.web(securityContext=strict)])
        pod["metadata"]["namespace"] = name
        cluster.kubectl("apply", "-n", name, "-f", "-", stdin=json.dumps(pod))
        cluster.kubectl("wait", "-n", name, "pod/web", "--for=condition=Ready", "--timeout=60s")
        return name
    yield make
    for name in made:
        cluster.kubectl("delete", "namespace", name, "--wait=false")
