"""On kernels that do not remove a dead agent's rules the lease does: the app answers again within 10 s, whatever the mechanism."""

import os
import random
import signal
import subprocess

import pytest

from harness.cluster import TOP, with_agent_options
from harness.faults import HTTP, answers

pytestmark = pytest.mark.usefixtures("lab_only")

LEASE = 10  # seconds


@pytest.fixture(scope="module")
def image(cluster, tmp_path_factory):
    """The agent's image, with an agent that does not use the owner flag."""
    name = f"localhost/e2e-disowned:{random.randrange(16**6):06x}"
    archive = tmp_path_factory.mktemp("image") / "disowned.tar"
    with_agent_options(cluster.archive, archive, name, "--no-owner-flag")
    subprocess.run([TOP / "e2e/lab/lab", "load", archive], check=True)
    yield name
    cluster.ctr("images", "rm", name)


@pytest.fixture(params=["tproxy", "nat"])
def redirect(request, podgraft, pod, laptop, image):
    if request.param == "nat":
        pod.run_in_netns("nft", "table inet own { chain prerouting { type nat hook prerouting priority dstnat; }; }")
    r = podgraft.redirect(f"pod/{pod.name}", f"{HTTP}:{laptop.ports['http']}", "--image", image)
    assert r.up["mechanism"] == request.param
    assert "flags owner" not in pod.rules(), "the agent owns its rules: nothing is shown"
    answers(pod, "laptop", 1)
    return r


def test_kill_of_an_agent_that_does_not_own_its_rules(redirect, pod):
    """And its port is taken again by the agent that replaces it, once the dead one's claim has run out."""
    os.kill(pod.pid(redirect.up["container"]), signal.SIGKILL)
    answers(pod, "app", LEASE)
    redirect.event("resumed", 30)  # maybe while the dead agent's claim still stands
    answers(pod, "laptop", LEASE + 5)
    assert redirect.stop() == 0
    answers(pod, "app", 1)
