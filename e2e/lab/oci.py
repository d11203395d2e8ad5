"""Writes OCI image archives from folders: what `ctr images import` and `podman load` take."""

import gzip
import hashlib
import io
import json
import os
import platform
import tarfile
from pathlib import Path

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def architecture():
    """This machine's name in Go's words, which images use."""
    return _ARCHITECTURES.get(platform.machine(), platform.machine())


def _same_for_all(member):
    """Times are dropped, so that equal inputs make equal images."""
    member.mtime = 0
    member.uname = member.gname = ""
    return member


def layer(root):
    """The tar of everything below `root`, owners and modes as they are there."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name in sorted(os.listdir(root)):
            tar.add(Path(root) / name, arcname=name, filter=_same_for_all)
    return buffer.getvalue()


def write(path, images):
    """Writes the archive `path` with images of one layer each.

    `images` is a list of (name, tar of the layer, config), config being the "config" object of the
    OCI image specification: Entrypoint, Cmd, Env, WorkingDir, ExposedPorts. Layers that several
    images share are stored once.
    """
    blobs, manifests = {}, []

    def blob(data, kind):
        digest = hashlib.sha256(data).hexdigest()
        blobs[digest] = data
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}",
                "size": len(data)}

    packed = {}
    for name, tar, config in images:
        if id(tar) not in packed:
            # Level 1: an archive is read as often as it is written.
            packed[id(tar)] = gzip.compress(tar, compresslevel=1, mtime=0)
        layer_entry = blob(packed[id(tar)], "layer.v1.tar+gzip")
        about = {"architecture": architecture(), "os": "linux", "config": config,
                 "rootfs": {"type": "layers",
                            "diff_ids": ["sha256:" + hashlib.sha256(tar).hexdigest()]}}
        manifest = {"schemaVersion": 2,
                    "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "config": blob(json.dumps(about).encode(), "config.v1+json"),
                    "layers": [layer_entry]}
        entry = blob(json.dumps(manifest).encode(), "manifest.v1+json")
        entry["annotations"] = {"org.opencontainers.image.ref.name": name.rpartition(":")[2],
                                "io.containerd.image.name": name}
        manifests.append(entry)
    files = {"oci-layout": json.dumps({"imageLayoutVersion": "1.0.0"}).encode(),
             "index.json": json.dumps({"schemaVersion": 2, "manifests": manifests}).encode()}
    files.update({f"blobs/sha256/{digest}": data for digest, data in blobs.items()})
    half = path.with_name(f"{path.name}.half.{os.getpid()}")
    with tarfile.open(half, "w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o644
            tar.addfile(member, io.BytesIO(data))
    half.rename(path)
