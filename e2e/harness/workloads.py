"""Workloads of every kind that selects pods, in few words."""

from .pods import PEER


def template(name, containers=None, **spec):
    """What a workload makes pods of: one container that serves HTTP on 8080, a port called "http"."""
    return {"metadata": {"labels": {"app": name}},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": containers or [web()], **spec}}


def web(name="app", port=8080, **more):
    return {"name": name, "image": PEER, "imagePullPolicy": "Never", "args": ["http", str(port), name],
            "ports": [{"name": "http" if name == "app" else name, "containerPort": port}], **more}


def pod(name, containers=None, annotations=None, **spec):
    made = template(name, containers, **spec)
    return {"apiVersion": "v1", "kind": "Pod", "spec": made["spec"],
            "metadata": {"name": name, "annotations": annotations or {}, **made["metadata"]}}


def workload(kind, name, **spec):
    """A Deployment or one of its kin, its pods labelled app=NAME."""
    group = {"Job": "batch/v1", "ReplicationController": "v1"}.get(kind, "apps/v1")
    selector = {"app": name} if group == "v1" else {"matchLabels": {"app": name}}
    more = {"Job": {"template": template(name, restartPolicy="Never")}, "StatefulSet": {"serviceName": name}}.get(kind, {})
    spec = {"template": template(name), **({} if kind == "Job" else {"selector": selector}), **more, **spec}
    return {"apiVersion": group, "kind": kind, "metadata": {"name": name}, "spec": spec}


def service(name, ports, selector):
    """`ports` maps a Service's port, named p<port>, to the pods'."""
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": selector, "ports": [{"name": f"p{port}", "port": port, "targetPort": to} for port, to in ports.items()]}}


def apply(cluster, *objects):
    cluster.apply({"apiVersion": "v1", "kind": "List", "items": list(objects)})
