"""Pods of a service mesh: the app, a proxy beside it (e2e/peers/mesh/sidecar.c), and the rules that Istio or Linkerd would make."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .cluster import TOP
from .pods import container, make_pods, serve
from .sockets import dial, read_to_end
from .tools import PEER_BIN
from .waiting import until

sys.path.insert(0, str(TOP / "e2e/lab"))

import oci  # noqa: E402

IMAGE = "localhost/podgraft-sidecar:1"
SIDECAR_BIN = PEER_BIN.parent / "sidecar"


@dataclass(frozen=True)
class Mesh:
    name: str
    uid: int            # of its proxy,
    ports: tuple        # which listens here for what comes and for what goes,
    legs: tuple = ()    # and dials the app from here

    @property
    def rules(self):
        """The program that makes the mesh's rules: the unit tests' own."""
        return TOP / f"agent/test_mesh_{self.name}.sh"


MESHES = [Mesh("istio", 1337, (15006, 15001), ("127.0.0.6", "::6")), Mesh("linkerd", 2102, (4143, 4140))]
KINDS = [(mesh, flavour) for mesh in MESHES for flavour in ("nft", "legacy")]


def name_of(kind):
    return f"{kind[0].name}-{kind[1]}"


def load_image(folder):
    """Makes the proxy's image and has the lab's runtime take it."""
    tree = Path(folder) / "tree"
    tree.mkdir()
    subprocess.run(["strip", "-o", tree / "sidecar", SIDECAR_BIN], check=True)
    archive = Path(folder) / "sidecar.tar"
    oci.write(archive, [(IMAGE, oci.layer(tree), {"Entrypoint": ["/sidecar"]})])
    subprocess.run([TOP / "e2e/lab/lab", "load", archive], check=True, capture_output=True)


def make_meshed(cluster, kinds):
    """A pod of each kind, {kind: pod}. Its app calls itself by the kind's name; its rules are those of the mesh."""
    def sidecar(mesh):
        return container("sidecar", IMAGE, [str(word) for word in (*mesh.ports, *mesh.legs)],
                         securityContext={"runAsUser": mesh.uid, "runAsGroup": mesh.uid})
    pods = make_pods(cluster, *[[container(args=serve(name_of(kind))), sidecar(kind[0])] for kind in kinds])
    for (mesh, flavour), pod in zip(kinds, pods):
        if mesh.legs:
            pod.run_in_netns("ip", "addr", "add", "::6/128", "dev", "lo", "nodad")
        for program in (f"iptables-{flavour}", f"ip6tables-{flavour}"):
            pod.run_in_netns(mesh.rules, program)
    return dict(zip(kinds, pods))


def rules_of(kind, pod):
    """All that the pod's rules are, but for their counters."""
    saved = [pod.run_in_netns(f"{program}-{kind[1]}-save", "-t", "nat") for program in ("iptables", "ip6tables")]
    return [re.sub(r"^#.*\n| \[.*\]|\s?counter packets \d+ bytes \d+", "", text, flags=re.M) for text in (*saved, pod.rules())]


def sealed(data):
    """What the mesh's proxies make of bytes before others see them, and back."""
    return bytes(byte ^ 0x55 for byte in data)


def who_sealed(host, port, timeout=5):
    """Which peer answers a client of the mesh, one that seals what it sends: its name, or None."""
    try:
        with dial(host, port, timeout) as s:
            s.sendall(sealed(b"GET / HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n"))
            head, _, body = sealed(read_to_end(s)).partition(b"\r\n\r\n")
    except OSError:
        return None
    return json.loads(body)["name"] if head.startswith(b"HTTP/1.1 200") else None


def await_proxy(pod, port, name):
    until(lambda: who_sealed(pod.ip, port) == who_sealed(pod.ip6, port) == name, what=f"the proxy of {pod.name}")
