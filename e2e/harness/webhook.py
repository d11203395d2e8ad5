"""An admission webhook of a cluster: a real HTTPS server on this machine, registered for the ephemeral containers of marked pods."""

import base64
import http.server
import itertools
import json
import ssl
import subprocess
import threading

from .waiting import until

MARK = "e2e-webhook"  # the label of the pods that it is asked about
_serial = itertools.count(1)


def certificate(folder):
    """A self-signed certificate for 127.0.0.1, as (certificate, key)."""
    crt, key = folder / "webhook.crt", folder / "webhook.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
                    "-subj", "/CN=webhook", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", crt],
                   check=True, capture_output=True)
    return crt, key


class Webhook:
    """Asks `judge` about each graft into a pod that is marked with this webhook's name.

    `judge` gets the ephemeral container that is added, and its JSON pointer, and returns members of the AdmissionResponse. Without a judge it takes
    connections and never answers.
    """

    def __init__(self, cluster, folder, judge=None, mutating=False, timeout_s=5):
        self.cluster, self.judge = cluster, judge
        self.name = f"hook-{next(_serial)}-{cluster.namespace}"
        self.kind = "MutatingWebhookConfiguration" if mutating else "ValidatingWebhookConfiguration"
        self.asked = 0
        self.meddles = False  # judges a container that was there before, not the new one
        self._ended = threading.Event()
        crt, key = certificate(folder)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(crt, key)
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        cluster.apply({"apiVersion": "admissionregistration.k8s.io/v1", "kind": self.kind, "metadata": {"name": self.name},
                       "webhooks": [self._entry(base64.b64encode(crt.read_bytes()).decode(), timeout_s)]})

    def _entry(self, authority, timeout_s):
        return {"name": "grafts.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None", "timeoutSeconds": timeout_s,
                "failurePolicy": "Fail", "objectSelector": {"matchLabels": {MARK: self.name}},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["pods/ephemeralcontainers"]}],
                "clientConfig": {"url": f"https://127.0.0.1:{self._server.server_port}/", "caBundle": authority}}

    def _handler(hook):  # pylint: disable=no-self-argument
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
                hook.asked += 1
                if not hook.judge:
                    hook._ended.wait()
                    return
                there = {one["name"] for one in request["oldObject"]["spec"].get("ephemeralContainers", [])}
                at, added = next((at, one) for at, one in enumerate(request["object"]["spec"]["ephemeralContainers"])
                                 if (one["name"] in there) == hook.meddles)
                answer = {"uid": request["uid"], **hook.judge(added, f"/spec/ephemeralContainers/{at}")}
                body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass
        return Handler

    def watches(self, pod):
        """Marks a pod, and waits until the API server asks about it."""
        self.cluster.kubectl("label", "pod", pod, f"{MARK}={self.name}", "--overwrite")
        graft = {"spec": {"ephemeralContainers": [{"name": "probe", "image": "probe"}]}}

        def is_asked():
            self.cluster.kubectl("patch", "pod", pod, "--subresource=ephemeralcontainers", "--dry-run=server", "-p", json.dumps(graft),
                                 check=False)
            return self.asked > 0
        until(is_asked, what="the webhook's effect")
        self.asked = 0

    def close(self):
        self.cluster.kubectl("delete", self.kind, self.name)
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def deny(why):
    """A judge that refuses whatever it is asked."""
    return lambda container, path: {"allowed": False, "status": {"code": 403, "message": why}}


def patch(*operations):
    """A judge that allows it and changes the container: `operations` are JSON patches with paths inside of it."""
    def judge(container, path):
        if not operations:
            return {"allowed": True}
        patched = [{**one, "path": path + one["path"]} for one in operations]
        return {"allowed": True, "patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(patched).encode()).decode()}
    return judge
