"""Whichever way a connection comes to the pod, it arrives on the laptop."""

from harness.pods import PORTS, container, make_pod, make_service
from harness.sockets import dial, echoes, who
from harness.tools import LocalServer, PortForward, free_port, who_inside
from harness.waiting import until

HTTP = PORTS["http"]


def test_by_pod_address_ipv4_and_ipv6(redirected):
    assert who(redirected.ip, HTTP) == "laptop"
    assert who(redirected.ip6, HTTP) == "laptop"


def test_by_service_address_and_node_port(cluster, lab_only, redirected):
    service = make_service(cluster, redirected, [(80, HTTP)], type="NodePort", ipFamilyPolicy="RequireDualStack")
    v4, v6 = sorted(service["spec"]["clusterIPs"], key=lambda address: ":" in address)
    node_port = service["spec"]["ports"][0]["nodePort"]
    until(lambda: who(v4, 80, timeout=1) == "laptop", what="the Service's IPv4 address")
    until(lambda: who(v6, 80, timeout=1) == "laptop", what="the Service's IPv6 address")
    assert who(cluster.env["LAB_NODE_IP"], node_port) == "laptop"
    assert who(cluster.env["LAB_NODE_IP6"], node_port) == "laptop"


def test_from_the_nodes_own_address(cluster, lab_only, redirected):
    assert who(redirected.ip, HTTP, source=cluster.env["LAB_NODE_IP"]) == "laptop"
    assert who(redirected.ip6, HTTP, source=cluster.env["LAB_NODE_IP6"]) == "laptop"


def test_from_the_same_pod(lab_only, redirected):
    assert who_inside(redirected, "127.0.0.1", HTTP) == "laptop"
    assert who_inside(redirected, "::1", HTTP) == "laptop"
    assert who_inside(redirected, redirected.ip, HTTP) == "laptop"
    assert who_inside(redirected, redirected.ip6, HTTP) == "laptop"


def test_through_kubectl_port_forward(cluster, redirected):
    with PortForward(cluster, redirected, HTTP) as forward:
        assert who("127.0.0.1", forward.ports[HTTP]) == "laptop"


def test_with_syn_cookies_forced(lab_only, pod, podgraft, laptop):
    pod.run_in_netns("sysctl", "-q", "-w", "net.ipv4.tcp_syncookies=2")
    podgraft.redirect_to(laptop, pod, "http", "echo")
    for address in (pod.ip, pod.ip6):
        assert [who(address, HTTP) for _ in range(20)] == ["laptop"] * 20
        with dial(address, PORTS["echo"]) as s:
            assert echoes(s)
    counted = dict(line.split()[:2] for line in pod.run_in_netns("nstat", "-asz", "TcpExtSyncookiesRecv").splitlines()[1:])
    assert int(counted["TcpExtSyncookiesRecv"]) >= 42, "every connection came with a cookie"


def test_no_local_leaves_clients_in_the_pod_alone(lab_only, podgraft, pod, laptop):
    podgraft.redirect_to(laptop, pod, "http", options=["--no-local"])
    assert who_inside(pod, "127.0.0.1", HTTP) == "app"
    assert who_inside(pod, pod.ip, HTTP) == "app"
    assert who(pod.ip, HTTP) == "laptop"


def test_no_ports_given_redirects_all_that_listen(cluster, podgraft):
    one, two = free_port(), free_port()
    pod = make_pod(cluster, [container(args=["multi", f"http:{one}:app", f"http:{two}:app"])])
    try:
        with LocalServer(ports={"http": one}), LocalServer(ports={"http": two}):
            up = podgraft.redirect(f"pod/{pod.name}").up
            assert sorted((r["port"], r["local"]) for r in up["redirects"]) == sorted(
                (port, f"127.0.0.1:{port}") for port in (one, two))
            assert who(pod.ip, one) == who(pod.ip, two) == "laptop"
    finally:
        pod.delete()


def test_the_local_program_may_be_on_another_address(podgraft, pod):
    """IPv6 loopback here: nothing of it shows to the client."""
    with LocalServer(listen="::1") as server:
        up = podgraft.redirect_to(server, pod, "http", options=["--local-address", "::1"]).up
        assert up["redirects"] == [{"port": HTTP, "local": f"[::1]:{server.ports['http']}"}]
        assert who(pod.ip, HTTP) == "laptop"


def test_a_local_program_that_does_not_run_is_a_warning_and_the_app_answers(podgraft, pod):
    r = podgraft.redirect(f"pod/{pod.name}", f"{HTTP}:{free_port()}")
    said = [got["message"] for got in r.seen if got.get("event") == "warning"]
    assert said or r.event("warning", 5)
    assert who(pod.ip, HTTP) == "app"
    assert who(pod.ip6, HTTP) == "app"


def test_it_goes_back_when_the_redirect_ends(lab_only, podgraft, pod, laptop):
    before = pod.rules()
    r = podgraft.redirect_to(laptop, pod, "http")
    assert who(pod.ip, HTTP) == "laptop"
    assert r.stop() == 0
    assert who(pod.ip, HTTP) == "app"
    pod.await_rules(before)


def test_a_second_run_uses_the_same_agent(podgraft, pod, laptop):
    first = podgraft.redirect_to(laptop, pod, "http")
    assert first.stop() == 0
    second = podgraft.redirect_to(laptop, pod, "http")
    assert (first.up["reused"], second.up["reused"]) == (False, True)
    assert pod.grafts() == [first.up["container"]] == [second.up["container"]]
    assert who(pod.ip, HTTP) == "laptop"


def test_verbose_tells_what_is_done(same_user, shared_pod):
    args = ["token", "-v", *same_user.graft, shared_pod.name]
    first, second = same_user.run(*args), same_user.run(*args)
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    agent = shared_pod.agents()[-1]
    for word in ("API server https://", f"pod '{shared_pod.name}'", shared_pod.uid, "port-forward to port ", " by spdy"):
        assert word in first.stderr
    assert f"agent '{agent}' is on record and runs: used again" in second.stderr
    assert len(first.stdout.splitlines()) == 1


def test_two_runs_of_one_user_at_once_share_the_agent(podgraft, pod, laptop):
    first = podgraft.redirect_to(laptop, pod, "http")
    second = podgraft.redirect_to(laptop, pod, "greet")
    assert second.up["reused"] and pod.agents() == [first.up["container"]]
    assert first.stop() == 0
    with dial(pod.ip, PORTS["greet"]) as s:
        assert s.recv(100) == b"hello from laptop\n"
