"""Pods, services and deployments made of the test images."""

import itertools
import json
import os
import shlex
import signal
import subprocess

from .sockets import serves
from .waiting import stretched, until

PEER = "localhost/podgraft-peer:1"
_serial = itertools.count(1)

# What the usual pod serves: every manner of peer, one port each.
PORTS = {"http": 8080, "echo": 7000, "bulk": 9000, "greet": 7001, "halfclose": 7002, "reset": 7003, "stall": 7004, "slow": 7005,
         "shutfirst": 7006}


def container(name="app", image=PEER, args=None, **more):
    return {"name": name, "image": image, "imagePullPolicy": "Never", "args": serve("app") if args is None else args, **more}


def serve(name):
    """The arguments of a peer that serves PORTS, calling itself `name` where a manner has a name."""
    named = ("http", "greet", "shutfirst")
    return ["multi", *(f"{mode}:{port}:{name}" if mode in named else f"{mode}:{port}" for mode, port in PORTS.items())]


class Pod:
    """A running pod."""

    def __init__(self, cluster, name):
        self.cluster = cluster
        self.name = name
        self._netns = None
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

    def container(self, name="app"):
        """The status of a container, ephemeral ones included."""
        status = self.refresh().object["status"]
        for entry in status.get("containerStatuses", []) + status.get("ephemeralContainerStatuses", []):
            if entry["name"] == name:
                return entry
        raise AssertionError(f"no container {name}")

    def agents(self):
        """Names of the ephemeral containers that are running."""
        return [entry["name"] for entry in self.refresh().object["status"].get("ephemeralContainerStatuses", [])
                if "running" in entry["state"]]

    def grafts(self):
        """Names of all ephemeral containers, also of those that have ended."""
        return [entry["name"] for entry in self.refresh().object["spec"].get("ephemeralContainers", [])]

    def logs(self, name="app"):
        return self.cluster.kubectl("logs", self.name, "-c", name)

    def exec(self, *command, container="app"):
        """Runs a program in a container: what it printed."""
        return self.cluster.kubectl("exec", self.name, "-c", container, "--", *command)

    def await_peer(self, container):
        """Waits until a peer of several manners serves the last of them: being ready says only that it runs."""
        manner = container["args"][-1].split(":") if container["args"][:1] == ["multi"] else []
        if len(manner) > 1:
            until(lambda: serves(self.ip, int(manner[1])), what=f"{self.name}'s port {manner[1]}")

    # The node's side.

    def pid(self, name="app"):
        return self.cluster.container_pid(self.container(name)["containerID"])

    @property
    def netns(self):
        """A path of the pod's network namespace, good until the pod is deleted."""
        if self._netns is None:
            self._netns = os.open(f"/proc/{self.pid()}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        return f"/proc/{os.getpid()}/fd/{self._netns}"

    def entered(self, *command):
        """The command line that runs a program of the machine inside the pod's network namespace."""
        return ["nsenter", f"--net={self.netns}", *map(str, command)]

    def run_in_netns(self, *command):
        """Runs such a program to its end: what it printed."""
        done = subprocess.run(self.entered(*command), text=True, capture_output=True, timeout=stretched(60), check=False)
        if done.returncode != 0:
            raise AssertionError(f"{shlex.join(map(str, command))}: {done.stderr.strip()}")
        return done.stdout

    def rules(self):
        return self.run_in_netns("nft", "list", "ruleset")

    def await_rules(self, rules, timeout=1):
        """Waits until `rules` are all that there are: a client's handshake may be under way when a redirect ends."""
        until(lambda: self.rules() == rules, timeout, what=f"the pod's rules to be {rules!r}")

    def listeners(self):
        """(address, port) of every listening TCP socket in the pod."""
        lines = self.run_in_netns("ss", "-Hltn").splitlines()
        return sorted(tuple(line.split()[3].rsplit(":", 1)) for line in lines)

    def assert_agents_sound(self):
        """No agent was ended by a bug of its own: by a sanitizer, an assertion or a bad access."""
        got = self.cluster.kubectl("get", "pod", self.name, "--ignore-not-found", "-o", "json")
        for entry in json.loads(got or '{"status":{}}')["status"].get("ephemeralContainerStatuses", []):
            code = entry["state"].get("terminated", {}).get("exitCode")
            if code in (99, 128 + signal.SIGABRT, 128 + signal.SIGSEGV, 128 + signal.SIGBUS):
                raise AssertionError(f"agent {entry['name']} ended with {code}:\n{self.logs(entry['name'])}")

    def delete(self, wait=False):
        if self._netns is not None:
            os.close(self._netns)
            self._netns = None
        self.cluster.kubectl("delete", "pod", self.name, "--grace-period=0", "--force", f"--wait={str(wait).lower()}", check=False)


def make_pods(cluster, *wanted):
    """Creates pods, each of a list of containers, all at once, and waits until they are ready."""
    names = []
    for containers in wanted:
        names.append(name := f"pod-{next(_serial)}")
        cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
                       "spec": {"terminationGracePeriodSeconds": 0, "containers": containers}})
    cluster.kubectl("wait", "pod", *names, "--for=condition=Ready", "--timeout=60s")
    pods = [Pod(cluster, name) for name in names]
    for pod, containers in zip(pods, wanted):
        for one in containers:
            pod.await_peer(one)
    return pods


def make_pod(cluster, containers=None):
    """Creates a pod, by default of one container that serves PORTS, and waits until it is ready."""
    return make_pods(cluster, containers or [container()])[0]


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
