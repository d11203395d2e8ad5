"""Pods, services and deployments made of the test images."""

import itertools
import subprocess
import time

PEER = "localhost/podgraft-peer:1"
_serial = itertools.count(1)

# What the usual pod serves: every manner of peer, one port each.
PORTS = {"http": 8080, "echo": 7000, "bulk": 9000, "greet": 7001, "halfclose": 7002, "reset": 7003, "stall": 7004, "slow": 7005,
         "shutfirst": 7006}


def until(condition, timeout=30, interval=0.05, what="the condition"):
    """Waits for `condition()` to be true and returns what it returned."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {timeout} s")
        time.sleep(interval)


def container(name="app", image=PEER, args=None, **more):
    return {"name": name, "image": image, "imagePullPolicy": "Never", "args": args or serve("app"), **more}


def serve(name):
    """The arguments of a peer that serves PORTS, its HTTP server under `name`."""
    return ["multi", f"http:{PORTS['http']}:{name}",
            *(f"{mode}:{port}" for mode, port in PORTS.items() if mode != "http")]


class Pod:
    """A running pod."""

    def __init__(self, cluster, name):
        self.cluster = cluster
        self.name = name
        self.refresh()

    def refresh(self):
        self.object = self.cluster.get("pod", self.name)
        status = self.object["status"]
        self.uid = self.object["metadata"]["uid"]
        addresses = [entry["ip"] for entry in status.get("podIPs", [])]
        self.ip = next((a for a in addresses if ":" not in a), None)
        self.ip6 = next((a for a in addresses if ":" in a), None)
        self.host_ip = status.get("hostIP")
        return self

    def container_id(self, name="app"):
        statuses = self.refresh().object["status"]
        for entry in statuses.get("containerStatuses", []) + statuses.get("ephemeralContainerStatuses", []):
            if entry["name"] == name:
                return entry["containerID"]
        raise AssertionError(f"no container {name}")

    def pid(self, name="app"):
        return self.cluster.container_pid(self.container_id(name))

    def agents(self):
        """Names of the ephemeral containers that are running."""
        return [entry["name"] for entry in self.refresh().object["status"].get("ephemeralContainerStatuses", [])
                if "running" in entry["state"]]

    def netns(self, *command, **more):
        return self.cluster.in_netns(self.pid(), *command, **more)

    def rules(self):
        return self.netns("nft", "list", "ruleset")

    def listeners(self):
        """(address, port) of every listening TCP socket in the pod."""
        lines = self.netns("ss", "-Hltn").splitlines()
        return sorted(tuple(line.split()[3].rsplit(":", 1)) for line in lines)

    def delete(self, wait=False):
        self.cluster.kubectl("delete", "pod", self.name, "--grace-period=0", "--force", f"--wait={str(wait).lower()}")


def make_pod(cluster, containers=None, name=None, labels=None, **spec):
    """Creates a pod and waits until it is ready."""
    name = name or f"pod-{next(_serial)}"
    cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels or {"app": name}},
                   "spec": {"terminationGracePeriodSeconds": 0, "containers": containers or [container()], **spec}})
    cluster.kubectl("wait", "pod", name, "--for=condition=Ready", "--timeout=60s")
    return Pod(cluster, name)


def make_service(cluster, pod, ports, name=None, **spec):
    """A Service before `pod`; `ports` are (service port, target port) pairs. Returns its object."""
    name = name or f"svc-{next(_serial)}"
    cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
                   "spec": {"selector": pod.object["metadata"]["labels"],
                            "ports": [{"name": f"p{port}", "port": port, "targetPort": target} for port, target in ports], **spec}})
    until(lambda: (cluster.get("endpoints", name).get("subsets") or [{}])[0].get("addresses"), what=f"endpoints of {name}")
    return cluster.get("service", name)


def make_deployment(cluster, replicas=1, containers=None, name=None):
    name = name or f"deploy-{next(_serial)}"
    labels = {"app": name}
    cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
                   "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
                            "template": {"metadata": {"labels": labels},
                                         "spec": {"terminationGracePeriodSeconds": 0, "containers": containers or [container()]}}}})
    cluster.kubectl("rollout", "status", f"deployment/{name}", "--timeout=60s")
    return name


def pods_of(cluster, name):
    return [Pod(cluster, item["metadata"]["name"]) for item in cluster.get("pods", "-l", f"app={name}")["items"]]


def stop(process, signo=None, timeout=20):
    """Ends a process that a test started, and returns its exit code."""
    if process.poll() is None:
        process.send_signal(signo) if signo else process.terminate()
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return process.returncode
