"""Kubeconfig files in few words, and things on the way to an API server: proxies and servers that are none."""

import base64
import json
import random
import re
import socket
import stat
import subprocess
import threading
from urllib.parse import urlsplit

from .rights import await_right


class Access:
    """What the tests' own kubeconfig says of the cluster, and a service account that may graft in the tests' namespace."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.account = f"tests-{random.randrange(16**6):06x}"  # several files may share a namespace
        view = json.loads(cluster.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
        self.server = view["clusters"][0]["cluster"]["server"]
        self.authority = view["clusters"][0]["cluster"]["certificate-authority-data"]
        self.admin = view["users"][0]["user"]
        cluster.kubectl("create", "serviceaccount", self.account)
        allow(cluster, self.account, self.user)
        self.token = cluster.kubectl("create", "token", self.account).strip()

    @property
    def user(self):
        return f"system:serviceaccount:{self.cluster.namespace}:{self.account}"

    @property
    def address(self):
        parts = urlsplit(self.server)
        return parts.hostname, parts.port or 443

    def trusted(self, **more):
        """The cluster's entry, with the authority inline."""
        return {"server": self.server, "certificate-authority-data": self.authority, **more}


def allow(cluster, name, user, kind="User"):
    """Lets a user or group do in the tests' namespace what a graft and a redirect need."""
    rules = [(["get", "list", "watch"], ["pods", "pods/log"], ""), (["patch"], ["pods/ephemeralcontainers"], ""),
             (["get", "create"], ["pods/portforward"], "")]
    cluster.apply({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": f"{name}-graft"},
                   "rules": [{"verbs": verbs, "resources": resources, "apiGroups": [group]} for verbs, resources, group in rules]})
    cluster.kubectl("create", "rolebinding", f"{name}-graft", f"--role={name}-graft", f"--{kind.lower()}={user}")
    await_right(cluster, "create", "pods/portforward", "--as", *([user] if kind == "User" else ["anybody", "--as-group", user]))


def config(folder, cluster=None, user=None, name="config", current="here", namespace=None, **more):
    """Writes a kubeconfig with one context, and returns its path. `more` replaces whole sections."""
    context = {"cluster": "c", "user": "u", **({"namespace": namespace} if namespace else {})}
    text = {"apiVersion": "v1", "kind": "Config", "current-context": current, "contexts": [{"name": "here", "context": context}],
            "clusters": [{"name": "c", "cluster": cluster or {}}], "users": [{"name": "u", "user": user or {}}], **more}
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({key: value for key, value in text.items() if value is not None}))
    return path


def plugin(folder, body, name="plugin"):
    """An exec credential plugin: a shell script that counts its runs in the file "runs" beside it."""
    path = folder / name
    path.write_text(f"#!/bin/sh\nhere={folder}\necho >>$here/runs\nruns=$(wc -l <$here/runs)\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def credential(version="v1", **status):
    """The shell command that prints a plugin's answer."""
    text = json.dumps({"apiVersion": f"client.authentication.k8s.io/{version}", "kind": "ExecCredential", "status": status})
    return f"cat <<'END'\n{text}\nEND"


def by_plugin(path, version="v1", **more):
    mode = {"interactiveMode": "Never"} if version == "v1" else {}
    return {"exec": {"apiVersion": f"client.authentication.k8s.io/{version}", "command": str(path), **mode, **more}}


def decoded(text):
    return base64.b64decode(text)


def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)


class Server:
    """Takes connections, by default on 127.0.0.1, and hands each to `serve(socket, request_head)` in a thread of its own."""

    def __init__(self, reads_head=True, host="127.0.0.1"):
        self.socket = socket.create_server((host, 0))
        self.port = self.socket.getsockname()[1]
        self.reads_head = reads_head
        self.heads = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(peer,), daemon=True).start()

    def _one(self, peer):
        head = b""
        while self.reads_head and b"\r\n\r\n" not in head:
            more = peer.recv(65536)
            if not more:
                return
            head += more
        self.heads.append(head.decode("latin-1"))
        try:
            self.serve(peer, self.heads[-1])
        except OSError:
            pass

    def serve(self, peer, head):
        raise NotImplementedError

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)  # else accept() goes on
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Says(Server):
    """Answers every request with the same bytes."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def serve(self, peer, head):
        peer.sendall(self.answer)
        peer.close()


class Silent(Server):
    """Takes connections and never says a word."""

    def __init__(self):
        super().__init__(reads_head=False)
        self.kept = []

    def serve(self, peer, head):
        self.kept.append(peer)


class Proxy(Server):
    """An HTTP proxy that knows CONNECT, to the target that is asked for."""

    def serve(self, peer, head):
        host, port = re.match(r"CONNECT \[?([^ \]]+)\]?:(\d+) ", head).groups()
        onward = socket.create_connection((host, int(port)))
        peer.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        threading.Thread(target=pump, args=(onward, peer), daemon=True).start()
        pump(peer, onward)


class Forwarder(Server):
    """Passes bytes on to an address: the API server under another one."""

    def __init__(self, address, host="127.0.0.1"):
        super().__init__(reads_head=False, host=host)
        self.address = address

    def serve(self, peer, head):
        onward = socket.create_connection(self.address)
        threading.Thread(target=pump, args=(onward, peer), daemon=True).start()
        pump(peer, onward)


class OnlyOnce(Forwarder):
    """Passes one connection on; from then on nobody listens there."""

    def serve(self, peer, head):
        self.close()
        super().serve(peer, head)


def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        source.close()
        sink.close()
