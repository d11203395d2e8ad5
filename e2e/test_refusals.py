"""What cannot be is refused in seconds, with one message, one hint that works when it is followed, and the right exit code.

How kubeconfigs and servers are refused is in test_kubeconfig.py, targets in test_targets.py.
"""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.cli import SECONDS, follow, ran, refused, run
from harness.cluster import TOP
from harness.pods import PORTS, make_pods
from harness.pods import container as peer_container
from harness.rights import await_right
from harness.sockets import who
from harness.tools import BIN
from harness.waiting import until

sys.path.insert(0, str(TOP / "e2e/lab"))
import oci  # noqa: E402

HTTP = PORTS["http"]


# --- the command line ---

@pytest.mark.parametrize("args, message, hint", [
    (["frob"], "unknown command 'frob'", "'podgraft help' lists the commands"),
    (["redirekt"], "unknown command 'redirekt'", "did you mean 'podgraft redirect'?"),
    (["inject"], "no target is given", "name one, as in pod/NAME or deploy/NAME, or choose by labels with -l; see 'podgraft help'"),
    (["redirect"], "no target is given", "name one, as in pod/NAME or deploy/NAME, or choose by labels with -l; see 'podgraft help'"),
    (["ps", "web", "-l", "app=web"], "both a target, 'web', and a selector are given", "name the target, or choose by labels with -l"),
    (["inject", "web", "api"], "inject does not take 'api'", "usage: podgraft inject TARGET"),
    (["ps", "web", "--", "ls"], "ps takes no command after '--'", "usage: podgraft ps TARGET"),
    (["inject", "node/web"], "target 'node/web': podgraft does not know the type 'node'",
     "a target is NAME, or one of pod/ deploy/ sts/ ds/ rs/ rc/ job/ svc/ followed by a name"),
    (["inject", "Web"], "target 'Web': 'Web' is no name of a pod",
     "a name has lower-case letters, digits, '-' and '.'; a target is NAME or TYPE/NAME, as in deploy/web"),
    (["inject", "web", "--imagen", "x"], "unknown option '--imagen'", "did you mean --image?"),
    (["inject", "web", "-x"], "unknown option '-x'", "--help lists the options"),
    (["inject", "web", "--image"], "--image needs a value", "write --image IMAGE"),
    (["inject", "web", "--idle", "soon"], "--idle: 'soon' is no legal value", "--idle takes a time such as 30s, 5m or 1h30m from 1s to 168h"),
    (["inject", "web", "--memory", "1Mi"], "--memory: '1Mi' is no legal value",
     "--memory takes a size such as 64Mi or 1Gi from 20Mi to 64Gi"),
    (["inject", "web", "--pull-policy", "Maybe"], "--pull-policy: 'Maybe' is no legal value",
     "--pull-policy takes one of: Always, IfNotPresent, Never"),
    (["inject", "web", "--profile", "root"], "--profile: 'root' is no legal value",
     "--profile takes one of: auto, redirect, forward, inspect"),
    (["redirect", "web", "80", "--profile", "inspect"], "--profile inspect is not enough to redirect",
     "leave it out, or write --profile redirect"),
    (["redirect", "web", "80", "--transport", "carrier-pigeon"], "--transport: 'carrier-pigeon' is no legal value",
     "--transport takes one of: auto, spdy, tunnel, websocket"),
    (["ps", "web", "--output", "xml"], "--output: 'xml' is no legal value", "--output takes one of: text, json"),
    (["ps", "web", "--request-timeout", "x"], "--request-timeout: 'x' is no legal value",
     "--request-timeout takes a time such as 30s, 5m or 1h30m"),
    (["completion", "powershell"], "no completion for 'powershell'", "there is one for bash, zsh and fish: podgraft completion bash")])
def test_bad_usage(same_user, args, message, hint):
    done = subprocess.run([BIN / "podgraft", *args], env=same_user.env, text=True, capture_output=True, check=False)
    said = done.stderr.rstrip("\n").split("\n")
    assert done.returncode == 2
    assert said == [f"podgraft: {message}", f"  hint: {hint}"]
    assert done.stdout == ""


@pytest.mark.parametrize("args, message, hint", [
    (["0"], "'0': the pod's port is neither 1 to 65535 nor a port's name", "write POD or POD:LOCAL, for example 8080, 8080:3000 or http:3000"),
    (["80:65536"], "'80:65536': the local port is not 1 to 65535", "write POD or POD:LOCAL, for example 8080, 8080:3000 or http:3000"),
    (["80:"], "'80:': the local port is not 1 to 65535", "write POD or POD:LOCAL, for example 8080, 8080:3000 or http:3000"),
    (["80", "80:81"], "port 80 of the pod is named twice", "a port can go to one place only"),
    (["80", "--local-address", "laptop"], "--local-address 'laptop' is no IP address", "for example 127.0.0.1, ::1 or localhost"),
    (["80", "--image", "Not An Image"], "'Not An Image' is no name of an image", "name it as REGISTRY/NAME:TAG with --image")])
def test_bad_ports_and_images(same_user, shared_pod, args, message, hint):
    found = refused(same_user, "redirect", shared_pod.name, *args, whole=True)
    assert (found.code, found.message, found.hint) == (2, message, hint)


def test_a_bad_selector(same_user):
    found = refused(same_user, "inject", "-l", "app in (", whole=True)
    assert found.code == 2
    assert "unable to parse requirement" in found.message
    assert found.hint == "-l takes kubectl's selectors, as in app=web,tier!=db"


# --- what is not there ---

@pytest.mark.parametrize("target, kind, plural", [
    ("no-such", "pod", "pods"), ("pod/no-such", "pod", "pods"), ("deploy/no-such", "deployment", "deployments.apps"),
    ("sts/no-such", "statefulset", "statefulsets.apps"), ("job/no-such", "job", "jobs.batch"), ("svc/no-such", "service", "services")])
def test_no_such_target(same_user, target, kind, plural):
    namespace = same_user.cluster.namespace
    found = refused(same_user, "redirect", target, "80", whole=True)
    assert (found.code, found.message) == (4, f"find {kind} 'no-such': not found in namespace '{namespace}'")
    assert found.hint == f"see what is there: kubectl -n {namespace} get {plural}; another namespace is chosen with -n"
    same_user.cluster.kubectl("get", plural)


# --- images ---

NO_AGENT = ("is --image an image of podgraft's agent?", "choose podgraft's agent with --image")
IMAGES = {
    "podgraft.test/no/such:1": ("the image is not on the node and must not be pulled: ",
                                "leave --pull-policy Never out, or load the image onto the node"),
    "127.0.0.1:1/no/such:1": ("the node cannot pull the image: ",
                              "the node does not reach the registry: use one that it reaches, with --image"),
    "localhost/podgraft-peer:1": ("peer: 'agent' is no MODE:PORT[:ARGUMENT]; see peer help", *NO_AGENT),
    "localhost/pause:1": ("runs, but says nothing", *NO_AGENT),
    "localhost/e2e-foreign:1": ("exec format error", "the image is not built for the node's CPU: choose another with --image"),
    "localhost/e2e-nothing:1": ("no such file or directory", *NO_AGENT),
    "localhost/e2e-shell:1": ("executable file not found", *NO_AGENT),
}


@pytest.fixture(scope="module")
def foreign_images(cluster, tmp_path_factory):
    """Images whose program is for another CPU, is missing, or is not said."""
    if not cluster.is_lab:
        pytest.skip("needs images that only the lab has")
    folder = tmp_path_factory.mktemp("images")
    (folder / "root").mkdir()
    (folder / "root/podgraft-agent").write_bytes(b"\x7fELF of another world")
    (folder / "root/podgraft-agent").chmod(0o755)
    layer = oci.layer(folder / "root")
    oci.write(folder / "images.tar", [("localhost/e2e-foreign:1", layer, {"Entrypoint": ["/podgraft-agent"]}),
                                      ("localhost/e2e-nothing:1", layer, {"Entrypoint": ["/no-such-agent"]}),
                                      ("localhost/e2e-shell:1", layer, {})])
    subprocess.run([TOP / "e2e/lab/lab", "load", folder / "images.tar"], check=True)
    yield
    cluster.ctr("images", "rm", *(name for name in IMAGES if "/e2e-" in name))


@pytest.fixture(scope="module")
def told(cluster, foreign_images, same_user):
    """What podgraft said of each image. All at once, each in a pod of its own, because most of the time is the kubelet's."""
    pods = make_pods(cluster, *[[peer_container()] for _ in IMAGES])
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda image, pod: run(same_user, "inject", pod.name, "--image", image, "--pull-policy",
                                                    "Never" if "test/" in image else "IfNotPresent"), IMAGES, pods))
    yield dict(zip(IMAGES, zip(done, pods)))
    for pod in pods:
        pod.delete()


@pytest.mark.parametrize("image", IMAGES)
def test_images_that_are_not_there_or_are_no_agent(same_user, told, image):
    """And a good one works beside them."""
    done, pod = told[image]
    message, *hints = IMAGES[image]
    *waits, said, hint = done.words.rstrip("\n").split("\n")
    assert done.code == 4, done
    assert done.seconds < SECONDS, done
    assert said.startswith("podgraft: ") and message in said, done
    assert hint.removeprefix("  hint: ") in hints, done
    assert all(line.startswith("waiting for ") for line in waits), done
    assert ran(same_user, "inject", pod.name)


# --- rights ---

def test_each_hint_gives_a_right_and_they_end_in_a_redirect(podgraft, shared_pod, laptop):
    """A person without any rights runs the same command again and again, and an administrator follows the hints."""
    person = f"eve-{podgraft.cluster.namespace}"
    needed = []
    while (done := run(podgraft, "token", shared_pod.name, "--as", person)).code != 0 and len(needed) < 9:
        said, hint = done.words.rstrip("\n").split("\n")[-2:]
        assert done.code == 3 and done.seconds < SECONDS, done
        assert said.startswith("podgraft: "), done
        needed.append(re.search(r"as administrator: .* create role (\S+) --verb=(\S+) --resource=(\S+?)[;,]", hint).group(2, 3))
        follow(hint, podgraft)
        if hint.endswith("and bind it to you"):
            role = hint.split("create role ")[1].split()[0]
            podgraft.cluster.kubectl("create", "rolebinding", f"{role}-{person}", f"--role={role}", f"--user={person}")
            await_right(podgraft.cluster, *needed[-1], "--as", person)
    assert done.code == 0, (done, needed)
    assert len(set(needed)) == len(needed)
    assert {("get", "pods"), ("patch", "pods/ephemeralcontainers"), ("get", "pods/log"), ("create", "pods/portforward")} <= set(needed)
    r = podgraft.redirect(f"pod/{shared_pod.name}", f"{HTTP}:{laptop.ports['http']}", "--as", person)
    assert who(shared_pod.ip, HTTP) == "laptop"
    assert r.stop() == 0


def test_the_hints_of_a_second_person_work_too(podgraft, shared_pod):
    """They do not collide with what the first one's hints made."""
    for person in ("first", "second"):
        found = refused(podgraft, "inject", shared_pod.name, "--as", f"{person}-of-two", whole=True)
        assert found.code == 3
        follow(found.hint, podgraft)
        found = refused(podgraft, "inject", "no-such-pod", "--as", f"{person}-of-two", whole=True)
        assert "not found" in found.message


# --- PodSecurity ---

@pytest.mark.parametrize("profile", ["baseline", "restricted"])
def test_a_namespace_with_pod_security(same_user, guarded, profile):
    namespace = guarded(profile)
    for verb, ports, capability in (("redirect", ["8080"], "NET_ADMIN"), ("ps", [], "SYS_PTRACE")):
        found = refused(same_user, verb, "web", *ports, namespace=namespace, whole=True)
        assert found.code == 3
        assert f"namespace '{namespace}' enforces the PodSecurity profile '{profile}', which forbids: " in found.message
        assert capability in found.message
    assert ran(same_user, "inject", "web", "--profile", "forward", namespace=namespace)
    follow(found.hint, same_user)
    until(lambda: run(same_user, "inject", "web", namespace=namespace).code == 0, what="the label's effect")


# --- ports that are taken ---

def test_a_port_that_another_redirects(podgraft, another_user, shared_pod, laptop):
    pair = f"{HTTP}:{laptop.ports['http']}"
    first = podgraft.redirect(f"pod/{shared_pod.name}", pair)
    found = refused(another_user, "redirect", f"pod/{shared_pod.name}", pair)
    assert found.code == 4
    assert re.search(rf"port {HTTP} .*redirected by \S+@\S+ since ", found.message)
    assert found.hint
    assert first.stop() == 0
    r = another_user.redirect(f"pod/{shared_pod.name}", pair)
    assert who(shared_pod.ip, HTTP) == "laptop"
    assert r.stop() == 0


# --- this machine ---

def test_a_state_folder_that_cannot_be_made(same_user, shared_pod):
    found = refused(same_user, "inject", shared_pod.name, env={"XDG_STATE_HOME": "/proc/no"}, whole=True)
    assert (found.code, found.hint) == (6, "set XDG_STATE_HOME to a folder that you can write to")
    found = refused(same_user, "inject", shared_pod.name, env={"XDG_STATE_HOME": "", "HOME": ""}, whole=True)
    assert (found.code, found.hint) == (6, "set HOME or XDG_STATE_HOME")


def test_a_full_disk(lab_only, podgraft, shared_pod, tmp_path):
    """Without a key nothing goes; without a record of the agent all does, but for finding that agent again."""
    ran(podgraft, "inject", shared_pod.name)
    key = tmp_path / "podgraft/key"
    assert key.exists()
    full = tmp_path / "full"
    full.mkdir()
    fill = 'mount -t tmpfs -o size=8k none "$0" && mkdir -m 700 "$0/podgraft" && for f in $KEY; do cp -p "$f" "$0/podgraft"; done; ' \
           'cat /dev/zero >"$0/rest" 2>/dev/null; exec "$@"'

    def inject(keys):
        return subprocess.run(["unshare", "--mount", "sh", "-c", fill, full, *podgraft.command("inject", *podgraft.graft, shared_pod.name)],
                              env={**podgraft.env, "XDG_STATE_HOME": str(full), "KEY": keys}, text=True, capture_output=True, check=False)
    done = inject("")
    assert done.returncode == 6 and "No space left on device" in done.stderr and "  hint: is the disk full" in done.stderr, done
    done = inject(str(key))
    assert done.returncode == 0 and re.fullmatch(r"podgraft-\w+ \d+\n", done.stdout), done
    assert "No space left on device: the next command will graft another agent" in done.stderr, done
