"""A certificate authority of the lab's own, its certificates, and the kubeconfigs made of them."""

import base64
import os
import subprocess
from pathlib import Path

from paths import LabError, write_file

DAYS = "365"

# name, subject, who may be addressed by it ("" for clients only)
CERTIFICATES = (
    ("apiserver", "/CN=kube-apiserver",
     "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,"
     "IP:127.0.0.1,IP:::1,IP:{service_ip},IP:{service_ip6},IP:{node_ip},IP:{node_ip6}"),
    ("kubelet", "/O=system:nodes/CN=system:node:{node}",
     "DNS:{node},IP:127.0.0.1,IP:{node_ip},IP:{node_ip6}"),
    ("apiserver-kubelet-client", "/O=system:masters/CN=apiserver-kubelet-client", ""),
    ("controller-manager", "/CN=system:kube-controller-manager", ""),
    ("scheduler", "/CN=system:kube-scheduler", ""),
    ("proxy", "/CN=system:kube-proxy", ""),
    ("admin", "/O=system:masters/CN=admin", ""),
    ("dev", "/O=developers/CN=dev", ""),
)

# kubeconfigs and the certificate that each one shows
KUBECONFIGS = ("kubelet", "controller-manager", "scheduler", "proxy", "admin", "dev")


def _openssl(*args):
    done = subprocess.run(["openssl", *map(str, args)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"openssl {args[0]} failed: {done.stderr.strip()}")


def _key(path):
    """A P-256 key, readable by root alone: cheap to make and fast in every handshake."""
    old = os.umask(0o077)
    try:
        _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)
    finally:
        os.umask(old)


def _authority(pki):
    _key(pki / "ca.key")
    _openssl("req", "-x509", "-new", "-key", pki / "ca.key", "-days", DAYS, "-subj",
             "/CN=podgraft-lab", "-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature",
             "-out", pki / "ca.crt")


def _certificate(pki, name, subject, alt_names):
    lines = ["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature",
             "extendedKeyUsage=clientAuth" + (",serverAuth" if alt_names else "")]
    if alt_names:
        lines.append("subjectAltName=" + alt_names)
    extensions = write_file(pki / f"{name}.ext", "\n".join(lines) + "\n")
    _key(pki / f"{name}.key")
    _openssl("req", "-new", "-key", pki / f"{name}.key", "-subj", subject, "-out",
             pki / f"{name}.csr")
    _openssl("x509", "-req", "-in", pki / f"{name}.csr", "-CA", pki / "ca.crt", "-CAkey",
             pki / "ca.key", "-CAcreateserial", "-days", DAYS, "-extfile", extensions, "-out",
             pki / f"{name}.crt")
    for left_over in (extensions, pki / f"{name}.csr"):
        Path(left_over).unlink()


def make_all(state, facts):
    """Makes what is missing below `state`/pki. `facts` fills the addresses and the node's name in."""
    pki = state / "pki"
    pki.mkdir(parents=True, exist_ok=True)
    if (pki / "complete").exists():
        return
    _authority(pki)
    _key(pki / "service-account.key")
    _openssl("pkey", "-in", pki / "service-account.key", "-pubout", "-out",
             pki / "service-account.pub")
    for name, subject, alt_names in CERTIFICATES:
        _certificate(pki, name, subject.format(**facts), alt_names.format(**facts))
    for name in KUBECONFIGS:
        write_file(state / f"{name}.kubeconfig", kubeconfig(pki, name, facts["apiserver"]), 0o600)
    write_file(pki / "complete", "")


def kubeconfig(pki, name, server):
    """The text of a kubeconfig that carries its certificates inline, so it may be copied away."""
    def inline(file):
        return base64.b64encode((pki / file).read_bytes()).decode()

    return f"""apiVersion: v1
kind: Config
current-context: lab
clusters:
- name: lab
  cluster:
    server: {server}
    certificate-authority-data: {inline("ca.crt")}
users:
- name: {name}
  user:
    client-certificate-data: {inline(name + ".crt")}
    client-key-data: {inline(name + ".key")}
contexts:
- name: lab
  context:
    cluster: lab
    user: {name}
    namespace: default
"""
