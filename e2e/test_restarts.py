"""Parts of the cluster stop for a while, with 100 new connections a second: nobody is lost, and the redirect returns by itself."""

import time

import pytest

from harness.faults import Clients, answers, await_idle, lab_without, lost_since
from harness.pods import PORTS
from harness.sockets import dial, echoes, ending

pytestmark = [pytest.mark.alone, pytest.mark.usefixtures("lab_only")]


@pytest.mark.parametrize("part, seconds", [("apiserver", 30), ("kubelet", 5)])
def test_a_part_of_the_cluster_is_restarted_and_the_redirect_returns_by_itself(same_user, shared_pod, laptop, part, seconds):
    rules = shared_pod.rules()
    r = same_user.redirect_to(laptop, shared_pod, "http", "echo")
    answers(shared_pod, "laptop", 1)
    with dial(shared_pod.ip, PORTS["echo"], timeout=15) as held, Clients(shared_pod) as clients:
        assert echoes(held)
        began = time.time()
        with lab_without(part):
            answers(shared_pod, "app", 2)
            assert ending(held) == "reset"  # it is not left hanging
            time.sleep(max(0, began + seconds - time.time()))
        assert r.event("resumed", 20)["reused"]
        answers(shared_pod, "laptop", 1)
        report = clients.end()
    assert lost_since(report, began) == []
    assert r.stop() == 0
    await_idle(shared_pod, r.up["container"], rules)
