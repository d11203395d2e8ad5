"""What the agent lets in and what it may do: nobody but its user, and no more than its profile."""

import ctypes
import json
import os
import re
import socket
import stat
import subprocess
import threading

import pytest

from harness.cli import ran, refused
from harness.kubeconfigs import pump
from harness.pods import make_pod, until
from harness.tools import PortForward
from harness.workloads import apply, pod as pod_of

CAP_NET_ADMIN, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH = 1 << 12, 1 << 19, 1 << 2


@pytest.fixture(scope="module")
def agent(same_user, shared_pod):
    """(container, port) of an agent of the redirect profile in the file's pod."""
    name, port = ran(same_user, "inject", shared_pod.name).split()
    return name, int(port)


@pytest.fixture
def token(same_user, shared_pod, agent):
    """Makes a header that the agent lets in once."""
    return lambda: ran(same_user, "token", shared_pod.name).strip()


@pytest.fixture(scope="module")
def control(cluster, shared_pod, agent):
    """The agent's control API on a port of this machine, through kubectl."""
    with PortForward(cluster, shared_pod, agent[1]) as forward:
        yield forward.ports[agent[1]]


def curl(port, path, *headers, method="GET"):
    """What curl gets: (status, content type, body)."""
    command = ["curl", "-s", "-X", method, "-w", "\n%{http_code} %{content_type}", *(w for h in headers for w in ("-H", h)),
               f"http://127.0.0.1:{port}{path}"]
    body, _, last = subprocess.run(command, capture_output=True, check=True, timeout=20).stdout.rpartition(b"\n")
    status, _, kind = last.decode().partition(" ")
    return int(status), kind, body


def fields(message):
    """The fields of a protobuf message, as (number, value) pairs; of wire types 0 and 2."""
    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
    at, found = 0, []
    while at < len(message):
        key = varint()
        assert key & 7 in (0, 2), f"wire type {key & 7}"
        value = varint()
        if key & 7 == 2:
            at, value = at + value, message[at:at + value]
        found.append((key >> 3, value))
    return found


# --- the control API ---

def test_without_a_proof_only_health_and_a_challenge_are_answered(control, agent):
    status, kind, body = curl(control, "/v1/health")
    assert (status, kind) == (200, "application/json") and json.loads(body)["status"] == "ok"
    status, kind, body = curl(control, "/v1/challenge")
    assert status == 200 and json.loads(body)["container"] == agent[0]
    for path, method in (("/v1/info", "GET"), ("/v1/processes", "GET"), ("/v1/link", "POST")):
        status, kind, body = curl(control, path, method=method)
        assert status == 401 and json.loads(body)["error"] == "proof needed", path
    assert curl(control, "/v1/info", "Authorization: Podgraft key=\"x\"")[0] == 401
    assert curl(control, "/")[0] == 404


def test_curl_with_a_token_reads_processes_as_json(control, token, shared_pod):
    status, kind, body = curl(control, "/v1/processes", token())
    assert (status, kind) == (200, "application/json")
    found = json.loads(body)
    assert {8080, 7000} <= {entry["port"] for entry in found["sockets"]}
    assert any(process["command"][0] == "/podgraft-agent" for process in found["processes"])


def test_curl_with_a_token_reads_processes_as_protobuf(control, token):
    status, kind, body = curl(control, "/v1/processes", token(), "Accept: application/x-protobuf")
    assert (status, kind) == (200, "application/x-protobuf")
    found = fields(body)
    assert any(b"/podgraft-agent" in value for number, value in found if number == 1)
    assert {8080, 7000} <= {port for number, value in found if number == 2 for n, port in fields(value) if n == 3}


def test_curl_with_a_token_reads_who_the_agent_is(control, token, agent, shared_pod):
    found = json.loads(curl(control, "/v1/info", token())[2])
    assert (found["container"], found["pod_uid"], found["profile"]) == (agent[0], shared_pod.uid, "redirect")


def test_a_token_works_once(control, token):
    header = token()
    assert curl(control, "/v1/info", header)[0] == 200
    status, _, body = curl(control, "/v1/info", header)
    assert (status, json.loads(body)["error"]) == (401, "challenge used or expired")


def test_a_token_is_for_reading_only(control, token):
    upgrade = ["Connection: Upgrade", "Upgrade: podgraft/1"]
    status, _, body = curl(control, "/v1/link", token(), *upgrade, method="POST")
    assert (status, json.loads(body)["error"]) == (401, "wrong signature")


def test_a_signature_over_another_challenge_is_refused(control, token):
    nonce = json.loads(curl(control, "/v1/challenge")[2])["nonce"]
    forged = re.sub(r'agent-nonce="[^"]*"', f'agent-nonce="{nonce}"', token())
    status, _, body = curl(control, "/v1/info", forged)
    assert (status, json.loads(body)["error"]) == (401, "wrong signature")


def test_a_token_for_the_agent_of_another_pod_is_refused(cluster, same_user, control, pod):
    """As it is, and with this agent's challenge put in."""
    ran(same_user, "inject", pod.name)
    other = ran(same_user, "token", pod.name).strip()
    status, _, body = curl(control, "/v1/info", other)
    assert (status, json.loads(body)["error"]) == (401, "challenge used or expired")
    nonce = json.loads(curl(control, "/v1/challenge")[2])["nonce"]
    status, _, body = curl(control, "/v1/info", re.sub(r'agent-nonce="[^"]*"', f'agent-nonce="{nonce}"', other))
    assert (status, json.loads(body)["error"]) == (401, "wrong signature")


def listen_in(netns):
    """A listening socket on a free port of a network namespace's 127.0.0.1."""
    made = []

    def make():
        with open(netns) as handle:
            assert ctypes.CDLL(None, use_errno=True).setns(handle.fileno(), 0x40000000) == 0
        made.append(socket.create_server(("127.0.0.1", 0)))
    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return made[0]


def test_one_who_takes_the_agents_port_and_relays_another_agent_is_found_out(lab_only, cluster, same_user, pod, control, agent):
    """The intruder sits on the agent's port in one pod and passes everything on to the agent of another, of the same user."""
    _, port = ran(same_user, "inject", pod.name).split()
    intruder = listen_in(pod.netns)

    def relay():
        while True:
            try:
                victim, _ = intruder.accept()
            except OSError:
                return
            onward = socket.create_connection(("127.0.0.1", control))
            threading.Thread(target=pump, args=(onward, victim), daemon=True).start()
            threading.Thread(target=pump, args=(victim, onward), daemon=True).start()
    threading.Thread(target=relay, daemon=True).start()
    rule = f"add table ip intruder; add chain ip intruder c {{ type nat hook output priority -100; }}; " \
           f"add rule ip intruder c tcp dport {port} redirect to :{intruder.getsockname()[1]}"
    pod.run_in_netns("nft", rule)
    found = refused(same_user, "token", pod.name, whole=True)
    intruder.shutdown(socket.SHUT_RDWR)
    intruder.close()
    assert found.code == 4
    assert re.match(rf"what listens on port {port} of pod '{pod.name}' is not the agent 'podgraft-\w+'", found.message)
    assert "before you trust it" in found.hint


# --- whose agent it is ---

def test_a_container_with_our_key_that_we_did_not_graft_is_not_used(cluster, podgraft, pod):
    """Made by hand of the very words of a graft of ours: everybody can read them in the pod's spec."""
    ours = ran(podgraft, "inject", pod.name).split()[0]
    spec = next(c for c in pod.refresh().object["spec"]["ephemeralContainers"] if c["name"] == ours)
    fake = json.loads(json.dumps(spec).replace(ours, "podgraft-fake0"))
    home = os.path.join(podgraft.env["XDG_STATE_HOME"], "podgraft/state.json")
    os.remove(home)
    cluster.kubectl("patch", "pod", pod.name, "--subresource=ephemeralcontainers", "-p",
                    json.dumps({"spec": {"ephemeralContainers": [fake]}}))
    until(lambda: "podgraft-fake0" in pod.agents(), what="the fake agent")
    third = ran(podgraft, "inject", pod.name).split()[0]
    assert third not in (ours, "podgraft-fake0")
    assert sorted(pod.grafts()) == sorted([ours, "podgraft-fake0", third])


def test_an_agent_of_another_user_is_not_used_and_lets_nobody_else_in(cluster, podgraft, another_user, pod):
    mine, port = ran(podgraft, "inject", pod.name).split()
    theirs = ran(another_user, "inject", pod.name).split()[0]
    assert mine != theirs and sorted(pod.agents()) == sorted([mine, theirs])
    with PortForward(cluster, pod, int(port)) as forward:
        status, _, body = curl(forward.ports[int(port)], "/v1/info", ran(another_user, "token", pod.name).strip())
        assert (status, json.loads(body)["error"]) == (401, "wrong key")
        assert curl(forward.ports[int(port)], "/v1/info", ran(podgraft, "token", pod.name).strip())[0] == 200


# --- what lies on this machine ---

def test_key_and_record_are_for_their_owner_only(same_user, agent):
    folder = os.path.join(same_user.env["XDG_STATE_HOME"], "podgraft")
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    modes = {name: oct(stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode)) for name in os.listdir(folder)}
    assert {"key", "state.json"} <= set(modes) and set(modes.values()) == {"0o600"}, modes


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_can_read_is_refused_and_the_hint_mends_it(podgraft, shared_pod, mode):
    ran(podgraft, "inject", shared_pod.name)
    key = os.path.join(podgraft.env["XDG_STATE_HOME"], "podgraft/key")
    os.chmod(key, mode)
    found = refused(podgraft, "inject", shared_pod.name, whole=True)
    assert (found.code, found.message) == (6, f"{key} is open to others (mode {mode:03o}, owner {os.getuid()})")
    command = re.match(r"(chmod 600 [^;]+);", found.hint)[1]
    subprocess.run(command.split(), check=True)
    assert ran(podgraft, "inject", shared_pod.name)


def test_a_key_that_is_none_is_refused_and_the_hint_mends_it(podgraft, shared_pod):
    ran(podgraft, "inject", shared_pod.name)
    key = os.path.join(podgraft.env["XDG_STATE_HOME"], "podgraft/key")
    with open(key, "w") as f:
        f.write("nothing of use\n")
    found = refused(podgraft, "inject", shared_pod.name, whole=True)
    assert (found.code, found.message) == (6, f"{key} holds no key of podgraft")
    assert found.hint == "move it away: a new one is made, and pods are grafted anew"
    os.rename(key, key + ".old")
    assert ran(podgraft, "inject", shared_pod.name)


# --- what the agent may do ---

PROFILES = {
    "redirect": ({"drop": ["ALL"], "add": ["NET_ADMIN"]}, 0, None, CAP_NET_ADMIN),
    "inspect": ({"drop": ["ALL"], "add": ["SYS_PTRACE", "DAC_READ_SEARCH"]}, 0, "app", CAP_SYS_PTRACE | CAP_DAC_READ_SEARCH),
    "forward": ({"drop": ["ALL"]}, 65532, None, 0),
}


@pytest.fixture(scope="module")
def grafted(same_user, cluster):
    """A pod with an agent of each profile: the pod, and the agents' names by profile."""
    pod = make_pod(cluster)
    names = {}
    for profile in ("forward", "redirect", "inspect"):  # the smallest first, as a larger one would be used for it, too
        names[profile] = ran(same_user, "inject", pod.name, "--profile", profile).split()[0]
    yield pod.refresh(), names
    pod.delete()


@pytest.mark.parametrize("profile", PROFILES)
def test_the_container_is_exactly_that_of_its_profile(cluster, grafted, profile):
    pod, names = grafted
    capabilities, user, target, _ = PROFILES[profile]
    spec = next(c for c in pod.object["spec"]["ephemeralContainers"] if c["name"] == names[profile])
    assert spec.pop("securityContext") == {
        "capabilities": capabilities, "runAsUser": user, "runAsGroup": user, "runAsNonRoot": user != 0, "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False, "seccompProfile": {"type": "RuntimeDefault"}}
    assert spec.pop("targetContainerName", None) == target
    assert spec.pop("args")[0] == "agent"
    assert spec == {"name": names[profile], "image": cluster.image, "imagePullPolicy": "IfNotPresent", "resources": {},
                    "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "FallbackToLogsOnError"}


@pytest.mark.parametrize("profile", PROFILES)
def test_the_process_has_no_more_than_its_profile(lab_only, grafted, profile):
    pod, names = grafted
    pid = pod.pid(names[profile])
    status = dict(line.split(":\t", 1) for line in open(f"/proc/{pid}/status").read().splitlines() if ":\t" in line)
    _, user, _, capabilities = PROFILES[profile]
    assert {int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")} <= {capabilities, 0}
    assert int(status["CapEff"], 16) == capabilities
    assert int(status["CapAmb"], 16) == int(status["CapInh"], 16) == 0
    assert status["Uid"].split() == [str(user)] * 4
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert open(f"/proc/{pid}/oom_score_adj").read() == "1000\n"


@pytest.mark.parametrize("profile", PROFILES)
def test_nobody_writes_to_its_root(lab_only, grafted, profile):
    pod, names = grafted
    mounts = [line.split() for line in open(f"/proc/{pod.pid(names[profile])}/mountinfo")]
    root = next(fields for fields in mounts if fields[4] == "/")
    assert "ro" in root[5].split(",")


@pytest.mark.unsanitized  # they need more system calls
@pytest.mark.parametrize("profile", PROFILES)
def test_it_has_a_seccomp_filter_of_its_own_behind_the_runtimes(lab_only, grafted, profile):
    pod, names = grafted
    assert "Seccomp_filters:\t2\n" in open(f"/proc/{pod.pid(names[profile])}/status").read()


@pytest.mark.unsanitized  # they cost memory
def test_it_is_small(lab_only, grafted):
    pod, names = grafted
    for name in names.values():
        pid = pod.pid(name)
        resident = int(re.search(r"VmRSS:\s+(\d+) kB", open(f"/proc/{pid}/status").read())[1])
        assert resident < 4096, f"{name}: {resident} KiB"
        assert os.stat(f"/proc/{pid}/exe").st_size < 2 << 20
        assert sorted(set(os.listdir(f"/proc/{pid}/root")) - {"dev", "proc", "sys", "etc", "var"}) == ["podgraft-agent"]


@pytest.mark.unsanitized  # they must trace themselves
def test_not_even_its_own_user_may_look_into_it(lab_only, grafted):
    """A process that is not dumpable has root as owner of its files in /proc, whoever it runs as."""
    pod, names = grafted
    pid = pod.pid(names["forward"])
    for name in ("environ", "maps", "mem", "fd"):
        assert os.stat(f"/proc/{pid}/{name}").st_uid == 0


@pytest.mark.unsanitized  # they must trace themselves
def test_a_root_process_of_the_app_that_sees_it_may_not_look_into_it(lab_only, cluster, same_user):
    """In a pod whose containers see each other's processes."""
    shell = {"name": "app", "image": "localhost/podgraft-nginx:1", "imagePullPolicy": "Never", "command": ["sleep", "1000"]}
    apply(cluster, pod_of("seen", [shell], shareProcessNamespace=True))
    cluster.kubectl("wait", "pod", "seen", "--for=condition=Ready", "--timeout=60s")
    ran(same_user, "inject", "seen")
    script = """
        for p in /proc/[0-9]*; do
            case $(tr '\\0' ' ' <$p/cmdline) in
            /podgraft-agent*) agent=$p ;;
            "sleep 1000 ") app=$p ;;
            esac
        done
        echo $(id -u) $(test -n "$agent" && echo agent)
        for what in environ maps auxv; do
            cat $app/$what >/dev/null 2>&1 && echo app $what
            cat $agent/$what >/dev/null 2>&1 && echo agent $what
        done
        for what in root cwd exe fd/0 fd/3; do
            readlink $app/$what >/dev/null && [ $what = root ] && echo app $what
            readlink $agent/$what >/dev/null && echo agent $what
        done
        true"""
    said = cluster.kubectl("exec", "seen", "-c", "app", "--", "sh", "-c", script).split("\n")
    cluster.kubectl("delete", "pod", "seen", "--grace-period=0", "--force", "--wait=false")
    assert said == ["0 agent", "app environ", "app maps", "app auxv", "app root", ""]
