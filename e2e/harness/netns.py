"""What runs in another network namespace than its caller: functions, and the sockets that they make."""

import ctypes
import os
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
