"""podgraft believes nothing that an agent says: it ends, or goes on, with clear words, little memory and an untouched terminal.

The images are real, and so are their grafts: e2e/peers/hostile. Most run at once, as some take the ten seconds that they are given.
"""

import re
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.evil import Victim, load_images
from harness.pods import PORTS, make_pods, container
from harness.sockets import Listener
from harness.tools import BIN, Podgraft, free_port
from harness.waiting import until

HTTP = PORTS["http"]
KIB_MOST = 64 << 10
STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and line feed

pytestmark = pytest.mark.usefixtures("lab_only")

# What is run to its end: (mode, verb, its end, what is said of it, the hint).
ENDINGS = {
    "banner-endless": ("inject", 4, r"the image's program is no agent, it says: A+", "choose podgraft's agent with --image"),
    "banner-steers": ("inject", 4, r"podgraft-agent: \?\[2J\?\]0;owned\?\? all is well; \?\[2J\?\]0;owned\?\?", "kubectl logs"),
    "banner-drips": ("inject", 4, r"podgraft-\w+ runs, but says nothing", "is --image an image of podgraft's agent"),
    "banner-app": ("token", 4, r"what listens on port 8080 of pod '[\w-]+' gives no challenge of an agent", "--image"),
    "log-lies": ("token", 4, r"the agent refuses \(403\)", ""),
    "challenge-steers": ("token", 4, r"the agent \?\[2J\?\?31m\?\?9 speaks protocol 2, this podgraft .* speaks 1", "install podgraft"),
    "refusal-steers": ("token", 4, r"the agent refuses \(403\): \?\[2J\?\]0;owned\?\?\?", r"\?\?podgraft: all is well\?"),
    "answer-endless": ("token", 4, r"what listens on port \d+ of pod '[\w-]+' gives no answer of an agent", "--image"),
    "answer-terabyte": ("token", 4, r"what listens on port \d+ of pod '[\w-]+' gives no answer of an agent", "--image"),
    "answer-drips": ("token", 4, r"the agent did not answer within 10 s", "kubectl logs"),
    "ps-deep": ("ps", 4, r"the agent's list of processes is not of its form", "--image"),
    "proof-wrong": ("redirect", 4, r"the agent could not prove that it is the one we grafted", "look at the pod's processes"),
    "link-drips": ("redirect", 5, r"the agent does not answer within 15 s", "kubectl logs"),
    "holder-steers": ("redirect", 5, r"the other side broke the protocol: a control message is malformed", "--image"),
    "ports-absurd": ("redirect-all", 5, r"the other side broke the protocol: a control message is malformed", "--image"),
}


@pytest.fixture(scope="module")
def evil(cluster, tmp_path_factory):
    """Starts podgraft against an image: run(mode, verb, ...) -> Victim. The pods are shared."""
    folder = tmp_path_factory.mktemp("evil")
    load_images(folder)
    pods = make_pods(cluster, *[[container()] for _ in range(2)])
    users = []

    def run(mode, verb, *args):
        users.append(Podgraft(cluster, tmp_path_factory.mktemp("user")))
        return Victim(users[-1], mode, verb, pods[len(users) % len(pods)].name, *args)
    yield run
    for pod in pods:
        pod.delete()


@pytest.fixture(scope="module", autouse=True)
def endings(evil):
    """What became of each of ENDINGS, as a future: they run beside the other tests."""
    def ended(mode):
        verb = ENDINGS[mode][0]
        ports = [f"{HTTP}:{free_port()}"] if verb == "redirect" else []
        return evil(mode, verb.split("-")[0], *ports).end()
    with ThreadPoolExecutor(len(ENDINGS)) as pool:
        yield {mode: pool.submit(ended, mode) for mode in ENDINGS}


def assert_unharmed(got):
    assert not STEERING.search(got.words) and not STEERING.search(got.out), (got.out, got.words)
    if "asan" not in str(BIN):  # sanitizers cost memory
        assert 0 < got.kib < KIB_MOST, got.kib


def test_ps_prints_names_that_steer_nothing(evil):
    got = evil("ps-steers", "ps").end()
    assert got.code == 0 and "[2J" in got.out
    assert_unharmed(got)
    got = evil("ps-steers", "ps", "--output", "json").end()
    assert got.code == 0
    assert_unharmed(got)


def test_ps_of_20000_processes_with_20000_sockets_each_ends(evil):
    got = evil("ps-many", "ps").end()
    assert got.code == 0
    assert_unharmed(got)


@pytest.fixture
def redirect(evil):
    """A redirect by an evil agent to a port of this machine, up and running."""
    started = []

    def start(mode, port):
        started.append(v := evil(mode, "redirect", f"{HTTP}:{port}"))
        until(lambda: "now reaches" in v.said() or not v.is_on(), what="the redirect")
        assert v.is_on(), v.said()
        return v
    yield start
    for v in started:
        if v.process.returncode is None:
            v.process.kill()
            v.process.wait()


@pytest.mark.parametrize("mode", ["link-garbage", "data-overrun"])
def test_a_breach_of_the_protocol_ends_the_link_and_podgraft_says_so(evil, mode):
    with Listener() as local:
        v = evil(mode, "redirect", f"{HTTP}:{local.port}")
        until(lambda: "the other side broke the protocol" in v.said(), what="the loss")
        got = v.end(interrupt=v.is_on())
    assert_unharmed(got)
    assert got.code in (0, 5)  # it may come before the redirect is up


def test_32768_connections_cost_little_and_do_not_keep_ctrl_c_away(redirect):
    with Listener() as local:  # takes none of them
        v = redirect("open-flood", local.port)
        v.process.send_signal(signal.SIGINT)
        until(lambda: "draining" in v.said(), what="the draining")
        got = v.end(interrupt=True, timeout=10)
    assert_unharmed(got)
    assert got.code == 0


def test_connections_of_redirects_that_nobody_asked_for_are_reset(redirect, evil):
    with Listener() as local:
        v = redirect("open-unknown", local.port)
        local.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):  # but for the look whether somebody listens, nobody came
            local.accept()
        got = v.end(interrupt=True)
    assert got.code == 0 and "link lost" not in got.words
    assert_unharmed(got)


def test_200000_news_of_a_redirect_are_told_a_few_times(redirect):
    v = redirect("told-flood", free_port())
    until(lambda: v.said().count("parked") >= 3, what="the news")
    got = v.end(interrupt=True)
    assert got.code == 0 and got.words.count("\n") < 20
    assert_unharmed(got)


@pytest.mark.parametrize("mode", ENDINGS)
def test_it_ends_with_clear_words(endings, mode):
    _, code, message, hint = ENDINGS[mode]
    got = endings[mode].result()
    assert_unharmed(got)
    assert got.code == code
    said = re.search(r"^podgraft: (.*)\n(?:  hint: (.*)\n)?\Z", got.words, re.M)
    assert re.match(message, said[1]) and re.search(hint, said[2] or ""), got.words


def test_status_reads_the_logs_of_all_of_them_unharmed(endings, same_user):
    """What they have said so far: a line without an end, lines that steer, lies."""
    for ending in endings.values():
        ending.result()
    for form in ("text", "json"):
        v = Victim(same_user, None, "status", "--output", form)
        got = v.end()
        assert got.code == 0, got.words
        assert_unharmed(got)
