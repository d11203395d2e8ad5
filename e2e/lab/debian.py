"""One small root file system for nginx, redis and PostgreSQL, unpacked from Debian's packages."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from paths import LabError, say

# What the images are for, then the tools a person or a test wants inside of them.
WANTED = ("nginx-light", "redis-server", "postgresql-15", "curl", "iproute2", "iptables", "nftables",
          "dash", "coreutils", "procps", "grep", "sed", "util-linux", "libc-bin")

# Only maintainer scripts, translations or PostgreSQL's just-in-time compiler would need these.
UNWANTED = re.compile(r"perl.*|lib.*-perl|libperl.*|usrmerge|libllvm.*|libz3.*|locales|libc-l10n|"
                      r"adduser|passwd|lsb-base|debconf|ssl-cert|ucf|postgresql-common|"
                      r"postgresql-client-common|dpkg|init-system-helpers|gcc-.*-base")

# What each image listens on, and what its processes (and `kubectl exec`) see.
PORTS = {"nginx": 80, "redis": 6379, "postgres": 5432}
ENVIRONMENT = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/15/bin", "LANG=C.UTF-8"]

USERS = (("root", 0, "/root"), ("www-data", 33, "/var/www"), ("postgres", 70, "/var/lib/postgresql"),
         ("redis", 71, "/var/lib/redis"), ("nobody", 65534, "/nonexistent"))

NGINX_CONF = """daemon off;
user www-data;
worker_processes 1;
pid /run/nginx.pid;
error_log /dev/stderr warn;
events { worker_connections 8192; }
http {
	access_log off;
	default_type text/plain;
	keepalive_timeout 300s;
	keepalive_requests 1000000;
	client_max_body_size 0;
	server {
		listen 80 default_server backlog=4096;
		listen [::]:80 default_server backlog=4096;
		server_name _;
		root /var/www;
		index index.txt;
	}
}
"""

START = {
    "nginx": 'exec /usr/sbin/nginx -c /etc/nginx/lab.conf "$@"\n',
    "redis": "cd /var/lib/redis\n"
             "exec /usr/bin/redis-server --bind '*' '-::*' --protected-mode no --save '' "
             '--appendonly no --maxclients 20000 "$@"\n',
    # PostgreSQL refuses to run as root: it becomes its own user first.
    "postgres": """if [ "$(id -u)" = 0 ]; then
	exec setpriv --reuid 70 --regid 70 --clear-groups "$0" "$@"
fi
bin=/usr/lib/postgresql/15/bin
data=/var/lib/postgresql/data
if [ ! -e $data/PG_VERSION ]; then
	$bin/initdb -N -A trust -U postgres -E UTF8 --locale=C -D $data || exit 1
	echo 'host all all all trust' >>$data/pg_hba.conf
fi
exec $bin/postgres -D $data -k /tmp -c listen_addresses='*' -c fsync=off -c jit=off \\
	-c max_connections=200 -c shared_buffers=32MB -c dynamic_shared_memory_type=mmap "$@"
""",
}


def _run(*args, cwd=None):
    done = subprocess.run([str(a) for a in args], cwd=cwd, capture_output=True, text=True,
                          check=False, env={**os.environ, "LC_ALL": "C"})
    if done.returncode:
        raise LabError(f"{args[0]} failed: {done.stderr.strip()[-500:]}",
                       "apt-get update may be due")
    return done.stdout


def _packages():
    """Names of all packages that WANTED need, as apt resolves them on an empty system."""
    plan = _run("apt-get", "--simulate", "-o", "Dir::State::status=/dev/null",
                "-o", "APT::Install-Recommends=false", "install", *WANTED)
    names = [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]
    return [n for n in names if not UNWANTED.fullmatch(n)]


def make_tree(tree):
    """Fills the empty folder `tree`. Nothing of it is run: it is unpacked, not installed."""
    names = _packages()
    say(f"fetching {len(names)} Debian packages for nginx, redis and PostgreSQL")
    for directory in ("bin", "sbin", "lib", "lib64"):
        (tree / "usr" / directory).mkdir(parents=True)
        (tree / directory).symlink_to(f"usr/{directory}")
    with tempfile.TemporaryDirectory(dir=tree.parent, prefix="deb.") as fetched:
        _run("apt-get", "-o", "APT::Sandbox::User=root", "download", *names, cwd=fetched)
        say("unpacking them")
        for deb in sorted(Path(fetched).glob("*.deb")):
            _unpack(deb, tree)
    for waste in ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info",
                  "usr/share/lintian", "usr/share/postgresql/15/man", "usr/share/bash-completion",
                  "usr/share/zoneinfo/right", "usr/share/zoneinfo/posix", "var/cache", "var/lib/dpkg"):
        shutil.rmtree(tree / waste, ignore_errors=True)
    _configure(tree)
    _run("chroot", tree, "/sbin/ldconfig")


def _unpack(deb, tree):
    """dpkg-deb -x would replace the links /bin, /lib and so on by folders; tar can be told not to."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as source:
        done = subprocess.run(["tar", "-x", "--keep-directory-symlink", "-C", tree], check=False,
                              stdin=source.stdout, capture_output=True, text=True)
    if done.returncode or source.returncode:
        raise LabError(f"{deb.name} cannot be unpacked: {done.stderr.strip()}")


def _configure(tree):
    """Users, folders and start scripts: what the packages' own scripts would have set up."""
    etc = tree / "etc"
    (etc / "passwd").write_text("".join(f"{n}:x:{u}:{u}::{h}:/bin/sh\n" for n, u, h in USERS))
    (etc / "group").write_text("".join(f"{n}:x:{u}:\n" for n, u, _ in USERS))
    (etc / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
    for name, uid, home in USERS[:-1]:
        place = tree / home.lstrip("/")
        place.mkdir(parents=True, exist_ok=True)
        os.chown(place, uid, uid)
    for directory, mode in (("tmp", 0o1777), ("run", 0o755), ("proc", 0o555), ("sys", 0o555),
                            ("dev", 0o755), ("var/log/nginx", 0o755), ("var/lib/nginx", 0o755)):
        (tree / directory).mkdir(parents=True, exist_ok=True)
        (tree / directory).chmod(mode)
    (etc / "nginx").mkdir(exist_ok=True)
    (etc / "nginx" / "lab.conf").write_text(NGINX_CONF)
    (tree / "var/www/index.txt").write_text("nginx of the lab\n")
    sh = tree / "usr/bin/sh"
    if not sh.exists():  # dash's own script makes this link
        sh.symlink_to("dash")
    self_made = {"iptables": "xtables-nft-multi", "ip6tables": "xtables-nft-multi"}
    for name, target in self_made.items():  # update-alternatives would
        link = tree / "usr/sbin" / name
        if not link.exists():
            link.symlink_to(target)
    for name, script in START.items():
        start = tree / f"start-{name}"
        start.write_text("#!/bin/sh\n" + script)
        start.chmod(0o755)
