"""The lab's test images: made from scratch on this machine, cached by a hash of their inputs."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import debian
import oci
import parts
from paths import HERE, PEERS, STATE, LabError, cache_root, say, write_file

PEER = "localhost/podgraft-peer:1"
STATIC = "localhost/podgraft-static:1"
PAUSE = "localhost/pause:1"

CC = [os.environ.get("CC", "cc"), "-std=c11", "-D_GNU_SOURCE", "-O2", "-static", "-Wall", "-Wextra",
      f"-I{PEERS.parent.parent}"]


def _hash(*inputs):
    total = hashlib.sha256()
    for one in inputs:
        data = one.read_bytes() if isinstance(one, Path) else str(one).encode()
        total.update(str(len(data)).encode() + b":" + data)
    return total.hexdigest()[:16]


def _peer_sources():
    return sorted(p for p in PEERS.glob("*.c") if p.name != "pause.c")


def _compile(sources, program):
    done = subprocess.run([*CC, "-o", program, *sources], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"compiling {program.name} failed:\n{done.stderr}", "run ci/setup")
    subprocess.run(["strip", program], check=False)


def _make_pause(tree):
    _compile([PEERS / "pause.c"], tree / "pause")
    return [(PAUSE, oci.layer(tree), {"Entrypoint": ["/pause"]})]


def _make_peer(tree):
    _compile(_peer_sources(), tree / "peer")
    return [(PEER, oci.layer(tree), {
        "Entrypoint": ["/peer"], "Cmd": ["multi", "echo:7", "http:8080:peer", "bulk:9000"]})]


def _make_static(tree):
    _compile(_peer_sources(), tree / "app")
    return [(STATIC, oci.layer(tree), {
        "Entrypoint": ["/app"], "Cmd": ["multi", "http:8080:static", "echo:7"]})]


def _make_debian(tree):
    debian.make_tree(tree)
    shared = oci.layer(tree)
    return [(f"localhost/podgraft-{kind}:1", shared, {
        "Entrypoint": [f"/start-{kind}"], "Env": debian.ENVIRONMENT,
        "ExposedPorts": {f"{port}/tcp": {}}}) for kind, port in debian.PORTS.items()]


def _recipes():
    """(archive's name, hash of its inputs, maker). The order is that of need."""
    peer = [*_peer_sources(), *sorted(PEERS.glob("*.h"))]
    common = [HERE / "oci.py", oci.architecture(), *CC[:-1]]  # not where the checkout is
    yield "pause", _hash(PEERS / "pause.c", *common), _make_pause
    yield "peer", _hash("peer", *peer, *common), _make_peer
    yield "static", _hash("static", *peer, *common), _make_static
    yield "debian", _hash(HERE / "debian.py", HERE / "oci.py", oci.architecture()), _make_debian


def _make(name, path, maker):
    """Makes one archive in a scratch folder beside it and moves it into place when it is whole."""
    say(f"making image archive {path.name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f"half.{name}.") as scratch:
        tree = Path(scratch) / "tree"
        tree.mkdir(mode=0o755)
        images = maker(tree)
        oci.write(path, images)
    for old in path.parent.glob(f"{name}-*.tar"):
        if old != path:
            old.unlink(missing_ok=True)


def folder():
    """Where the archives are kept: NAME-HASH.tar, one or several images each."""
    return cache_root() / "images"


def archives():
    """{name: archive} of all test images, made first where the inputs changed."""
    place = folder()
    place.mkdir(parents=True, exist_ok=True)
    paths = {}
    with open(place / ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for half in place.glob("half.*"):
            shutil.rmtree(half, ignore_errors=True)
        for half in place.glob("*.half.*"):
            half.unlink()
        for name, inputs, maker in _recipes():
            paths[name] = place / f"{name}-{inputs}.tar"
            if not paths[name].exists():
                _make(name, paths[name], maker)
    return paths


def _marks():
    return STATE / "loaded"


def not_loaded(paths):
    """The archives that the lab's containerd has not imported yet."""
    return [p for p in paths.values() if not (_marks() / p.name).exists()]


def load(archive):
    """Imports an archive into the lab's containerd, under the names that stand in it."""
    done = subprocess.run([*parts.CTR, "images", "import", str(archive)], check=False,
                          capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"import of {archive} failed: {done.stderr.strip()}")
    if archive.parent == folder():
        write_file(_marks() / archive.name, "")
