"""Builds the Kubernetes programs and etcd from Go modules, once per version."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from paths import HERE, LabError, cache_root, kubernetes_version, say

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler",
            "kubelet", "kube-proxy", "kubectl")
OLDEST_GO = (1, 21)  # the first that fetches the toolchain named in go.mod by itself


def find_go():
    """The newest Go of the machine, from 1.21 on: PATH, go.dev's place, Debian's versioned ones."""
    places = [shutil.which("go"), "/usr/local/go/bin/go"]
    places += sorted(map(str, Path("/usr/lib").glob("go-1.*/bin/go")))
    best, best_version = None, OLDEST_GO
    for go in filter(None, places):
        if not os.access(go, os.X_OK):
            continue
        out = subprocess.run([go, "version"], capture_output=True, text=True, check=False,
                             env={**os.environ, "GOTOOLCHAIN": "local"}).stdout
        found = re.search(r"go(\d+)\.(\d+)", out)
        version = tuple(map(int, found.groups())) if found else (0, 0)
        if version > best_version or (version == best_version and not best):
            best, best_version = go, version
    if not best:
        raise LabError("no Go of 1.21 or newer on this machine",
                       "run ci/setup, or put a newer go on PATH")
    return best


@contextmanager
def _locked(directory):
    """One builder per cache: a second one waits here and then finds the work done."""
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / ".lock", "w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process is building in {directory}: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _linker_flags(version):
    major, minor = version.lstrip("v").split(".")[:2]
    flags = ["-s", "-w"]
    # Both packages hold a copy; without these clients see v0.0.0-master.
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        flags += ["-X", f"{package}.gitVersion={version}", "-X", f"{package}.gitMajor={major}",
                  "-X", f"{package}.gitMinor={minor}", "-X", f"{package}.gitTreeState=clean"]
    return " ".join(flags)


def _reporter(state, done):
    """A line every five seconds, also while nothing is printed by Go (downloads, linking)."""
    while not done.wait(5):
        count, total = state["count"], state["total"]
        share = f"{count} of at most {total} packages" if count else "looking at what is to be done"
        say(f"building Kubernetes: {share}; {state['last']}")


def _go(go, args, env, state):
    """Runs one go command, feeding what it prints to the progress line."""
    tail = []
    with subprocess.Popen([go, *args], cwd=HERE, env=env, text=True, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE) as proc:
        for line in proc.stderr:
            line = line.strip()
            tail = (tail + [line])[-30:]
            state["last"] = line[:70]
            if not line.startswith("go: "):
                state["count"] += 1
    if proc.returncode:
        raise LabError(f"go {args[0]} failed:\n  " + "\n  ".join(tail))


def home():
    """Where this version is cached; its programs are in "bin" below."""
    return cache_root() / f"k8s-{kubernetes_version()}"


def programs():
    """Returns the folder with all programs, building them first if they are not there."""
    version = kubernetes_version()
    final = home() / "bin"
    want = hashlib.sha256((HERE / "go.sum").read_bytes()).hexdigest()
    stamp = final / ".go.sum.sha256"

    def ready():
        return stamp.exists() and stamp.read_text(encoding="ascii").strip() == want

    if ready():
        return final
    with _locked(home()):
        if not ready():
            _build(version, home(), final, want)
    return final


def _build(version, cache, final, want):
    go = find_go()
    env = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "auto", "GOWORK": "off",
           "GOFLAGS": "-buildvcs=false -trimpath"}
    half = cache / f"half.{os.getpid()}"
    for old in cache.glob("half.*"):  # of a build that was interrupted; we hold the lock
        shutil.rmtree(old)
    half.mkdir()
    began = time.monotonic()
    state = {"count": 0, "total": 0, "last": ""}
    done = threading.Event()
    threading.Thread(target=_reporter, args=(state, done), daemon=True).start()
    say(f"building Kubernetes {version} and etcd with {go}: about 10 minutes on two cores")
    try:
        state["last"] = "downloading modules"
        deps = subprocess.run([go, "list", "-deps", "tool"], cwd=HERE, env=env, text=True,
                              stdout=subprocess.PIPE, check=False)
        if deps.returncode:
            raise LabError("go list failed: are the modules reachable?",
                           "GOPROXY and GOSUMDB may name a mirror of yours")
        state["last"] = "compiling and linking"
        state["total"] = len(deps.stdout.split())
        _go(go, ["build", "-v", "-ldflags", _linker_flags(version), "-o", f"{half}/", "tool"],
            env, state)
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise
    finally:
        done.set()
    (half / "server").rename(half / "etcd")  # Go names it after its folder
    missing = [p for p in PROGRAMS if not (half / p).exists()]
    if missing:
        raise LabError(f"the build made no {', '.join(missing)}")
    (half / ".go.sum.sha256").write_text(want + "\n", encoding="ascii")
    if final.exists():  # of other pins; programs that run keep their inode
        final.rename(cache / f"half.old.{os.getpid()}")
    half.rename(final)
    for old in cache.glob("half.*"):
        shutil.rmtree(old)
    say(f"built Kubernetes {version} in {time.monotonic() - began:.0f} s")
