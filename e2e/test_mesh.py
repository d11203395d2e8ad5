"""In a pod of a service mesh the laptop gets what the proxy hands to the app, or with --wire what was sent to the proxy; the
mesh's rules and all else go on as before.

Istio's and Linkerd's rules are real, by both programs that make such rules; the proxy is a small one (e2e/peers/mesh), which
"seals" what it sends to others as a mesh does by TLS, so that a test sees which leg of a connection it has before it.
"""

import difflib
import os
import signal

import pytest

from harness.mesh import KINDS, await_proxy, load_image, make_meshed, name_of, rules_of, sealed, who_sealed
from harness.pods import PORTS
from harness.sockets import dial, read_exactly, who
from harness.tools import LocalServer, who_inside
from harness.waiting import until

HTTP, GREET = PORTS["http"], PORTS["greet"]

pytestmark = pytest.mark.usefixtures("lab_only")


@pytest.fixture(scope="module")
def all_meshed(cluster, tmp_path_factory):
    load_image(tmp_path_factory.mktemp("sidecar"))
    pods = make_meshed(cluster, KINDS)
    for kind, pod in pods.items():
        await_proxy(pod, HTTP, name_of(kind))
    yield pods
    for pod in pods.values():
        pod.assert_agents_sound()
        pod.delete()


@pytest.fixture(params=KINDS, ids=name_of)
def meshed(request, all_meshed):
    """(the pod, the name of its app); its rules are in the end what they were."""
    kind, pod = request.param, all_meshed[request.param]
    rules = rules_of(kind, pod)
    yield pod, name_of(kind)
    until(lambda: rules_of(kind, pod) == rules, timeout=1, what=lambda: "\n".join(difflib.unified_diff("\n".join(rules).splitlines(), "\n".join(rules_of(kind, pod)).splitlines(), "before", "after", lineterm="")))


def greeting(pod):
    """Who serves a port that is not redirected, as the mesh's proxy hands it out."""
    with dial(pod.ip, GREET) as s:
        return sealed(read_exactly(s, 11)).decode()


def test_the_plaintext_leg_arrives_and_all_else_goes_on(same_user, meshed, laptop):
    pod, app = meshed
    r = same_user.redirect_to(laptop, pod, "http")
    assert r.up["mechanism"] == "nat"
    assert who_sealed(pod.ip, HTTP) == who_sealed(pod.ip6, HTTP) == "laptop"
    assert who_inside(pod, "127.0.0.1", HTTP) == who_inside(pod, pod.ip6, HTTP) == "laptop"
    assert who(pod.ip, HTTP, timeout=1) is None, "what was sent in plain text is nothing to the proxy"
    assert greeting(pod) == "hello from "
    assert r.stop() == 0
    assert who_sealed(pod.ip, HTTP) == who_sealed(pod.ip6, HTTP) == app


def test_wire_brings_the_leg_as_sent_and_what_is_not_taken_goes_to_the_proxy(same_user, meshed):
    pod, app = meshed
    with LocalServer() as server:
        r = same_user.redirect_to(server, pod, "http", options=["--wire"])
        assert who(pod.ip, HTTP) == who(pod.ip6, HTTP) == "laptop"
        assert who_inside(pod, "127.0.0.1", HTTP) == "laptop"
    assert who_sealed(pod.ip, HTTP) == app  # by the agent: the first one that the laptop does not take
    assert who_sealed(pod.ip6, HTTP) == who_sealed(pod.ip, HTTP) == app
    assert who_inside(pod, "127.0.0.1", HTTP) == app
    assert r.stop() == 0


def test_outgoing_is_taken_before_the_mesh_and_what_is_not_taken_goes_through_it(same_user, all_meshed, meshed):
    pod, app = meshed
    kind, other = next((kind, pod) for kind, pod in all_meshed.items() if name_of(kind) != app)
    assert who_inside(pod, other.ip, HTTP) == name_of(kind), "through both proxies"
    with LocalServer() as server:
        r = same_user.redirect(f"pod/{pod.name}", "--outgoing", f"{HTTP}:{server.ports['http']}")
        assert who_inside(pod, other.ip, HTTP) == who_inside(pod, other.ip6, HTTP) == "laptop"
        assert who_sealed(pod.ip, HTTP) == app
    assert who_inside(pod, other.ip, HTTP) == who_inside(pod, other.ip6, HTTP) == name_of(kind)
    assert r.stop() == 0


def test_kill_of_the_agent_the_app_answers_within_1_s(same_user, meshed, laptop):
    pod, app = meshed
    r = same_user.redirect_to(laptop, pod, "http")
    assert who_sealed(pod.ip, HTTP) == "laptop"
    agent = pod.pid(r.up["container"])
    r.process.send_signal(signal.SIGSTOP)  # else it grafts the next one at once
    os.kill(agent, signal.SIGKILL)
    until(lambda: who_sealed(pod.ip, HTTP, timeout=0.3) == who_sealed(pod.ip6, HTTP, timeout=0.3) == app, timeout=1, what="the app")
    r.kill()
