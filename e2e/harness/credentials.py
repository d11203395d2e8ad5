"""Credentials of a service account or a user that are good for seconds only: signed with the lab's own keys. The API gives none below ten minutes."""

import base64
import json
import subprocess
import time
from pathlib import Path

from .kubeconfigs import openssl

LEEWAY = 60  # seconds that an API server still accepts a token after its time
ISSUER = "https://kubernetes.default.svc"


def _encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _plain(signature):
    """The two numbers of an ECDSA signature in DER, 32 bytes each, as a token wants them."""
    first = signature[4:4 + signature[3]]
    second = signature[6 + len(first):]
    return b"".join(number.lstrip(b"\0").rjust(32, b"\0") for number in (first, second))


def token(access, seconds):
    """A token of the tests' service account that is refused after that time."""
    cluster = access.cluster
    now = int(time.time())
    uid = cluster.get("serviceaccount", access.account)["metadata"]["uid"]
    claims = {"iss": ISSUER, "aud": [ISSUER], "sub": access.user, "iat": now - 600, "nbf": now - 600, "exp": now + seconds - LEEWAY,
              "kubernetes.io": {"namespace": cluster.namespace, "serviceaccount": {"name": access.account, "uid": uid}}}
    text = ".".join(_encoded(json.dumps(part).encode()) for part in ({"alg": "ES256", "typ": "JWT"}, claims))
    key = Path(cluster.env["LAB_STATE"], "pki/service-account.key")
    signed = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=text.encode(), capture_output=True, check=True).stdout
    return f"{text}.{_encoded(_plain(signed))}"


CA = """[ca]
default_ca = lab
[lab]
database = {folder}/index
new_certs_dir = {folder}
rand_serial = yes
default_md = sha256
policy = any
[any]
commonName = supplied
"""


def certificate(cluster, folder, user, seconds):
    """A client certificate of that user that is refused after that time, and its key: the texts of both."""
    key, request, made = (folder / f"{user}.{kind}" for kind in ("key", "csr", "crt"))
    (folder / "ca.conf").write_text(CA.format(folder=folder))
    (folder / "index").write_text("")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={user}", "-keyout", key,
            "-out", request)
    end = time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + seconds))
    openssl("ca", "-config", folder / "ca.conf", "-batch", "-notext", "-cert", cluster.env["LAB_CA_CERT"], "-keyfile", cluster.env["LAB_CA_KEY"],
            "-startdate", "20200101000000Z", "-enddate", end, "-in", request, "-out", made)
    return made.read_text(), key.read_text()


def moment(seconds):
    """So many seconds from now, as the API writes times."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
