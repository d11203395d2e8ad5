"""A node that cannot pull the agent's image says why in many ways: each is told in seconds, with its own hint.

The registry is a real one for the container runtime, as far as it comes: an HTTP server on the node that answers as registries do.
"""

import http.server
import json
import random
import signal
import ssl
import subprocess
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.cli import SECONDS, ran, run
from harness.cluster import with_agent_options
from harness.pods import container, make_pods
from harness.tools import BIN
from harness.waiting import stretched
from harness.webhook import certificate

INDEX = "application/vnd.oci.image.index.v1+json"
FOREIGN = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [
    {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:" + "0" * 64, "size": 2,
     "platform": {"architecture": "s390x", "os": "linux"}}]}


def error(code, message):
    return {"errors": [{"code": code, "message": message}]}


def archived(archive):
    """What a registry serves of an OCI archive of one image: {tag "1" or digest: (media type, bytes)}."""
    with tarfile.open(archive) as tar:
        files = {f"sha256:{m.name.split('/')[-1]}": ("application/octet-stream", tar.extractfile(m).read())
                 for m in tar.getmembers() if m.name.startswith("blobs/sha256/") and m.isfile()}
        top = json.load(tar.extractfile("index.json"))["manifests"][0]
    files[top["digest"]] = files["1"] = top["mediaType"], files[top["digest"]][1]
    return files


# What the registry answers to each repository: status, headers, body.
ANSWERS = {
    "missing": (404, {}, error("MANIFEST_UNKNOWN", "manifest unknown")),
    "private": (401, {"WWW-Authenticate": 'Basic realm="private"'}, error("UNAUTHORIZED", "authentication required")),
    "forbidden": (403, {}, error("DENIED", "requested access to the resource is denied")),
    "limited": (429, {}, error("TOOMANYREQUESTS", "toomanyrequests: you have reached your pull rate limit")),
    "broken": (500, {}, error("UNKNOWN", "the disk is full")),
    "foreign": (200, {"Content-Type": INDEX}, FOREIGN),
}


class Registry:
    """Serves ANSWERS on every address of this machine, with TLS when it gets a certificate.

    And an image, of the repository "slow": once `released` is set.
    """

    def __init__(self, pair=None, archive=None):
        self.server = http.server.ThreadingHTTPServer(("", 0), self.Handler)
        self.server.files = archived(archive) if archive else {}
        self.server.released = self.released = threading.Event()
        if pair:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(*pair)
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            repository, _, name = self.path.removeprefix("/v2/").partition("/")
            status, headers, body = ANSWERS.get(repository, (200, {}, {}))
            data = json.dumps(body).encode()
            if repository == "slow":
                self.server.released.wait(60)
                media, data = self.server.files[name.split("/")[-1]]
                headers = {"Content-Type": media}
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers, "Content-Length": len(data)}.items():
                self.send_header(name, str(value))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    def close(self):
        self.server.shutdown()
        self.server.server_close()


# The images, by the address of their registry, and what is said of each.
HTTPS = "the node speaks HTTPS with this registry, which does not: use another, with --image"
IMAGES = {
    "LOCAL/missing:1": ("not found", "there is no such image: choose one with --image, or load it onto the node"),
    "LOCAL/private:1": ("401 Unauthorized", "the node may not pull it: the pod's imagePullSecrets are used; or choose another with --image"),
    "LOCAL/forbidden:1": ("403 Forbidden", "the node may not pull it, or there is no such image: choose another with --image"),
    "LOCAL/limited:1": ("429 Too Many Requests", "the registry limits pulls: try again later, or use a copy of the image with --image"),
    "LOCAL/broken:1": ("500 Internal Server Error", "the registry is out of order: try again later, or use another, with --image"),
    "LOCAL/foreign:1": ("no match for platform", "the image is not built for the node's CPU: choose another with --image"),
    "PLAIN/any:1": ("Head \"https://", HTTPS),
    "TLS/any:1": ("x509: ", "the node does not trust the registry's certificate: use a registry that it trusts, with --image"),
    "no-such-registry.invalid/any:1": ("no-such-registry.invalid", "the node does not find the registry: use one that it reaches, with "
                                       "--image"),
}


@pytest.fixture(scope="module")
def told(cluster, same_user, tmp_path_factory):
    """What podgraft said of each image, all at once, each in a pod of its own: most of the time is the kubelet's."""
    if not cluster.is_lab:
        pytest.skip("needs a node that is this machine")
    node = cluster.env["LAB_NODE_IP"]
    plain, tls = Registry(), Registry(certificate(tmp_path_factory.mktemp("registry")))
    addresses = {"LOCAL": f"127.0.0.1:{plain.port}", "PLAIN": f"{node}:{plain.port}", "TLS": f"{node}:{tls.port}"}

    def inject(image, pod):
        where, _, name = image.partition("/")
        return run(same_user, "inject", pod.name, "--image", f"{addresses.get(where, where)}/{name}")
    pods = make_pods(cluster, *[[container()] for _ in IMAGES])
    with ThreadPoolExecutor(len(IMAGES)) as pool:
        done = list(pool.map(inject, IMAGES, pods))
    yield dict(zip(IMAGES, zip(done, pods)))
    plain.close()
    tls.close()
    for pod in pods:
        pod.delete()


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_that_cannot_be_pulled(same_user, told, image):
    """And a good one works beside it."""
    done, pod = told[image]
    says, helps = IMAGES[image]
    *waits, message, hint = done.words.rstrip("\n").split("\n")
    assert done.code == 4 and done.seconds < SECONDS, done
    assert message.startswith("podgraft: pod '") and "the node cannot pull the image: " in message and says in message, done
    assert hint == f"  hint: {helps}", done
    assert all(line.startswith("waiting for ") for line in waits), done
    assert ran(same_user, "inject", pod.name)


@pytest.fixture
def slow_registry(cluster, lab_only, tmp_path):
    """One that keeps the runtime waiting for an image of its own, whose name is `image`.

    The kubelet knows images by their content, and one that it has pulled itself is pulled again under every other name: this one must
    not be equal to any that tests load without a registry.
    """
    with_agent_options(cluster.archive, tmp_path / "slow.tar", "slow:1", "--idle", f"{random.randrange(3600, 360000)}s")
    registry = Registry(archive=tmp_path / "slow.tar")
    registry.image = f"127.0.0.1:{registry.port}/slow:1"
    yield registry
    registry.released.set()
    registry.close()
    cluster.ctr("images", "rm", *(name for name in cluster.ctr("images", "ls", "-q").split() if f":{registry.port}/slow" in name))


def test_an_agent_whose_image_comes_slowly_is_waited_for_by_the_next_try_too(cluster, slow_registry, podgraft, pod):
    """The entry of the first try stands in the pod for good: there is to be no second one."""
    image = slow_registry.image
    first = subprocess.Popen([BIN / "podgraft", "inject", "-n", cluster.namespace, pod.name, "--image", image, "-o", "json"],
                             env=podgraft.env, text=True, stdout=subprocess.PIPE)
    assert json.loads(first.stdout.readline())["event"] == "waiting"
    first.send_signal(signal.SIGINT)
    assert first.wait(stretched(5)) == 130
    asked, = (entry["name"] for entry in cluster.get("pod", pod.name)["spec"]["ephemeralContainers"])
    slow_registry.released.set()
    grafted = run(podgraft, "inject", pod.name, "--image", image, "-o", "json").json()[-1]
    assert grafted["event"] == "grafted" and grafted["container"] == asked, grafted
    again = run(podgraft, "inject", pod.name, "--image", image, "-o", "json").json()[-1]
    assert again["container"] == asked and again["reused"], again
    assert len(cluster.get("pod", pod.name)["spec"]["ephemeralContainers"]) == 1
