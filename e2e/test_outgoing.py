"""The pod's own connections to others arrive on the laptop, those that were meant and no others."""

import ipaddress
import json
import os
import signal
import subprocess

import pytest

from harness.pods import PORTS, container, make_pods, make_service, serve
from harness.sockets import dial, read_exactly, who
from harness.tools import Load, LocalServer, Redirect, peer_command, who_inside
from harness.waiting import stretched, until

HTTP, ECHO = PORTS["http"], PORTS["echo"]

pytestmark = pytest.mark.usefixtures("lab_only")


@pytest.fixture(scope="module")
def pods(cluster):
    """The pod that is redirected, and one that it calls."""
    both = make_pods(cluster, [container()], [container(args=serve("far"))])
    yield both
    both[0].assert_agents_sound()
    for pod in both:
        pod.delete()


@pytest.fixture
def near(pods):
    return pods[0]


@pytest.fixture
def far(pods):
    return pods[1]


@pytest.fixture(scope="module")
def service(cluster, pods):
    """A Service before the far pod: (name, IPv4, IPv6)."""
    made = make_service(cluster, pods[1], [(80, HTTP)], ipFamilyPolicy="RequireDualStack")
    v4, v6 = sorted(made["spec"]["clusterIPs"], key=lambda address: ":" in address)
    for address in (v4, v6):
        until(lambda address=address: who_inside(pods[0], address, 80, 1000) == "far", what=f"the Service's address {address}")
    return made["metadata"]["name"], v4, v6


@pytest.fixture
def outgoing(same_user, near, laptop):
    """Starts a redirect of what the pod sends to a port, by default to HTTP; it ends with the test, and leaves no rule."""
    started = []

    def start(*options, port=HTTP, to=laptop):
        started.append(r := same_user.redirect(f"pod/{near.name}", "--outgoing", f"{port}:{to.ports['http']}", *options))
        return r
    yield start
    for r in started:
        r.close()
    until(lambda: "podgraft" not in near.rules(), timeout=1, what="no rule of an agent's")


def who_inside_as(pod, uid, host, port):
    """The same as who_inside(), for a client of that user."""
    command = pod.entered("setpriv", f"--reuid={uid}", "--clear-groups", *peer_command("get", host, port))
    return json.loads(subprocess.run(command, capture_output=True, check=True, timeout=stretched(10)).stdout)["name"]


def test_to_another_pod_by_ipv4_and_ipv6(outgoing, near, far):
    assert who_inside(near, far.ip, HTTP) == "far"
    r = outgoing()
    assert r.up["redirects"][0]["outgoing"] is True
    for address, shown in ((far.ip, far.ip), (far.ip6, f"[{far.ip6}]")):
        assert who_inside(near, address, HTTP) == "laptop"
        told = r.event("connection")
        assert (told["port"], told["to"], told["untold"]) == (HTTP, f"{shown}:{HTTP}", 0)
        assert told["from"].rpartition(":")[0].strip("[]") in (near.ip, near.ip6)
    assert who(near.ip, HTTP) == who_inside(near, near.ip, HTTP) == who_inside(near, "127.0.0.1", HTTP) == "app"
    assert r.stop() == 0
    assert who_inside(near, far.ip, HTTP) == who_inside(near, far.ip6, HTTP) == "far"


def test_to_a_service(outgoing, cluster, near, far, service):
    name, v4, v6 = service
    r = outgoing("--to", f"svc/{name}", port=80)
    assert who_inside(near, v4, 80) == who_inside(near, v6, 80) == "laptop"
    assert [r.event("connection")["to"], r.event("connection")["to"]] == [f"{v4}:80", f"[{v6}]:80"]
    assert r.stop() == 0
    assert who_inside(near, v4, 80) == "far"
    outgoing("--to", f"{name}.{cluster.namespace}.svc.cluster.local", port=80)
    assert who_inside(near, v4, 80) == "laptop"


def test_only_to_a_network(outgoing, near, far):
    r = outgoing("--to", f"{far.ip}/32,192.0.2.0/24")
    assert who_inside(near, far.ip, HTTP) == "laptop"
    assert who_inside(near, far.ip6, HTTP) == "far"
    assert r.stop() == 0
    outgoing("--to", "192.0.2.0/24", "--to", str(ipaddress.ip_network(f"{far.ip6}/64", strict=False)))
    assert who_inside(near, far.ip, HTTP) == "far"
    assert who_inside(near, far.ip6, HTTP) == "laptop"


def test_only_to_a_host_as_this_machine_resolves_it(same_user, near, far, laptop, tmp_path):
    """The machine's resolver has a file of hosts of its own here."""
    hosts = tmp_path / "hosts"
    hosts.write_text(f"127.0.0.1 localhost\n{far.ip} far.example\n")
    command = same_user.command("redirect", "--output", "json", *same_user.graft, f"pod/{near.name}",
                                "--outgoing", f"{HTTP}:{laptop.ports['http']}", "--to", "far.example")
    r = Redirect(["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', hosts, *command], same_user.env)
    same_user.running.append(r)
    r.event("ready")
    assert who_inside(near, far.ip, HTTP) == "laptop"
    assert who_inside(near, far.ip6, HTTP) == "far"
    assert r.stop() == 0


def test_only_of_one_user(outgoing, near, far):
    outgoing("--uid", 1234)
    assert who_inside_as(near, 1234, far.ip, HTTP) == "laptop"
    assert who_inside_as(near, 1234, far.ip6, HTTP) == "laptop"
    assert who_inside_as(near, 1235, far.ip, HTTP) == who_inside(near, far.ip, HTTP) == "far"


def test_one_port_both_ways_at_once(same_user, near, far, laptop):
    with LocalServer("second") as second:
        r = same_user.redirect(f"pod/{near.name}", f"{HTTP}:{laptop.ports['http']}", "--outgoing", f"{HTTP}:{second.ports['http']}")
        assert r.up["mechanism"] == "tproxy"
        assert who(near.ip, HTTP) == who(near.ip6, HTTP) == who_inside(near, "127.0.0.1", HTTP) == "laptop"
        assert who_inside(near, far.ip, HTTP) == who_inside(near, far.ip6, HTTP) == "second"
        assert r.stop() == 0


def test_connections_go_on_when_it_begins_and_when_it_ends(same_user, near, far, laptop):
    def hold():
        return subprocess.Popen(peer_command("idle", far.ip, ECHO, "--conns", 3, pod=near), stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True)

    def ends_well(holder):
        text, _ = holder.communicate("", timeout=stretched(20))
        return json.loads(text.strip().splitlines()[-1])["ok"]

    before = hold()
    before.stdout.readline()
    r = same_user.redirect(f"pod/{near.name}", "--outgoing", f"{ECHO}:{laptop.ports['echo']}")
    during = hold()
    during.stdout.readline()
    r.interrupt()
    r.event("draining")
    assert ends_well(before) and ends_well(during)
    assert r.wait() == 0


def test_what_the_local_program_does_not_take_goes_where_it_was_meant(outgoing, near, far):
    """By the agent, whose own connections are not redirected again."""
    with LocalServer() as server:
        r = outgoing(to=server)
        assert who_inside(near, far.ip, HTTP) == "laptop"
        r.event("connection")
    assert [who_inside(near, far.ip, HTTP) for _ in range(20)] == ["far"] * 20
    assert who_inside(near, far.ip6, HTTP) == "far"
    with LocalServer(ports=server.ports):
        until(lambda: who_inside(near, far.ip, HTTP) == "laptop", timeout=5, what="the laptop's answer")
    r.stop()
    r.event("ended")
    came = sum(got.get("event") == "connection" for got in r.seen)
    assert came == 3, "one that was served, one that was not, whereupon it parked, and one that was served again: none came round"


def test_kill_of_the_agent_under_load_everything_goes_where_it_was_meant_within_1_s(outgoing, near, far):
    r = outgoing()
    with Load(far.ip, HTTP, seconds=int(2 + stretched(1)), pod=near) as load:
        until(lambda: r.event("connection"), what="load on the laptop")
        agent = near.pid(r.up["container"])
        r.process.send_signal(signal.SIGSTOP)  # else it grafts the next one at once
        os.kill(agent, signal.SIGKILL)
        until(lambda: "podgraft" not in near.rules(), timeout=1, what="no rule of an agent's")
        report = load.result()
    r.kill()
    limit = (report["names"]["far"]["first_ms"], stretched(1) * 1000)
    assert [f for f in report["failures"] if f["begin_ms"] > limit[0]] == []
    assert report["longest_gap_ms"] < limit[1]


def test_a_second_user_learns_whose_it_is_and_may_take_it_over(outgoing, another_user, near, far):
    first = outgoing()
    with LocalServer("second") as second:
        wish = (f"pod/{near.name}", "--outgoing", f"{HTTP}:{second.ports['http']}")
        refused = another_user.redirect(*wish, ready=False)
        assert f"outgoing port {HTTP} is redirected by " in refused.error()["message"]
        assert who_inside(near, far.ip, HTTP) == "laptop"
        taken = another_user.redirect(*wish, "--take-over")
        assert who_inside(near, far.ip, HTTP) == "second"
        assert first.event("taken")["outgoing"] is True
        assert first.wait() != 0 and taken.stop() == 0
    assert who_inside(near, far.ip, HTTP) == "far"


V2 = b"\r\n\r\n\0\r\nQUIT\n"


def read_header(s, version):
    """The addresses that a PROXY header tells: (source, its port, destination, its port)."""
    if version == "v1":
        line = b""
        while not line.endswith(b"\r\n"):
            line += read_exactly(s, 1)
        word, family, *ends = line.decode().split()
        assert word == "PROXY" and family == ("TCP6" if ":" in ends[0] else "TCP4")
        return ends[0], int(ends[2]), ends[1], int(ends[3])
    head = read_exactly(s, 16)
    assert head[:13] == V2 + b"\x21"
    n = {0x11: 4, 0x21: 16}[head[13]]
    rest = read_exactly(s, int.from_bytes(head[14:16]))
    assert len(rest) == 2 * n + 4
    source, destination = (str(ipaddress.ip_address(rest[at:at + n])) for at in (0, n))
    return source, int.from_bytes(rest[2 * n:2 * n + 2]), destination, int.from_bytes(rest[2 * n + 2:])


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_local_program_is_told_by_the_proxy_protocol_who_calls_whom(same_user, near, far, listener, version):
    r = same_user.redirect(f"pod/{near.name}", f"{ECHO}:{listener.port}", "--outgoing", f"{ECHO}:{listener.port}",
                           "--proxy-protocol", version)
    for address in (near.ip, near.ip6):
        with dial(address, ECHO) as client:  # which says nothing before it is answered
            server = listener.accept()
            own, port = client.getsockname()[:2]
            assert read_header(server, version) == (own, port, address, ECHO)
            server.sendall(b"welcome")
            assert read_exactly(client, 7) == b"welcome"
            client.sendall(b"thanks")
            assert read_exactly(server, 6) == b"thanks"
            server.close()
    for address, own in ((far.ip, near.ip), (far.ip6, near.ip6)):
        with subprocess.Popen(peer_command("rate", address, ECHO, "--count", 1, pod=near), stdout=subprocess.PIPE) as client:
            server = listener.accept()
            source, _, *destination = read_header(server, version)
            assert (source, *destination) == (own, address, ECHO)
            server.sendall(read_exactly(server, 1))
            assert json.loads(client.communicate(timeout=stretched(10))[0])["ok"] == 1
            server.close()
    assert r.stop() == 0


def test_what_cannot_be_meant_is_refused_in_words(same_user, cluster, near, service):
    def refused(*options):
        done = same_user.run("redirect", *same_user.graft, f"pod/{near.name}", *options)
        return done.returncode, done.stderr

    for code, word, *options in (
            (2, "--to without --outgoing", "--to", "10.0.0.1"),
            (2, "--uid without --outgoing", "--uid", "0"),
            (2, "no number of a user", "--outgoing", "80", "--uid", "root"),
            (2, "the port has no number", "--outgoing", "http"),
            (2, "no IP address", "--outgoing", "80", "--to", "10.0.0"),
            (2, "is the pod itself", "--outgoing", "80", "--to", "127.0.0.1"),
            (2, "is the pod itself", "--outgoing", "80", "--to", "localhost"),
            (2, "cannot resolve 'no-such-host.invalid'", "--outgoing", "80", "--to", "no-such-host.invalid"),
            (2, "named twice", "--outgoing", "80", "--outgoing", "80:81")):
        assert (got := refused(*options))[0] == code and word in got[1], got
    got = refused("--outgoing", "80", "--to", "svc/no-such-service")
    assert got[0] != 0 and "no-such-service" in got[1], got
    cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "headless"},
                   "spec": {"clusterIP": "None", "selector": {"app": "x"}, "ports": [{"port": 80}]}})
    got = refused("--outgoing", f"{HTTP}", "--to", f"svc/{service[0]}")  # that is its targetPort
    assert got[0] == 2 and f"has no such port: {HTTP}" in got[1] and "with --outgoing: 80" in got[1], got
    got = refused("--outgoing", "80", "--to", "svc/headless")
    assert got[0] == 2 and "no address of its own" in got[1], got
