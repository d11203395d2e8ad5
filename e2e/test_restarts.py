"""Parts of the cluster stop for a while, with 100 new connections a second: nobody is lost, and the redirect returns by itself.

Nor does anybody else notice it: a pod beside without a redirect, and the other ports of the redirected one.
"""

import signal
import time

import pytest

from harness.faults import Clients, answers, await_idle, lab_without, lost_since
from harness.pods import PORTS, make_deployment, make_pod, pods_of
from harness.sockets import dial, echoes, ending, read_exactly
from harness.waiting import until

pytestmark = [pytest.mark.alone, pytest.mark.usefixtures("lab_only")]


@pytest.fixture(scope="module")
def bystander(cluster):
    """A pod that nobody redirects."""
    p = make_pod(cluster)
    yield p
    p.delete()


def greeted(pod):
    """A connection to the port that greets, and the greeting has come from the app."""
    s = dial(pod.ip, PORTS["greet"], timeout=15)
    assert read_exactly(s, 15) == b"hello from app\n"
    return s


@pytest.mark.parametrize("part, seconds", [("apiserver", 30), ("kubelet", 5)])
def test_a_part_of_the_cluster_is_restarted_and_the_redirect_returns_by_itself(same_user, shared_pod, bystander, laptop, part, seconds):
    rules = shared_pod.rules()
    r = same_user.redirect_to(laptop, shared_pod, "http", "echo")
    answers(shared_pod, "laptop", 1)
    with dial(shared_pod.ip, PORTS["echo"], timeout=15) as held, greeted(shared_pod) as beside, \
            Clients(shared_pod) as clients, Clients(bystander) as others:
        assert echoes(held)
        with lab_without(part):
            gone = time.time()  # who was being served by the laptop until then is cut off with it
            answers(shared_pod, "app", 2)
            assert ending(held) == "reset"  # it is not left hanging
            assert echoes(beside)  # of a port that is not redirected
            greeted(shared_pod).close()
            time.sleep(max(0, gone + seconds - time.time()))
        assert r.event("resumed", 20)["reused"]
        answers(shared_pod, "laptop", 1)
        assert echoes(beside)
        report, of_others = clients.end(), others.end()
    assert lost_since(report, gone) == []
    assert of_others["failed"] == 0 and list(of_others["names"]) == ["app"], of_others
    assert r.stop() == 0
    await_idle(shared_pod, r.up["container"], rules)


def test_pods_that_went_while_nobody_could_watch_are_dropped(cluster, same_user, laptop):
    """podgraft is held up meanwhile, and comes back to an API server that was started anew."""
    name = make_deployment(cluster, replicas=2)
    r = same_user.redirect(f"deploy/{name}", f"{PORTS['http']}:{laptop.ports['http']}", "--all-pods")
    until(lambda: r.event("pods")["up"] == 2, what="two redirected pods")
    before = {pod.name for pod in pods_of(cluster, name)}
    r.process.send_signal(signal.SIGSTOP)
    cluster.kubectl("scale", f"deploy/{name}", "--replicas=1")
    left, = until(lambda: (found := pods_of(cluster, name))[1:] == [] and found, what="one pod less")
    with lab_without("apiserver"):
        pass
    r.process.send_signal(signal.SIGCONT)
    assert {r.event("gone", 40)["pod"]} == before - {left.name}
    assert r.stop() == 0
    cluster.kubectl("delete", f"deploy/{name}", "--wait=false")
