"""Real programs do not notice that they talk through a redirect.

The laptop's program is a second pod of the same image, which podgraft connects to by its address; it answers as "laptop".
"""

import base64
import hashlib
import os
import subprocess
import threading

import pytest

from harness.pods import PORTS, container, make_pods
from harness.sockets import dial, read_exactly, read_to_end, serves
from harness.tools import free_port, stop
from harness.waiting import until

HTTP = PORTS["http"]


@pytest.fixture
def two_of(cluster):
    """Makes a pod and a "laptop" of one image, with arguments for the laptop, and waits until both serve `port`."""
    made = []

    def make(kind, port, args=()):
        image = f"localhost/podgraft-{kind}:1"
        made.extend(make_pods(cluster, [container(image=image, args=[])], [container(image=image, args=list(args))]))
        for pod in made:
            until(lambda pod=pod: serves(pod.ip, port), what=kind)
        return made
    yield make
    for pod in made:
        pod.delete()


def curl(*args):
    return subprocess.run(["curl", "-sS", "--max-time", "20", *args], text=True, capture_output=True, check=True).stdout


def test_nginx_with_keep_alive(two_of, podgraft):
    app, laptop = two_of("nginx", 80)
    laptop.exec("sh", "-c", "echo nginx on the laptop >/var/www/index.txt; head -c 20000000 /dev/urandom >/var/www/large")
    podgraft.redirect(f"pod/{app.name}", "80", "--local-address", laptop.ip)
    url = f"http://{app.ip}/"
    assert curl(url) == "nginx on the laptop\n"
    assert curl(url, url, url, "-w", "%{num_connects}\n").splitlines()[1::2] == ["1", "0", "0"]
    large = subprocess.run(["curl", "-sS", f"{url}large"], capture_output=True, check=True, timeout=60).stdout
    assert hashlib.sha256(large).hexdigest() == laptop.exec("sha256sum", "/var/www/large").split()[0]
    assert app.exec("curl", "-sS", "http://localhost/") == "nginx on the laptop\n"


def test_redis(two_of, podgraft):
    app, laptop = two_of("redis", 6379)
    app.exec("redis-cli", "set", "who", "app")
    laptop.exec("redis-cli", "set", "who", "laptop")
    podgraft.redirect(f"pod/{app.name}", "6379", "--local-address", laptop.ip)
    assert app.exec("redis-cli", "get", "who").strip() == "laptop"
    assert laptop.exec("redis-cli", "-h", app.ip, "get", "who").strip() == "laptop"
    said = laptop.exec("redis-benchmark", "-h", app.ip, "-q", "--csv", "-t", "set,get,lrange_100", "-n", "5000", "-c", "20", "-P", "4")
    assert '"GET"' in said and "rror" not in said
    with dial(app.ip, 6379) as s:  # many requests before the first answer is read
        s.sendall(b"GET who\r\n" * 10000 + b"QUIT\r\n")
        assert read_to_end(s) == b"$6\r\nlaptop\r\n" * 10000 + b"+OK\r\n"


def test_postgresql(two_of, podgraft):
    app, laptop = two_of("postgres", 5432, ["-c", "cluster_name=laptop"])
    podgraft.redirect(f"pod/{app.name}", "5432", "--local-address", laptop.ip)

    def query(sql, host):
        return laptop.exec("psql", "-U", "postgres", "-h", host, "-AtqX", "-c", sql).strip()
    assert query("show cluster_name", app.ip) == "laptop"
    assert app.exec("psql", "-U", "postgres", "-h", "localhost", "-AtqX", "-c", "show cluster_name").strip() == "laptop"
    rows = "select n, md5(n::text) from generate_series(1, 50000) n"
    assert query(rows, app.ip) == query(rows, laptop.ip)
    # A cancel comes by a connection of its own, and must find the first one's server.
    with pytest.raises(AssertionError, match="canceling statement due to user request"):
        laptop.exec("timeout", "--signal=INT", "1", "psql", "-U", "postgres", "-h", app.ip, "-AtqX", "-c", "select pg_sleep(30)")


def test_websocket(podgraft, shared_pod, listener):
    """The handshake, then frames in both directions over the same connection."""
    served = threading.Thread(target=websocket_echo, args=(listener,))
    podgraft.redirect(f"pod/{shared_pod.name}", f"{HTTP}:{listener.port}")
    served.start()
    with dial(shared_pod.ip, HTTP) as s:
        key = base64.b64encode(os.urandom(16)).decode()
        s.sendall(f"GET /chat HTTP/1.1\r\nHost: pod\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
                  "Sec-WebSocket-Version: 13\r\n\r\n".encode())
        head = read_head(s)
        assert head.startswith("HTTP/1.1 101") and f"Sec-WebSocket-Accept: {accept_key(key)}" in head
        for text in (b"hello", b"", bytes(range(125))):
            mask = os.urandom(4)
            s.sendall(bytes([0x81, 0x80 | len(text)]) + mask + masked(text, mask))
            assert read_exactly(s, 2 + len(text)) == bytes([0x81, len(text)]) + text
    served.join(10)
    assert not served.is_alive()


def accept_key(key):
    return base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()


def masked(data, mask):
    return bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))


def read_head(s):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += read_exactly(s, 1)
    return head.decode()


def websocket_echo(listener):
    """Serves one client: short frames come back as they came."""
    with listener.accept() as s:
        key = read_head(s).split("Sec-WebSocket-Key: ")[1].split("\r\n")[0]
        s.sendall(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  f"Sec-WebSocket-Accept: {accept_key(key)}\r\n\r\n".encode())
        while head := s.recv(1):
            length = read_exactly(s, 1)[0] & 0x7F
            mask = read_exactly(s, 4)
            s.sendall(head + bytes([length]) + masked(read_exactly(s, length) if length else b"", mask))


@pytest.fixture
def http2_server(tmp_path):
    """nghttpd without TLS, with a file of a megabyte: its port."""
    (tmp_path / "large").write_bytes(os.urandom(1 << 20))
    port = free_port()
    process = subprocess.Popen(["nghttpd", "--no-tls", "--address=127.0.0.1", f"--htdocs={tmp_path}", str(port)],
                               stdout=subprocess.DEVNULL)
    until(lambda: serves("127.0.0.1", port), what="nghttpd")
    yield port
    stop(process)


def test_http2(podgraft, shared_pod, http2_server):
    podgraft.redirect(f"pod/{shared_pod.name}", f"{HTTP}:{http2_server}")
    said = subprocess.run(["h2load", "--requests=200", "--clients=5", "--max-concurrent-streams=10", f"http://{shared_pod.ip}:{HTTP}/large"],
                          text=True, capture_output=True, check=True, timeout=60).stdout
    assert "200 succeeded, 0 failed, 0 errored" in said, said
