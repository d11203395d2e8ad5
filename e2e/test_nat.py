"""A pod that has network address translation of its own is redirected by that means: `tproxy` would come too early for it."""

import pytest

from harness.pods import PORTS
from harness.sockets import dial, echoes, read_exactly, who
from harness.tools import PortForward, peer, who_inside

HTTP, GREET = PORTS["http"], PORTS["greet"]
OUTSIDE = 18080  # what the pod's own translation leads to HTTP
OWN_NAT = f"""table inet own {{
    chain prerouting {{
        type nat hook prerouting priority dstnat;
        tcp dport {OUTSIDE} redirect to :{HTTP}
    }}
}}"""

pytestmark = pytest.mark.usefixtures("lab_only")


@pytest.fixture(scope="module")
def shared_pod(shared_pod):
    """The file's pod, with a rule of its own."""
    shared_pod.run_in_netns("nft", OWN_NAT)
    return shared_pod


@pytest.fixture
def pod(pod):
    """The same for one test."""
    pod.run_in_netns("nft", OWN_NAT)
    return pod


def test_the_pods_own_translation_goes_on_as_before(podgraft, pod, laptop):
    assert podgraft.redirect_to(laptop, pod, "http").up["mechanism"] == "nat"
    assert who(pod.ip, HTTP) == "laptop"
    assert who(pod.ip, OUTSIDE) == "app"


def test_from_everywhere(cluster, redirected):
    assert who(redirected.ip, HTTP) == "laptop"
    assert who(redirected.ip6, HTTP) == "laptop"
    assert who_inside(redirected, "127.0.0.1", HTTP) == "laptop"
    assert who_inside(redirected, "::1", HTTP) == "laptop"
    assert who_inside(redirected, redirected.ip, HTTP) == "laptop"
    with PortForward(cluster, redirected, HTTP) as forward:
        assert who("127.0.0.1", forward.ports[HTTP]) == "laptop"


def test_bytes_and_endings(redirected):
    assert peer("bulk-down", redirected.ip, PORTS["bulk"], "--bytes", 16 << 20)["ok"]
    assert peer("bulk-up", redirected.ip6, PORTS["bulk"], "--bytes", 16 << 20)["ok"]
    assert peer("halfclose-client", redirected.ip, PORTS["halfclose"], "--bytes", 300000)["ok"]
    assert peer("reset-client", redirected.ip, PORTS["reset"], "--bytes", 1000)["saw"] == "reset"


def greeted(pod):
    """A connection to the port that says who serves it: the socket, and what it said."""
    s = dial(pod.ip, GREET)
    line = b""
    while not line.endswith(b"\n"):
        line += read_exactly(s, 1)
    return s, line


def test_connections_go_on_when_it_begins_and_when_it_ends(podgraft, pod, laptop):
    rules = pod.rules()
    before, said = greeted(pod)
    assert said == b"hello from app\n"
    r = podgraft.redirect_to(laptop, pod, "greet")
    during, said = greeted(pod)
    assert said == b"hello from laptop\n"
    r.interrupt()
    r.event("draining")
    after, said = greeted(pod)
    assert said == b"hello from app\n"
    assert echoes(before) and echoes(during) and echoes(after)
    during.close()
    assert r.wait() == 0
    assert echoes(before) and echoes(after)
    before.close()
    after.close()
    pod.await_rules(rules)


def test_a_local_program_that_does_not_run_leaves_the_port_to_the_app(podgraft, pod, listener):
    port = listener.port
    listener.close()
    podgraft.redirect(f"pod/{pod.name}", f"{HTTP}:{port}")
    assert who(pod.ip, HTTP) == "app"
    assert who(pod.ip6, HTTP) == "app"
    assert who_inside(pod, "127.0.0.1", HTTP) == "app"
