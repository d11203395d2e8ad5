"""Rights in the cluster. The API server takes a moment to know of a new Role, or of one that went."""

from .waiting import until


def may(cluster, verb, resource, *who):
    """Whether somebody ("--as", "ann") may do that by now, in the tests' namespace. `resource` is "pods" or "pods/log"."""
    kind, _, part = resource.partition("/")
    words = ["auth", "can-i", verb, kind, *([f"--subresource={part}"] if part else []), *who]
    return cluster.kubectl(*words, check=False).strip() == "yes"


def await_right(cluster, verb, resource, *who):
    until(lambda: may(cluster, verb, resource, *who), what=f"the right to {verb} {resource}")
