"""The parts of the cluster: how each one is started, and how one sees that it works."""

import json
import shutil
import socket
import ssl
import urllib.error
import urllib.request
from pathlib import Path

import host
from paths import STATE, LabError, write_file
from process import Process

# Ports of the lab's own, all on 127.0.0.1 (the kubelet's on the node's address): below the
# ephemeral range and away from every default, so that another Kubernetes may run beside.
ETCD_PORT, ETCD_PEER_PORT = 23790, 23800
API_PORT = 26443
KUBELET_PORT, KUBELET_HEALTH_PORT = 22050, 22048
CONTROLLER_PORT, SCHEDULER_PORT = 22057, 22059
PROXY_HEALTH_PORT, PROXY_METRICS_PORT = 22056, 22049

APISERVER = f"https://127.0.0.1:{API_PORT}"
CONTAINERD_DIR = STATE / "containerd"
SOCKET = STATE / "run" / "containerd.sock"
CTR = ["ctr", "--address", str(SOCKET), "--namespace", "k8s.io"]

# In the order of their start. Each needs only what stands before it.
NAMES = ("containerd", "etcd", "apiserver", "controller-manager", "scheduler", "kubelet",
         "kube-proxy")


def process(name):
    """The process of one part."""
    if name not in NAMES:
        raise LabError(f"no part is called '{name}'", "parts: " + ", ".join(NAMES))
    return Process(name, STATE)


# --- configuration files ---------------------------------------------------------------------

def _containerd_config():
    if not shutil.which("containerd"):
        raise LabError("containerd is not installed", "run ci/setup")
    return f"""version = 2
root = "{CONTAINERD_DIR}/root"
state = "{CONTAINERD_DIR}/run"

[grpc]
  address = "{SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  # Without CAP_SYS_RESOURCE no process may lower its score: ask for what is allowed instead.
  restrict_oom_score_adj = true
  # Under /run/netns the first `ip netns add` of anyone would bury the pods' namespaces, and
  # their pods would hang in Terminating.
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{STATE}/cni"

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
"""


def _cni_config():
    # ptp, not bridge: all traffic between pods is routed by the node, so answers from behind a
    # Service pass its NAT also where the kernel has no br_netfilter.
    return json.dumps({
        "cniVersion": "0.4.0", "name": "podgraft-lab",
        "plugins": [{
            "type": "ptp", "ipMasq": False, "mtu": 1500,
            "ipam": {"type": "host-local", "dataDir": str(STATE / "cni-addresses"),
                     "ranges": [[{"subnet": host.POD_CIDR}], [{"subnet": host.POD_CIDR6}]],
                     "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]}}]}, indent=1)


def _kubelet_config():
    pki = STATE / "pki"
    return json.dumps({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "address": host.NODE_IP, "port": KUBELET_PORT,
        "healthzBindAddress": "127.0.0.1", "healthzPort": KUBELET_HEALTH_PORT,
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "tlsCertFile": str(pki / "kubelet.crt"), "tlsPrivateKeyFile": str(pki / "kubelet.key"),
        "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True},
                           "x509": {"clientCAFile": str(pki / "ca.crt")}},
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs", "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [], "failSwapOn": False, "failCgroupV1": False,
        "localStorageCapacityIsolation": False, "makeIPTablesUtilChains": False,
        "oomScoreAdj": 0, "clusterDNS": [], "resolvConf": str(STATE / "resolv.conf"),
        # Nothing is evicted and no image is collected, however full the disk is.
        "evictionHard": {k: "0%" for k in ("memory.available", "nodefs.available",
                                           "nodefs.inodesFree", "imagefs.available",
                                           "imagefs.inodesFree")},
        "imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 99,
        "podLogsDir": str(STATE / "pod-logs"), "volumePluginDir": str(STATE / "volume-plugins"),
        "maxPods": 200, "serializeImagePulls": False, "nodeStatusUpdateFrequency": "4s",
        "enableDebuggingHandlers": True,
    }, indent=1)


def _proxy_config():
    return json.dumps({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
        "mode": "nftables", "clusterCIDR": f"{host.CLUSTER_CIDR},{host.CLUSTER_CIDR6}",
        "hostnameOverride": host.NODE, "clientConnection": {
            "kubeconfig": str(STATE / "proxy.kubeconfig")},
        "healthzBindAddress": f"127.0.0.1:{PROXY_HEALTH_PORT}",
        "metricsBindAddress": f"127.0.0.1:{PROXY_METRICS_PORT}",
        "bindAddress": host.NODE_IP, "oomScoreAdj": 0,
        "nftables": {"minSyncPeriod": "0s"},
        # The machine's own connection tracking limits stay as they are.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s",
                      "tcpCloseWaitTimeout": "0s"},
    }, indent=1)


AUDIT_POLICY = """apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
"""


def write_configs():
    """Writes every configuration file, always: they follow the lab's own version."""
    files = {"containerd.toml": _containerd_config(), "cni/10-lab.conflist": _cni_config(),
             "kubelet.json": _kubelet_config(), "proxy.json": _proxy_config(),
             "audit-policy.yaml": AUDIT_POLICY, "resolv.conf": "nameserver 127.0.0.1\n"}
    for name, text in files.items():
        write_file(STATE / name, text)
    for directory in ("run", "log", "etcd", "pod-logs"):
        (STATE / directory).mkdir(parents=True, exist_ok=True)


# --- commands --------------------------------------------------------------------------------

def commands(programs):
    """{part: command line} with the programs of that folder."""
    pki, pair = STATE / "pki", f"{host.SERVICE_CIDR},{host.SERVICE_CIDR6}"
    etcd = f"http://127.0.0.1:{ETCD_PORT}"
    peer = f"http://127.0.0.1:{ETCD_PEER_PORT}"
    return {
        "containerd": ["containerd", "--config", STATE / "containerd.toml"],
        "etcd": [
            programs / "etcd", "--name=lab", f"--data-dir={STATE}/etcd", "--unsafe-no-fsync",
            f"--listen-client-urls={etcd}", f"--advertise-client-urls={etcd}",
            f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=lab={peer}", "--log-level=warn"],
        "apiserver": [
            programs / "kube-apiserver", f"--etcd-servers={etcd}",
            "--bind-address=127.0.0.1", f"--secure-port={API_PORT}",
            f"--advertise-address={host.NODE_IP}", "--endpoint-reconciler-type=none",
            f"--tls-cert-file={pki}/apiserver.crt", f"--tls-private-key-file={pki}/apiserver.key",
            f"--client-ca-file={pki}/ca.crt",
            f"--kubelet-certificate-authority={pki}/ca.crt",
            f"--kubelet-client-certificate={pki}/apiserver-kubelet-client.crt",
            f"--kubelet-client-key={pki}/apiserver-kubelet-client.key",
            "--kubelet-preferred-address-types=InternalIP",
            f"--service-account-key-file={pki}/service-account.pub",
            f"--service-account-signing-key-file={pki}/service-account.key",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-cluster-ip-range={pair}",
            "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true", "--profiling=false",
            f"--audit-policy-file={STATE}/audit-policy.yaml",
            f"--audit-log-path={STATE}/log/audit.log"],
        "controller-manager": [
            programs / "kube-controller-manager", "--bind-address=127.0.0.1",
            f"--secure-port={CONTROLLER_PORT}", "--leader-elect=false",
            f"--kubeconfig={STATE}/controller-manager.kubeconfig",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={pki}/service-account.key",
            f"--root-ca-file={pki}/ca.crt", "--allocate-node-cidrs=true",
            f"--cluster-cidr={host.CLUSTER_CIDR},{host.CLUSTER_CIDR6}",
            "--node-cidr-mask-size-ipv4=24", "--node-cidr-mask-size-ipv6=64",
            f"--service-cluster-ip-range={pair}",
            f"--cluster-signing-cert-file={pki}/ca.crt",
            f"--cluster-signing-key-file={pki}/ca.key"],
        "scheduler": [
            programs / "kube-scheduler", "--bind-address=127.0.0.1",
            f"--secure-port={SCHEDULER_PORT}", "--leader-elect=false",
            f"--kubeconfig={STATE}/scheduler.kubeconfig"],
        "kubelet": [
            programs / "kubelet", f"--config={STATE}/kubelet.json",
            f"--kubeconfig={STATE}/kubelet.kubeconfig", f"--root-dir={STATE}/kubelet",
            f"--cert-dir={STATE}/kubelet/pki", f"--hostname-override={host.NODE}",
            f"--node-ip={host.NODE_IP},{host.NODE_IP6}"],
        "kube-proxy": [programs / "kube-proxy", f"--config={STATE}/proxy.json"],
    }


# --- health ----------------------------------------------------------------------------------

def _get(url, timeout_s=2):
    """The body of a GET, or None. Certificates of the lab's own CA."""
    context = None
    if url.startswith("https:"):
        context = ssl.create_default_context(cafile=str(STATE / "pki" / "ca.crt"))
        context.load_cert_chain(STATE / "pki" / "admin.crt", STATE / "pki" / "admin.key")
    # No proxy of the environment is asked for loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                         urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(url, timeout=timeout_s) as reply:
            return reply.read()
    except (OSError, urllib.error.URLError, ValueError):
        return None


def node():
    """(Ready?, the reason when not) of the node as the API server tells it."""
    body = _get(f"{APISERVER}/api/v1/nodes/{host.NODE}")
    if body is None:
        return False, "not known to the API server"
    for condition in json.loads(body)["status"].get("conditions", []):
        if condition["type"] == "Ready":
            return condition["status"] == "True", condition.get("message", "")
    return False, "has no status yet"


def accounts_ready():
    """Whether pods can be made in the default namespace: its service account is there."""
    return _get(f"{APISERVER}/api/v1/namespaces/default/serviceaccounts/default") is not None


def _containerd_answers():
    return "io.containerd.grpc.v1" in host.run(*CTR, "plugins", "ls", "id==cri")


def healthy(name):
    """Whether the part does its work, as asked over its own door."""
    if process(name).pid() is None or process(name).stopped():
        return False
    if name == "containerd":
        return _containerd_answers()
    urls = {
        "etcd": f"http://127.0.0.1:{ETCD_PORT}/readyz",
        "apiserver": f"{APISERVER}/readyz",
        "kubelet": f"http://127.0.0.1:{KUBELET_HEALTH_PORT}/healthz",
        "kube-proxy": f"http://127.0.0.1:{PROXY_HEALTH_PORT}/livez",
        # These two show self-signed certificates: that they accept is enough beside the node's state.
        "controller-manager": None, "scheduler": None,
    }
    if urls[name]:
        return _get(urls[name]) is not None
    return _accepts(CONTROLLER_PORT if name == "controller-manager" else SCHEDULER_PORT)


def _accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def containers():
    """Ids of all containers of the lab, pods' sandboxes included, also while containerd is dead."""
    tasks = CONTAINERD_DIR / "run" / "io.containerd.runtime.v2.task" / "k8s.io"
    return {p.name for p in tasks.glob("*")}


def traces(ids):
    """What the shims and runc of these containers keep outside the lab's folder, should they be
    killed: sockets, and folders of runc's state."""
    tasks = CONTAINERD_DIR / "run" / "io.containerd.runtime.v2.task" / "k8s.io"
    found = [Path("/run/containerd/runc/k8s.io") / i for i in ids]
    for one in ids:
        try:
            address = (tasks / one / "address").read_text(encoding="utf-8")
        except OSError:
            continue  # containers of a pod share the shim of its sandbox
        found += [Path(a.removeprefix("unix://")) for a in address.split()]
    return [p for p in found if str(p).startswith("/run/containerd/")]


def shims():
    """Pids of containerd's shims that serve the lab's containerd."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].rpartition(b"/")[2].startswith(b"containerd-shim") and \
                str(SOCKET).encode() in words:
            found.add(int(entry.parent.name))
    return found
