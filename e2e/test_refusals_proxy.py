"""A reverse proxy before the API server, as many companies have one: Debian's nginx, which passes no upgrades until it is told to."""

import base64
import json
import time
from pathlib import Path

import pytest

from harness import workloads
from harness.cli import SECONDS, ran, refused, run
from harness.kubeconfigs import Access, config
from harness.pods import PORTS
from harness.sockets import serves
from harness.tools import free_port
from harness.waiting import until
from harness.webhook import certificate

HTTP = PORTS["http"]
NGINX = """daemon off; user root root; pid /tmp/nginx.pid; error_log stderr;
events { worker_connections 256; }
http {
    access_log off; client_body_temp_path /tmp/c; proxy_temp_path /tmp/p; fastcgi_temp_path /tmp/f; uwsgi_temp_path /tmp/u; scgi_temp_path /tmp/s;
    ssl_certificate /at/crt; ssl_certificate_key /at/key;
    server { listen 127.0.0.1:%d ssl; location / { proxy_pass %s; } }
    server { listen 127.0.0.1:%d ssl; location / { proxy_pass %s; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
                                                   proxy_set_header Connection upgrade; } }
    map $http_upgrade $websocket { websocket websocket; default ""; }
    server { listen 127.0.0.1:%d ssl; location / { proxy_pass %s; proxy_http_version 1.1; proxy_set_header Upgrade $websocket;
                                                   proxy_set_header Connection upgrade; } }
    server { listen 127.0.0.1:%d ssl; location / { proxy_pass %s; proxy_buffering off;
                                                   if ($args ~ "^(?<before>.*watch=true.*&resourceVersion=)") { set $args "${before}1"; } } }
}
"""


@pytest.fixture(scope="module")
def access(cluster):
    return Access(cluster)


@pytest.fixture(scope="module")
def nginx(cluster, access, tmp_path_factory):
    """Runs nginx, on four ports: kubeconfigs by way of it as it is when nobody told it of upgrades, where it passes them, where it
    passes those to WebSocket, and where every watch is from a version that the API server has forgotten.
    """
    if not cluster.is_lab:
        pytest.skip("runs a proxy on this machine, which is the lab's node")
    folder = tmp_path_factory.mktemp("proxied")
    crt, key = (path.read_text() for path in certificate(folder))
    ports = [free_port() for _ in range(4)]
    text = NGINX % tuple(word for port in ports for word in (port, access.server))
    workloads.apply(cluster, {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "nginx"}, "data": {"conf": text, "crt": crt, "key": key}}, {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "nginx"}, "spec": {
            "hostNetwork": True, "terminationGracePeriodSeconds": 0, "volumes": [{"name": "at", "configMap": {"name": "nginx"}}],
            "containers": [{"name": "nginx", "image": "localhost/podgraft-nginx:1", "imagePullPolicy": "Never",
                            "command": ["nginx", "-c", "/at/conf"], "volumeMounts": [{"name": "at", "mountPath": "/at"}]}]}})
    until(lambda: all(serves("127.0.0.1", port) for port in ports), what="nginx to listen")
    authority = base64.b64encode(crt.encode()).decode()
    yield [{"KUBECONFIG": str(config(folder, {"server": f"https://127.0.0.1:{port}", "certificate-authority-data": authority},
                                     {"token": access.token}, name=f"by-{port}"))} for port in ports]
    cluster.kubectl("delete", "pod/nginx", "configmap/nginx", "--grace-period=0", "--force", "--wait=false")


def test_a_proxy_that_passes_no_upgrades(podgraft, nginx, access, shared_pod):
    """Every transport is tried; the hint helps in both its ways."""
    stripping, passing, *_ = nginx
    found = refused(podgraft, "redirect", shared_pod.name, HTTP, env=stripping)
    assert found.code == 3
    assert found.message == f"port-forward to pod '{shared_pod.name}' is refused with 400: Upgrade request required"
    assert found.hint == ("a proxy before the API server passes no upgrades: it has to pass the headers Connection and Upgrade; or go past "
                          "it with --server")
    assert ran(podgraft, "token", shared_pod.name, "--server", access.server, "--insecure-skip-tls-verify", env=stripping)
    done = run(podgraft, "redirect", shared_pod.name, HTTP, "--", "true", env=passing)
    assert done.code == 0, done


def test_a_plan_tells_of_it_beforehand(podgraft, nginx, shared_pod):
    done = run(podgraft, "plan", shared_pod.name, env=nginx[0])
    assert done.code == 3 and "passes no upgrades" in done.words, done
    assert "port-forward does not get through" in done.out
    assert "port-forward gets through" in ran(podgraft, "plan", shared_pod.name, env=nginx[1])


def test_a_proxy_that_keeps_answers_back(podgraft, nginx, shared_pod):
    """nginx buffers: neither the pod's changes nor the agent's first line come by themselves. They are fetched."""
    done = run(podgraft, "inject", shared_pod.name, "-v", env=nginx[0])
    assert done.code == 0 and done.seconds < SECONDS, done
    assert "reading it each second instead" in done.words


def test_a_pod_whose_version_the_server_has_forgotten(cluster, podgraft, nginx):
    """As one that nothing has changed for minutes: it is waited for in peace, and not asked for again and again."""
    workloads.apply(cluster, workloads.pod("unchanged", nodeSelector={"no": "such"}))
    done = run(podgraft, "inject", "unchanged", "--pod-running-timeout=3s", env=nginx[3])
    assert done.code == 4 and "'unchanged' is not on a node yet" in done.words, done
    assert "waiting for a node for pod 'unchanged' (1 s)" in done.words, done
    cluster.kubectl("delete", "pod", "unchanged", "--wait=false")


def test_a_transport_that_is_refused_while_another_works_is_left_out_for_a_day(podgraft, nginx, shared_pod):
    record = Path(podgraft.env["XDG_STATE_HOME"], "podgraft", "state.json")

    def tries_spdy():
        done = run(podgraft, "redirect", "-v", shared_pod.name, HTTP, "--", "true", env=nginx[2])
        assert done.code == 0 and " by tunnel" in done.words, done
        return "trying another transport" in done.words

    assert tries_spdy()
    state = json.loads(record.read_text())
    refused_one, = state["refused"]
    assert refused_one["transport"] == "spdy" and abs(refused_one["until"] - time.time() - 24 * 3600) < 60
    assert not tries_spdy()
    refused_one["until"] = int(time.time()) - 1
    record.write_text(json.dumps(state))
    assert tries_spdy()


def test_many_pods_behind_a_proxy_that_keeps_answers_back(cluster, podgraft, nginx, laptop):
    """A watch of many pods is late there; lists take its place."""
    name = "kept-back"
    workloads.apply(cluster, workloads.workload("Deployment", name, replicas=1))
    cluster.kubectl("rollout", "status", f"deploy/{name}", "--timeout=60s")
    r = podgraft.redirect("-l", f"app={name}", f"8080:{laptop.ports['http']}", "--all-pods", env=nginx[1])
    cluster.kubectl("scale", f"deploy/{name}", "--replicas=2")
    until(lambda: r.event("pods")["up"] == 2, timeout=40, what="two redirected pods")
    cluster.kubectl("scale", f"deploy/{name}", "--replicas=1")
    assert r.event("gone", 40)["pod"].startswith(name)
    assert r.stop() == 0
    cluster.kubectl("delete", "deploy", name, "--wait=false")
