"""Brings the cluster up, keeps it whole, and takes it down without a trace."""

import os
import shutil
import signal
import threading
import time
from pathlib import Path

import build
import certs
import host
import images
import parts
from paths import STATE, LabError, say
from process import stat

START_TIMEOUT_S = 120  # a part that does not answer by then has failed, on slow machines too


def build_all():
    """Everything that `up` would have to build."""
    return build.programs(), images.archives()


def status():
    """The state of every part and of the node, as plain data."""
    told = {name: {"pid": parts.process(name).pid(), "healthy": parts.healthy(name),
                   "log": str(parts.process(name).log)} for name in parts.NAMES}
    ready, why = parts.node() if told["apiserver"]["healthy"] else (False, "API server is down")
    return {"parts": told, "ready": ready, "why": why}


def _facts():
    return {"node": host.NODE, "node_ip": host.NODE_IP, "node_ip6": host.NODE_IP6,
            "service_ip": host.SERVICE_IP, "service_ip6": host.SERVICE_IP6,
            "apiserver": parts.APISERVER}


def _wait(what, question, timeout_s=START_TIMEOUT_S, alive=None):
    """Asks until the answer is yes, with a line every five seconds on what it waits for."""
    began = said = time.monotonic()
    while not question():
        now = time.monotonic()
        if alive and alive.pid() is None:
            raise LabError(f"{what}: it ended\n{alive.last_words()}", f"read {alive.log}")
        if now - began > timeout_s:
            words = f"\n{alive.last_words()}" if alive else ""
            raise LabError(f"{what}: not within {timeout_s} s{words}",
                           f"read the logs in {STATE / 'log'}")
        if now - said >= 5:
            say(f"waiting: {what}")
            said = now
        time.sleep(0.1)


def _wanted(name, commands):
    """Whether the part runs as it should; ends it when it hangs or was started otherwise."""
    proc = parts.process(name)
    if proc.runs_as(commands[name]) and not proc.stopped():
        return True
    if proc.pid() is not None:
        say(f"{name} hangs or runs with other options: restarting it")
    proc.stop()
    return False


def _start(name, commands):
    say(f"starting {name}")
    parts.process(name).start(commands[name], _environment(commands))


def _environment(commands):
    """kubelet and containerd look for programs on PATH; a proxy of the person's is not for us."""
    env = {k: v for k, v in os.environ.items()
           if k.lower() not in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "kubeconfig")}
    bin_dir = Path(commands["etcd"][0]).parent
    env["PATH"] = f"{bin_dir}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return env


def _ensure(name, commands):
    """Starts the part unless it runs, and returns when it answers."""
    proc = parts.process(name)
    if not _wanted(name, commands):
        _start(name, commands)
    _wait(f"{name} to answer", lambda: parts.healthy(name), alive=proc)


def up():
    """Idempotent: builds, starts and repairs what is missing, and returns when pods can be made."""
    programs, archives = build_all()
    commands = parts.commands(programs)
    missing = images.not_loaded(archives)
    if not missing and all(parts.process(n).runs_as(commands[n]) and parts.healthy(n)
                           for n in parts.NAMES) and parts.node()[0]:
        say("up already")
        return
    STATE.mkdir(parents=True, exist_ok=True)
    host.prepare()
    certs.make_all(STATE, _facts())
    parts.write_configs()
    _ensure("containerd", commands)
    loader = _Loader(images.not_loaded(archives))
    for name in ("etcd", "apiserver"):
        _ensure(name, commands)
    for name in parts.NAMES[3:]:
        if not _wanted(name, commands):
            _start(name, commands)
    for name in parts.NAMES[3:]:
        _ensure(name, commands)
    loader.finish()
    _wait("the node to be ready", lambda: parts.node()[0])
    _wait("the first service account", parts.accounts_ready)
    say(f"up: node {host.NODE} is ready; eval \"$(e2e/lab/lab env)\" and use kubectl")


class _Loader(threading.Thread):
    """Imports images while the control plane starts."""

    def __init__(self, archives):
        super().__init__(daemon=True)
        self.archives, self.error = archives, None
        self.start()

    def run(self):
        try:
            for archive in self.archives:
                images.load(archive)
        except LabError as error:
            self.error = error

    def finish(self):
        """Returns when all are loaded; raises what went wrong."""
        while self.is_alive():
            self.join(5)
            if self.is_alive():
                say("waiting: images to be imported")
        if self.error:
            raise self.error


def load(archive):
    """Imports an archive of the person's."""
    if not Path(archive).is_file():
        raise LabError(f"no such file: {archive}")
    if not parts.healthy("containerd"):
        raise LabError("the lab is not up", "run: e2e/lab/lab up")
    images.load(Path(archive))


def start(name):
    """Starts one part and returns when it answers."""
    parts.process(name)
    if not (STATE / "pki" / "complete").exists():
        raise LabError("the lab is not up", "run: e2e/lab/lab up")
    _ensure(name, parts.commands(build.programs()))


def stop(name):
    """Stops one part. Pods go on."""
    parts.process(name).stop()


def _end_pods(containers):
    """Ends all containers through containerd while it lives, then whatever of theirs is left."""
    if parts.healthy("containerd"):
        for task in host.run(*parts.CTR, "tasks", "ls", "-q").split():
            host.run(*parts.CTR, "tasks", "delete", "--force", task)
    deadline = time.monotonic() + 10
    while left := {p for p in host.cgroup_processes(containers) | parts.shims() if _lives(p)}:
        if time.monotonic() > deadline:
            raise LabError(f"processes of pods do not end: {sorted(left)}")
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.1)


def _lives(pid):
    return (stat(pid) or "Z")[0] not in "ZX"


def down():
    """Ends every process of the lab and takes back what it did to the machine. Logs stay."""
    if not (STATE / "before.json").exists():
        say("down already")
        return
    for name in ("kubelet", "kube-proxy", "scheduler", "controller-manager"):
        parts.process(name).stop()
    links, containers = host.pod_links(), parts.containers()
    traces = parts.traces(containers)
    say(f"ending {len(containers)} containers")
    _end_pods(containers)
    for name in ("apiserver", "etcd", "containerd"):
        parts.process(name).stop()
    _end_pods(parts.containers() | containers)  # one may have begun while the others ended
    for trace in traces:
        if trace.is_dir():
            shutil.rmtree(trace, ignore_errors=True)
        else:
            trace.unlink(missing_ok=True)
    host.restore(links, containers)
    for entry in STATE.iterdir():
        if entry.is_dir() and entry.name != "log":
            shutil.rmtree(entry)
        elif not entry.is_dir():
            entry.unlink()
    say(f"down; the logs stay in {STATE / 'log'}")
