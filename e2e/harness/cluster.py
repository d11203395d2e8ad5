"""The cluster that the tests run on: the lab, or one of the user's."""

import hashlib
import io
import json
import os
import re
import shlex
import subprocess
import tarfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]


class Cluster:
    """kubectl, and on the lab also the node's side of a pod."""

    def __init__(self, env, image, is_lab, archive=None):
        self.env = env
        self.archive = archive  # of the agent's image; on the lab
        self.image = image      # of the agent
        self.is_lab = is_lab
        self.namespace = "default"

    def kubectl(self, *args, check=True, stdin=None, timeout=120):
        """Runs kubectl in the tests' namespace; returns its standard output."""
        done = subprocess.run(["kubectl", "-n", self.namespace, *args], env=self.env, input=stdin, text=True,
                              capture_output=True, timeout=timeout, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"kubectl {shlex.join(args)}: {done.stderr.strip()}")
        return done.stdout

    def get(self, *args):
        return json.loads(self.kubectl("get", *args, "-o", "json"))

    def apply(self, manifest):
        self.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))

    def create_namespace(self, name):
        """Makes one, and waits until pods can be made in it: until its service account is there."""
        self.kubectl("create", "namespace", name)
        self.kubectl("wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=90s")

    # The node's side, which only the lab shows.

    def ctr(self, *args, check=True):
        return subprocess.run([*shlex.split(self.env["LAB_CTR"]), *args], env=self.env, text=True, capture_output=True,
                              check=check).stdout

    def container_pid(self, container_id):
        """The node's process id of a container of the pod's status ("containerd://...")."""
        wanted = container_id.split("//", 1)[1]
        for line in self.ctr("task", "ls").splitlines()[1:]:
            name, pid, *_ = line.split()
            if name == wanted:
                return int(pid)
        raise AssertionError(f"{wanted} runs no task")


def lab_env():
    """The variables that `e2e/lab/lab env` prints."""
    text = subprocess.run([TOP / "e2e/lab/lab", "env"], text=True, capture_output=True, check=True).stdout
    env = dict(os.environ)
    for name, value in re.findall(r"^export (\w+)=(.*)$", text, re.M):
        env[name] = os.path.expandvars(shlex.split(value)[0]) if value else ""
    return env


def find_cluster():
    """The user's cluster when E2E_IMAGE names an agent image that it can pull, else the lab, brought up."""
    image = os.environ.get("E2E_IMAGE")
    if image:
        return Cluster(dict(os.environ), image, is_lab=False)
    subprocess.run([TOP / "e2e/lab/lab", "up"], check=True)
    archive = Path(os.environ.get("E2E_ARCHIVE", TOP / "build/image/podgraft-agent.tar"))
    if not archive.exists():
        raise RuntimeError(f"{archive} is missing: run ci/image first")
    subprocess.run([TOP / "e2e/lab/lab", "load", archive], check=True)
    return Cluster(lab_env(), archived_name(archive), is_lab=True, archive=archive)


def with_agent_options(archive, path, name, *options):
    """Writes the archive of an image like that of `archive`, whose agent always gets these options as well."""
    with tarfile.open(archive) as tar:
        blobs = {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}

    def replaced(entry, change):
        """The entry of a blob that was changed."""
        about = json.loads(blobs[f"blobs/sha256/{entry['digest'].removeprefix('sha256:')}"])
        change(about)
        data = json.dumps(about).encode()
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        return {**entry, "digest": f"sha256:{digest}", "size": len(data)}

    def add_options(config):
        config["config"]["Entrypoint"] += options
    index = json.loads(blobs["index.json"])
    entry = replaced(index["manifests"][0], lambda manifest: manifest.update(config=replaced(manifest["config"], add_options)))
    entry["annotations"]["org.opencontainers.image.ref.name"] = name
    blobs["index.json"] = json.dumps({**index, "manifests": [entry]}).encode()
    with tarfile.open(path, "w") as tar:
        for blob, data in blobs.items():
            member = tarfile.TarInfo(blob)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def archived_name(archive):
    """The name of the image in an OCI archive of ci/image: the sanitized agent's is another."""
    with tarfile.open(archive) as tar:
        index = json.load(tar.extractfile("index.json"))
    return index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"]
