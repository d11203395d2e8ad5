"""Kubeconfigs of every kind against the real API server: those that work, and what is said of those that do not."""

import json
import os
import re
import subprocess

import pytest

from harness.cli import follow, ran, refused, run
from harness.kubeconfigs import (Access, Forwarder, Proxy, Says, Silent, allow, by_plugin, config, credential, decoded, openssl,
                                 plugin)
from harness.pods import PORTS
from harness.sockets import who
from harness.tools import BIN

PAST, FUTURE = "2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def access(cluster):
    return Access(cluster)


@pytest.fixture
def admits(same_user, tmp_path):
    """Asserts that a kubeconfig gets us in: the API server answers that there is no such pod."""
    def check(path, *args, **env):
        found = refused(same_user, "inject", "no-such-pod", *args, env={"KUBECONFIG": str(path), **env}, whole=True)
        assert found.message == f"find pod 'no-such-pod': not found in namespace '{same_user.cluster.namespace}'"
    return check


@pytest.fixture
def refuses(same_user):
    """How a kubeconfig is refused."""
    def check(path, *args, code=3, **env):
        found = refused(same_user, "inject", "no-such-pod", *args, env={"KUBECONFIG": str(path), **env}, whole=True)
        assert found.code == code, found
        return found
    return check


@pytest.fixture
def pem(access, tmp_path):
    """The admin's certificate and key and the cluster's authority as files, by their names in a kubeconfig."""
    if "client-key-data" not in access.admin:
        pytest.skip("the cluster's kubeconfig has no client certificate")
    parts = {"certificate-authority": access.authority, "client-certificate": access.admin["client-certificate-data"],
             "client-key": access.admin["client-key-data"]}
    for name, data in parts.items():
        (tmp_path / f"{name}.pem").write_bytes(decoded(data))
    return {name: f"{name}.pem" for name in parts}


# --- files and contexts ---

def test_several_files_are_merged(access, admits, tmp_path):
    """The context in one, the cluster in another, the user in a third; and some that do not exist."""
    one = config(tmp_path, name="one", clusters=None, users=None)
    two = config(tmp_path, access.trusted(), name="two", current="wrong", contexts=None, users=None)
    three = config(tmp_path, {"server": "https://wrong"}, {"token": access.token}, name="three", contexts=None)
    admits(f"{tmp_path}/no:{one}:{two}:{tmp_path}/none:{three}")


def test_the_first_file_that_says_something_wins(access, admits, tmp_path):
    one = config(tmp_path, access.trusted(), {"token": access.token}, name="one")
    two = config(tmp_path, {"server": "https://wrong"}, {"token": "wrong"}, name="two")
    admits(f"{one}:{two}")
    admits(two, "--kubeconfig", one)


def test_home_is_where_it_is_looked_for_last(access, admits, tmp_path):
    config(tmp_path, access.trusted(), {"token": access.token}, name=".kube/config")
    admits("", HOME=str(tmp_path))


def test_contexts_clusters_and_users_by_flag(access, admits, tmp_path):
    path = config(tmp_path, current="far", contexts=[{"name": "far", "context": {"cluster": "far", "user": "nobody"}},
                                                     {"name": "near", "context": {"cluster": "near", "user": "me"}}],
                  clusters=[{"name": "far", "cluster": {"server": "https://127.0.0.1:1"}}, {"name": "near", "cluster": access.trusted()}],
                  users=[{"name": "nobody", "user": {"token": "bad"}}, {"name": "me", "user": {"token": access.token}}])
    admits(path, "--context", "near")
    admits(path, "--cluster", "near", "--user", "me")


def test_the_namespace_of_the_context_counts_unless_a_flag_names_one(access, same_user, tmp_path):
    path = config(tmp_path, access.trusted(), {"token": access.token}, namespace=same_user.cluster.namespace)
    found = refused(same_user, "inject", "no-such-pod", namespace="", env={"KUBECONFIG": str(path)})
    assert found.message.endswith(f"not found in namespace '{same_user.cluster.namespace}'")
    found = refused(same_user, "inject", "no-such-pod", namespace="elsewhere", env={"KUBECONFIG": str(path)})
    assert 'in the namespace "elsewhere"' in found.message


def test_everything_by_flags(access, admits, pem, tmp_path):
    admits("/dev/null", "--server", access.server, "--certificate-authority", tmp_path / pem["certificate-authority"], "--token",
           access.token)
    admits("/dev/null", "-s", access.server, "--insecure-skip-tls-verify", "--token", access.token)
    admits("/dev/null", "-s", access.server, "--certificate-authority", tmp_path / pem["certificate-authority"],
           "--client-certificate", tmp_path / pem["client-certificate"], "--client-key", tmp_path / pem["client-key"])


# --- who we are ---

def test_certificates_inline(access, admits, pem, tmp_path):
    admits(config(tmp_path, access.trusted(), access.admin))


def test_certificates_in_files_beside_the_kubeconfig(access, admits, pem, tmp_path):
    cluster = {"server": access.server, "certificate-authority": f"../{pem['certificate-authority']}"}
    user = {name: f"../{pem[name]}" for name in ("client-certificate", "client-key")}
    admits(config(tmp_path, cluster, user, name="sub/config"))


def test_a_token_and_a_token_file(access, admits, tmp_path):
    (tmp_path / "token").write_text(access.token + "\n")
    admits(config(tmp_path, access.trusted(), {"token": access.token}))
    admits(config(tmp_path, access.trusted(), {"tokenFile": "token"}))


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_an_exec_plugin(access, admits, tmp_path, version):
    path = plugin(tmp_path, credential(version, token=access.token, expirationTimestamp=FUTURE))
    admits(config(tmp_path, access.trusted(), by_plugin(path, version)))


def test_an_exec_plugin_beside_the_kubeconfig_with_arguments_environment_and_the_cluster(access, admits, tmp_path):
    plugin(tmp_path, f"""
        [ "$1-$2" = "get-a token" ] && [ "$WHOSE" = mine ] || exit 3
        echo "$KUBERNETES_EXEC_INFO" | grep -q '"server": *"{access.server}"' || exit 4
        echo "$KUBERNETES_EXEC_INFO" | grep -q '"audience": *"tests"' || exit 5
        {credential(token=access.token)}""")
    cluster = access.trusted(extensions=[{"name": "client.authentication.k8s.io/exec", "extension": {"audience": "tests"}}])
    user = by_plugin("./plugin", args=["get", "a token"], env=[{"name": "WHOSE", "value": "mine"}], provideClusterInfo=True)
    admits(config(tmp_path, cluster, user))


def test_an_exec_plugin_that_gives_a_certificate(access, admits, pem, tmp_path):
    path = plugin(tmp_path, credential(clientCertificateData=decoded(access.admin["client-certificate-data"]).decode(),
                                       clientKeyData=decoded(access.admin["client-key-data"]).decode()))
    admits(config(tmp_path, access.trusted(), by_plugin(path)))


def test_an_exec_plugin_is_asked_again_when_its_token_is_refused(access, same_user, tmp_path):
    path = plugin(tmp_path, f"[ $runs -gt 1 ] || {{ {credential(token='no-more', expirationTimestamp=FUTURE)}\nexit 0\n}}\n"
                  f"{credential(token=access.token, expirationTimestamp=FUTURE)}")
    env = {"KUBECONFIG": str(config(tmp_path, access.trusted(), by_plugin(path)))}
    assert "not found in namespace" in run(same_user, "inject", "no-such-pod", env=env).words
    assert len((tmp_path / "runs").read_text()) == 2


@pytest.mark.parametrize("expiry, again", [(FUTURE, False), (PAST, True)])
def test_an_exec_plugin_is_asked_again_when_its_token_has_expired(access, same_user, shared_pod, tmp_path, expiry, again):
    path = plugin(tmp_path, credential(token=access.token, expirationTimestamp=expiry))
    env = {"KUBECONFIG": str(config(tmp_path, access.trusted(), by_plugin(path)))}
    ran(same_user, "token", shared_pod.name, env=env)
    assert (len((tmp_path / "runs").read_text()) > 1) == again


def test_an_exec_plugin_whose_token_is_refused_again_is_not_asked_for_ever(access, same_user, tmp_path):
    path = plugin(tmp_path, credential(token="bad"))
    env = {"KUBECONFIG": str(config(tmp_path, access.trusted(), by_plugin(path)))}
    done = run(same_user, "inject", "no-such-pod", env=env)
    assert done.code == 3
    assert "the server does not accept our credentials (401)" in done.words
    assert len((tmp_path / "runs").read_text()) == 2


def test_a_whole_redirect_with_a_plugin_through_a_proxy(access, same_user, shared_pod, laptop, tmp_path):
    """Requests, watches, logs and the lanes themselves take the same way."""
    path = plugin(tmp_path, credential(token=access.token))
    with Proxy() as proxy:
        cluster = access.trusted(**{"proxy-url": f"http://127.0.0.1:{proxy.port}"})
        env = {"KUBECONFIG": str(config(tmp_path, cluster, by_plugin(path)))}
        r = same_user.redirect(f"pod/{shared_pod.name}", f"{PORTS['http']}:{laptop.ports['http']}", env=env)
        assert who(shared_pod.ip, PORTS["http"]) == "laptop"
        assert r.stop() == 0
        host, port = access.address
        assert len(proxy.heads) >= 2
        assert all(head.startswith(f"CONNECT {host}:{port} HTTP/1.1\r\n") for head in proxy.heads)
        assert not any(access.token in head for head in proxy.heads)


@pytest.mark.parametrize("transport", ["spdy", "tunnel", "websocket"])
def test_a_whole_redirect_with_a_client_certificate_in_files(access, pem, same_user, shared_pod, laptop, tmp_path, transport):
    cluster = {"server": access.server, "certificate-authority": pem["certificate-authority"]}
    env = {"KUBECONFIG": str(config(tmp_path, cluster, {name: pem[name] for name in ("client-certificate", "client-key")}))}
    r = same_user.redirect(f"pod/{shared_pod.name}", f"{PORTS['http']}:{laptop.ports['http']}", "--transport", transport, env=env)
    assert who(shared_pod.ip, PORTS["http"]) == "laptop"
    assert r.stop() == 0


# --- the way to the server ---

def test_the_proxy_of_the_kubeconfig(access, admits, tmp_path):
    with Proxy() as proxy:
        cluster = access.trusted(**{"proxy-url": f"http://127.0.0.1:{proxy.port}"})
        admits(config(tmp_path, cluster, {"token": access.token}))
        assert proxy.heads and all(head.startswith("CONNECT %s:%s " % access.address) for head in proxy.heads)


def test_the_proxy_of_the_environment(lab_only, cluster, access, admits, tmp_path):
    """Not for loopback addresses, as kubectl: so the API server gets another address here."""
    node = cluster.env["LAB_NODE_IP"]
    with Proxy() as proxy, Forwarder(access.address, host=node) as other:
        path = config(tmp_path, access.trusted(server=f"https://{node}:{other.port}"), {"token": access.token})
        way = f"http://127.0.0.1:{proxy.port}"
        admits(path, HTTPS_PROXY=way)
        assert len(proxy.heads) == 2 and all(head.startswith(f"CONNECT {node}:{other.port} ") for head in proxy.heads)
        admits(path, HTTPS_PROXY=way, NO_PROXY=f"example.test,{node}")
        admits(path, HTTPS_PROXY=way, no_proxy="10.0.0.0/8")
        admits(config(tmp_path, access.trusted(), {"token": access.token}), HTTPS_PROXY=way)
        assert len(proxy.heads) == 2


def test_the_name_in_the_certificate_can_be_another(access, admits, refuses, tmp_path):
    user = {"token": access.token}
    with Forwarder(access.address, host="127.0.0.2") as other:
        elsewhere = f"https://127.0.0.2:{other.port}"
        path = config(tmp_path, access.trusted(server=elsewhere), user)
        found = refuses(path)
        assert found.message.startswith(f"find pod 'no-such-pod': do not trust {elsewhere}: ")
        assert found.hint == "the certificate is for another name: check the server address, or name it with --tls-server-name"
        admits(path, "--tls-server-name", "kubernetes")
        admits(config(tmp_path, access.trusted(server=elsewhere, **{"tls-server-name": "kubernetes.default.svc"}), user))


def test_no_check_of_the_certificate_when_that_is_asked_for(access, admits, tmp_path):
    admits(config(tmp_path, {"server": access.server, "insecure-skip-tls-verify": True}, {"token": access.token}))
    admits(config(tmp_path, access.trusted(), {"token": access.token}), "--insecure-skip-tls-verify")


def test_inside_a_cluster(lab_only, access, same_user, tmp_path):
    """The service account's folder and two variables are all that there is; shown in a mount namespace of its own."""
    folder = tmp_path / "secrets/kubernetes.io/serviceaccount"
    folder.mkdir(parents=True)
    (folder / "token").write_text(access.token)
    (folder / "ca.crt").write_bytes(decoded(access.authority))
    (folder / "namespace").write_text(same_user.cluster.namespace)
    host, port = access.address
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": str(port)}
    words = f"mount -t tmpfs none /run && mkdir /run/secrets && mount --bind {tmp_path}/secrets /run/secrets && exec \"$@\""
    done = subprocess.run(["unshare", "--mount", "sh", "-c", words, "sh", BIN / "podgraft", "inject", "no-such-pod"], text=True,
                          capture_output=True, check=False, env=env)
    assert f"not found in namespace '{same_user.cluster.namespace}'" in done.stderr


# --- in another's name ---

def test_impersonation_of_one_who_may(cluster, admits):
    allow(cluster, "by-name", "jane")
    allow(cluster, "by-group", "testers", kind="Group")
    admits(cluster.env["KUBECONFIG"], "--as", "jane")
    admits(cluster.env["KUBECONFIG"], "--as", "joe", "--as-group", "others", "--as-group", "testers")


def test_impersonation_of_one_who_may_not(cluster, refuses):
    found = refuses(cluster.env["KUBECONFIG"], "--as", "nobody-in-particular")
    assert 'User "nobody-in-particular" cannot get resource "pods"' in found.message
    assert "--user=nobody-in-particular" in found.hint


@pytest.fixture
def no_trace_in_the_cluster(cluster, access):
    """Rights of the whole cluster, that a hint gives, go with the test."""
    yield
    cluster.kubectl("delete", "clusterrole,clusterrolebinding", "podgraft-impersonate", f"podgraft-impersonate-{access.account}",
                    "--ignore-not-found", check=False)


def test_impersonation_by_one_who_may_not_names_the_original_user_and_the_hint_allows_it(
        cluster, same_user, access, admits, refuses, no_trace_in_the_cluster, tmp_path):
    allow(cluster, "mary", "mary")
    path = config(tmp_path, access.trusted(), {"token": access.token, "as": "mary"})
    found = refuses(path)
    assert f'User "{access.user}" cannot impersonate' in found.message
    follow(found.hint, same_user)
    admits(path)


def test_everything_about_the_impersonated_user_reaches_the_server(lab_only, cluster, same_user, tmp_path):
    view = json.loads(cluster.kubectl("config", "view", "--raw", "-o", "json"))
    view["users"][0]["user"].update({"as": f"ann-{tmp_path.name}", "as-uid": "4711", "as-groups": ["g1", "g2"],
                                     "as-user-extra": {"example.org/why": ["tests", "more tests"]}})
    path = tmp_path / "config"
    path.write_text(json.dumps(view))
    run(same_user, "inject", "no-such-pod", env={"KUBECONFIG": str(path)})
    lines = [line for line in open(cluster.env["LAB_AUDIT_LOG"]) if f"ann-{tmp_path.name}" in line]
    user = json.loads(lines[-1])["impersonatedUser"]
    assert user == {"username": f"ann-{tmp_path.name}", "uid": "4711", "groups": ["g1", "g2", "system:authenticated"],
                    "extra": {"example.org/why": ["tests", "more tests"]}}


# --- what does not work ---

def exec_user(**more):
    version = "client.authentication.k8s.io/v1"
    return {"token": None, "exec": {"apiVersion": version, "command": "./plugin", "interactiveMode": "Never", **more}}


NO_CREDENTIALS = ("find pod 'no-such-pod': the server does not accept our credentials (401)",
                  "log in to the cluster again, then check with: kubectl auth whoami")
STRANGER = ("find pod 'no-such-pod': the server got no credentials from us that it knows", "log in to the cluster, or name another user")
ENTRY = "correct that entry, or choose another one with --context or --"


def bad(message, hint, cluster=None, user=None, **sections):
    return message, hint, cluster or {}, user or {}, sections


# What is wrong: the message (a part of it), the hint, and what makes a good cluster, user or file bad.
BAD = {
    "no current context": bad("no current context", "choose one with --context: here", current=""),
    "unknown context": bad("no context 'gone' in the kubeconfig", "choose one of these with --context: here", current="gone"),
    "unknown cluster": bad("no cluster 'c' in the kubeconfig", "there is no cluster at all: name another file with --kubeconfig",
        clusters=[]),
    "unknown user": bad("no user 'u' in the kubeconfig", "choose one of these with --user: other",
        users=[{"name": "other", "user": {}}]),
    "not a kubeconfig": bad("this is not of kind Config", "correct the file, or name another one with --kubeconfig", kind="Pod"),
    "no server": bad("cluster 'c': server is missing", ENTRY + "cluster", cluster={"server": None}),
    "server that is no URL": bad("server 'ftp://host' is no http or https URL",
        "write it as https://HOST:PORT, in the kubeconfig or with --server", cluster={"server": "ftp://host"}),
    "authority that is not base64": bad("cluster 'c': certificate-authority-data is not base64", ENTRY + "cluster",
        cluster={"certificate-authority-data": "???"}),
    "authority that is no PEM": bad("certificate-authority-data holds no PEM text in base64", ENTRY + "cluster",
        cluster={"certificate-authority-data": "Zm9v"}),
    "authority in no file": bad("none.pem': No such file or directory", "check the file, which must begin with -----BEGIN",
        cluster={"certificate-authority-data": None, "certificate-authority": "none.pem"}),
    "authority twice": bad("certificate-authority and certificate-authority-data are both given", ENTRY + "cluster",
        cluster={"certificate-authority": "ca.pem"}),
    "authority and insecure": bad("certificate-authority and insecure-skip-tls-verify are both given", ENTRY + "cluster",
        cluster={"insecure-skip-tls-verify": True}),
    "no authority": bad("do not trust https://",
        "no authority that this system knows has signed it: the kubeconfig needs the cluster's certificate-authority",
        cluster={"certificate-authority-data": None}),
    "proxy that is no URL": bad("proxy-url 'gopher://x' must begin with http://, https:// or socks5://", ENTRY + "cluster",
        cluster={"proxy-url": "gopher://x"}),
    "proxy that is down": bad("through the proxy http://127.0.0.1:1: Connection refused",
        "check the proxy: proxy-url of the kubeconfig, or HTTPS_PROXY", cluster={"proxy-url": "http://127.0.0.1:1"}),
    "bad token": bad(*NO_CREDENTIALS, user={"token": "bad"}),
    "no credentials": bad(*STRANGER, user={"token": None}),
    "user name and password": bad(*STRANGER, user={"token": None, "username": "me", "password": "secret"}),
    "token with a line break": bad("user 'u': token holds a space or control character", ENTRY + "user", user={"token": "a\nb"}),
    "token in no file": bad("cannot read tokenFile", ENTRY + "user", user={"token": None, "tokenFile": "none"}),
    "certificate without key": bad("client-certificate-data holds no PEM text", ENTRY + "user",
        user={"client-certificate-data": "Zm9v"}),
    "auth provider": bad("auth-provider 'gcp' is no longer supported", "replace it by an exec credential plugin, as for kubectl",
        user={"token": None, "auth-provider": {"name": "gcp"}}),
    "group without user": bad("impersonating a uid or a group needs a user", "give --as USER too", user={"as-groups": ["g"]}),
    "plugin that is not there": bad("it did not start", "install podgraft-no-such-plugin, or put its folder into PATH",
        user=exec_user(command="podgraft-no-such-plugin")),
    "plugin that can be installed": bad("it did not start", "get it at x.test",
        user=exec_user(command="podgraft-no-such-plugin", installHint="get it at x.test")),
    "plugin that fails": bad("it failed with status 1", "run it by hand, as the kubeconfig says, and mend it",
        user=exec_user(command="false")),
    "plugin that says nothing of use": bad("its answer", "run it by hand, as the kubeconfig says, and mend it",
        user=exec_user(command="echo", args=["hello"])),
    "plugin of another version": bad("exec: apiVersion 'client.authentication.k8s.io/v1alpha1' is neither", ENTRY + "user",
        user=exec_user(apiVersion="client.authentication.k8s.io/v1alpha1")),
    "plugin without a mode": bad("exec: interactiveMode is missing", ENTRY + "user", user=exec_user(interactiveMode=None)),
    "plugin that wants a terminal": bad("it wants a terminal, and standard input is none",
        "run podgraft on a terminal, or log in first", user=exec_user(interactiveMode="Always")),
}


@pytest.mark.parametrize("name", BAD)
def test_bad(access, refuses, tmp_path, name):
    message, hint, cluster, user, sections = BAD[name]
    (tmp_path / "ca.pem").write_bytes(decoded(access.authority))
    path = config(tmp_path, {**access.trusted(), **cluster}, {"token": access.token, **user}, **sections)
    found = refuses(path, code=2 if name == "group without user" else 3)
    assert message in found.message
    assert hint in found.hint
    assert access.token not in found.said


def test_bad_text(refuses, tmp_path):
    path = tmp_path / "config"
    path.write_text("clusters: [\n- name: x\n")
    found = refuses(path)
    assert re.match(rf"kubeconfig {re.escape(str(path))}: line \d+: ", found.message)
    assert found.hint == "correct the file, or name another one with --kubeconfig"


@pytest.mark.parametrize("args, message, hint", [
    (["--kubeconfig", "/no/such/file"], "--kubeconfig: read '/no/such/file': No such file or directory",
     "name a file that exists, or leave --kubeconfig away"),
    (["--context", "nosuch"], "no context 'nosuch' in the kubeconfig", "choose one of these with --context: here"),
    (["--cluster", "nosuch"], "no cluster 'nosuch' in the kubeconfig", "choose one of these with --cluster: c"),
    (["--user", "nosuch"], "no user 'nosuch' in the kubeconfig", "choose one of these with --user: u"),
    (["--token", "a b"], "--token holds a space or control character", "give the token alone, without a line break"),
    (["--as-group", "g"], "impersonating a uid or a group needs a user", "give --as USER too"),
    (["--client-certificate", "/dev/null"], "--client-certificate: '/dev/null' holds no PEM text",
     "name a PEM file with --client-certificate"),
    (["--certificate-authority", "/no"], "--certificate-authority: read '/no': No such file or directory",
     "name a PEM file with --certificate-authority")])
def test_bad_flags(access, refuses, tmp_path, args, message, hint):
    found = refuses(config(tmp_path, access.trusted(), {"token": access.token}), *args, code=2)
    assert (found.message, found.hint) == (message, hint)


def test_nothing_at_all(refuses, tmp_path):
    found = refuses("", HOME=str(tmp_path))
    assert found.message == f"no kubeconfig: {tmp_path}/.kube/config not found"
    assert found.hint == "name a file with --kubeconfig FILE or KUBECONFIG=FILE"


def test_another_authority(access, refuses, tmp_path):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=another", "-days", "1",
            "-keyout", tmp_path / "ca.key", "-out", tmp_path / "ca.pem")
    found = refuses(config(tmp_path, {"server": access.server, "certificate-authority": "ca.pem"}, {"token": access.token}))
    assert found.message.startswith(f"find pod 'no-such-pod': do not trust {access.server}: ")
    assert "is the kubeconfig of this cluster and current?" in found.hint
    certificate = {"client-certificate": "ca.pem", "client-key": "ca.key"}
    found = refuses(config(tmp_path, access.trusted(), certificate))
    assert (found.message, found.hint) == NO_CREDENTIALS


def test_a_certificate_that_has_expired(lab_only, access, cluster, refuses, tmp_path):
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=dev", "-keyout",
            tmp_path / "key.pem", "-out", tmp_path / "csr.pem")
    openssl("x509", "-req", "-in", tmp_path / "csr.pem", "-CA", cluster.env["LAB_CA_CERT"], "-CAkey", cluster.env["LAB_CA_KEY"],
            "-days", "-1", "-out", tmp_path / "cert.pem")
    found = refuses(config(tmp_path, access.trusted(), {"client-certificate": "cert.pem", "client-key": "key.pem"}))
    assert (found.message, found.hint) == NO_CREDENTIALS


# --- servers that are none ---

def test_servers_that_are_none(access, refuses, tmp_path):
    def of(server):
        found = refuses(config(tmp_path, {"server": server}, {"token": access.token}))
        return found.message, found.hint
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<html>hi</html>"
    message, hint = of("https://127.0.0.1:1")
    assert message == "find pod 'no-such-pod': connect to https://127.0.0.1:1: Connection refused"
    assert hint == "nothing listens there: is the server address right, and the cluster running?"
    message, hint = of("https://no-such-host.invalid")
    assert "Could not resolve host: no-such-host.invalid" in message
    assert hint == "no such host name: is the server address right, and a VPN needed to reach it?"
    with Says(page) as server:
        message, hint = of(f"http://127.0.0.1:{server.port}")
        assert hint == "check the server's address in the kubeconfig"
        assert not any("Authorization" in head for head in server.heads)
    with Says(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n") as server:
        message, hint = of(f"http://127.0.0.1:{server.port}")
        assert hint == "is this an API server? try kubectl version"


@pytest.mark.parametrize("limit", [["--request-timeout", "1500ms"], []])
def test_a_server_that_says_nothing(access, same_user, tmp_path, limit):
    with Silent() as server:
        path = config(tmp_path, access.trusted(server=f"https://127.0.0.1:{server.port}"), {"token": access.token})
        found = refused(same_user, "inject", "no-such-pod", *limit, env={"KUBECONFIG": str(path)})
        assert found.code == 3
        assert found.message == f"find pod 'no-such-pod': connect to https://127.0.0.1:{server.port}: Connection timed out"
        assert found.hint == "is the server address right, and a VPN needed to reach it?"
        assert "waiting for the API server" in found.said
