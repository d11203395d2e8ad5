"""Network namespaces: what runs in another one than its caller's, functions and the sockets that they make, and new ones."""

import ctypes
import os
import subprocess
import threading

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def inside(path, function, *args):
    """Calls the function in the network namespace at `path` (None: in ours) and returns what it returned.

    Sockets and processes that it makes belong to that namespace and stay there. It runs in a thread of its own, which ends with it.
    """
    if path is None:
        return function(*args)
    done = {}

    def enter():
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                if _libc.setns(fd, _CLONE_NEWNET) < 0:
                    raise OSError(ctypes.get_errno(), f"enter {path}")
            finally:
                os.close(fd)
            done["value"] = function(*args)
        except BaseException as error:  # handed to the caller, whatever it is
            done["error"] = error

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if "error" in done:
        raise done["error"]
    return done["value"]


def make():
    """A new namespace with nothing but its loopback: a descriptor, with which it lives and ends."""
    def unshare():
        if _libc.unshare(_CLONE_NEWNET) < 0:
            raise OSError(ctypes.get_errno(), "make a network namespace")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True, capture_output=True)
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    return inside("/proc/self/ns/net", unshare)


def path_of(descriptor):
    """A path of the namespace, for other processes too, as long as the descriptor is open."""
    return f"/proc/{os.getpid()}/fd/{descriptor}"
