"""Credentials that run out while a redirect runs: an open link goes on, and who has to come back does so with fresh ones, unasked."""

import subprocess
import time

import pytest

from harness import credentials
from harness.cli import refused
from harness.faults import Clients, lost_since
from harness.kubeconfigs import Access, allow, by_plugin, config, credential, plugin
from harness.lanes import Lanes
from harness.pods import PORTS
from harness.sockets import who
from harness.waiting import stretched, until

pytestmark = pytest.mark.usefixtures("lab_only")

# How a redirect shows who wants it; each has a port.
PLUGINS = ["a plugin that says until when", "a plugin that does not say", "a plugin with certificates"]
FILE, ALONE = "a token file", "a token alone"
PORT = dict(zip([*PLUGINS, FILE, ALONE], PORTS.values()))


class Person:
    """Somebody whose credentials are good for so many seconds, in every manner, each with a kubeconfig of its own."""

    def __init__(self, cluster, folder, seconds):
        self.cluster, self.folder = cluster, folder
        self.access = Access(cluster)
        self.name = f"brief-{self.access.account}"
        allow(cluster, self.name, self.name)
        self.log_in(seconds)
        users = {manner: by_plugin(self._plugin(manner) / "plugin") for manner in PLUGINS}
        users |= {FILE: {"tokenFile": str(folder / "token")}, ALONE: {"token": (folder / "token").read_text()}}
        self.env = {manner: {"KUBECONFIG": str(config(folder, self.access.trusted(), user, name=f"config-{number}"))}
                    for number, (manner, user) in enumerate(users.items())}

    def _plugin(self, manner):
        path = self.folder / manner.replace(" ", "-")
        path.mkdir(exist_ok=True)
        return path

    def log_in(self, seconds):
        """Puts such credentials where plugins and the token file have them from; the token alone stays what it was."""
        token = credentials.token(self.access, seconds)
        certificate, key = credentials.certificate(self.cluster, self.folder, self.name, seconds)
        for manner, given in zip(PLUGINS, ({"token": token, "expirationTimestamp": credentials.moment(seconds)}, {"token": token},
                                           {"clientCertificateData": certificate, "clientKeyData": key})):
            plugin(self._plugin(manner), credential(**given))
        (self.folder / "token").write_text(token)

    def asked(self, manner):
        """How often that plugin was run."""
        return len((self._plugin(manner) / "runs").read_text())

    def is_refused(self, manner):
        """Whether the API server refuses kubectl."""
        return subprocess.run(["kubectl", "auth", "whoami"], env={**self.cluster.env, **self.env[manner]}, capture_output=True,
                              check=False).returncode != 0


@pytest.fixture(scope="module")
def expired(cluster, same_user, shared_pod, laptop, tmp_path_factory):
    """Redirects in all manners whose credentials have run out meanwhile: (person, {manner: redirect})."""
    assert same_user.run("inject", *same_user.graft, shared_pod.name).returncode == 0
    person = Person(cluster, tmp_path_factory.mktemp("brief"), int(stretched(8)))
    assert not any(person.is_refused(manner) for manner in PORT)
    started = {manner: same_user.redirect(f"pod/{shared_pod.name}", f"{port}:{laptop.ports['http']}", ready=False, env=person.env[manner])
               for manner, port in PORT.items()}
    for r in started.values():
        r.up = r.event("ready")
        assert r.up["reused"]
    until(lambda: all(person.is_refused(manner) for manner in PORT), timeout=30, interval=0.5, what="the end of all credentials")
    return person, started


def test_open_links_go_on(expired, shared_pod):
    assert [who(shared_pod.ip, port) for port in PORT.values()] == ["laptop"] * len(PORT)


def test_a_link_that_is_lost_comes_back_with_fresh_credentials_unasked(expired, shared_pod):
    person, started = expired
    person.log_in(3600)
    asked = {manner: person.asked(manner) for manner in PLUGINS}
    with Clients(shared_pod) as clients:
        Lanes(shared_pod, started[FILE].up["container"]).kill_all()
        cut = time.time()
        for manner in [*PLUGINS, FILE]:
            assert started[manner].event("resumed", 15)["reused"]
            assert who(shared_pod.ip, PORT[manner]) == "laptop"
        report = clients.end()
    assert lost_since(report, cut) == []
    assert all(person.asked(manner) > asked[manner] for manner in PLUGINS)
    assert [started[manner].stop() for manner in [*PLUGINS, FILE]] == [0] * 4


def test_without_fresh_ones_it_ends_in_plain_words(expired, same_user, shared_pod):
    """Half a minute after the link was lost: an API server that starts may refuse what it allows in a moment."""
    person, started = expired
    found = refused(same_user, "redirect", shared_pod.name, PORT[ALONE], env=person.env[ALONE], whole=True)
    assert found.code == 3 and found.message == f"find pod '{shared_pod.name}': the server does not accept our credentials (401)"
    assert found.hint == "log in to the cluster again, then check with: kubectl auth whoami"
    error = started[ALONE].error(timeout=40)
    assert (started[ALONE].wait(), error["message"].rstrip("."), error["hint"]) == (3, found.message, found.hint)
