"""A reverse proxy before the API server, as many companies have one: Debian's nginx, which passes no upgrades until it is told to."""

import base64

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
    server {
        listen 127.0.0.1:%d ssl; ssl_certificate /at/crt; ssl_certificate_key /at/key;
        location / { proxy_pass %s; %s }
    }
}
"""
PASSES_UPGRADES = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"


@pytest.fixture(scope="module")
def access(cluster):
    return Access(cluster)


@pytest.fixture(scope="module")
def start_nginx(cluster, access, tmp_path_factory):
    """A function that starts nginx with such a location, in place of the one before, and returns a kubeconfig that goes through it."""
    folder = tmp_path_factory.mktemp("proxied")
    crt, key = (path.read_text() for path in certificate(folder))

    def start(location=""):
        port = free_port()
        text = NGINX % (port, access.server, location)
        name = f"proxy-{port}"
        workloads.apply(cluster, {
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"app": "nginx-proxy"}}, "data": {"conf": text, "crt": crt, "key": key}}, {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "nginx-proxy"}}, "spec": {
                "hostNetwork": True, "terminationGracePeriodSeconds": 0, "volumes": [{"name": "at", "configMap": {"name": name}}],
                "containers": [{"name": "nginx", "image": "localhost/podgraft-nginx:1", "imagePullPolicy": "Never",
                                "command": ["nginx", "-c", "/at/conf"], "volumeMounts": [{"name": "at", "mountPath": "/at"}]}]}})
        cluster.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=60s")
        until(lambda: serves("127.0.0.1", port), 10, what="nginx to listen")
        return config(folder, {"server": f"https://127.0.0.1:{port}", "certificate-authority-data": base64.b64encode(crt.encode()).decode()}, {"token": access.token}, name=name)
    yield start
    cluster.kubectl("delete", "pod,configmap", "-l", "app=nginx-proxy", "--grace-period=0", "--force", "--wait=false")


@pytest.fixture(scope="module")
def through_nginx(start_nginx):
    """A kubeconfig by way of nginx as it is when nobody told it of upgrades."""
    return {"KUBECONFIG": str(start_nginx())}


def test_a_proxy_that_passes_no_upgrades(podgraft, through_nginx, access, shared_pod, start_nginx):
    """Every transport is tried; the hint helps in both its ways."""
    found = refused(podgraft, "redirect", shared_pod.name, HTTP, env=through_nginx)
    assert found.code == 3
    assert found.message == f"port-forward to pod '{shared_pod.name}' is refused with 400: Upgrade request required"
    assert found.hint == ("a proxy before the API server passes no upgrades: it has to pass the headers Connection and Upgrade; or go past "
                          "it with --server")
    past = ["--server", access.server, "--insecure-skip-tls-verify"]
    assert ran(podgraft, "token", shared_pod.name, *past, env=through_nginx)
    done = run(podgraft, "redirect", shared_pod.name, HTTP, "--", "true", env={"KUBECONFIG": str(start_nginx(PASSES_UPGRADES))})
    assert done.code == 0, done


def test_a_plan_tells_of_it_beforehand(podgraft, through_nginx, shared_pod):
    done = run(podgraft, "plan", shared_pod.name, env=through_nginx)
    assert done.code == 3 and "passes no upgrades" in done.words, done
    assert "port-forward does not get through" in done.out
    assert "port-forward gets through" in ran(podgraft, "plan", shared_pod.name)


def test_a_proxy_that_keeps_answers_back(podgraft, through_nginx, shared_pod):
    """nginx buffers: neither the pod's changes nor the agent's first line come by themselves. They are fetched."""
    done = run(podgraft, "inject", shared_pod.name, "-v", env=through_nginx)
    assert done.code == 0 and done.seconds < SECONDS, done
    assert "reading it each second instead" in done.words
