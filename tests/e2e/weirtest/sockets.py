"""The sockets of another process: copies, to be looked at and changed."""
import ctypes
import os
import socket

PIDFD_GETFD = 438
TCP_FASTOPEN = 23

libc = ctypes.CDLL(None, use_errno=True)


def _descriptors(pid):
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            if os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
                yield int(name)
        except OSError:
            pass


def sockets(pid):
    """Each socket of a process (a child of ours) in turn."""
    pidfd = os.pidfd_open(pid)
    try:
        for fd in _descriptors(pid):
            ours = libc.syscall(PIDFD_GETFD, pidfd, fd, 0)
            if ours < 0:
                raise OSError(ctypes.get_errno(), "pidfd_getfd")
            with socket.socket(fileno=ours) as s:
                yield s
    finally:
        os.close(pidfd)


def fast_open(pid, port):
    """Of each listener of a process on that port: how many connections may wait that brought data along."""
    found = []
    for s in sockets(pid):
        if s.family in (socket.AF_INET, socket.AF_INET6) and s.getsockname()[1] == port and \
                s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            found.append(s.getsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN))
    return found
