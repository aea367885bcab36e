"""Peers that vanish: their sockets take nothing any more, so that neither an acknowledgement nor an end nor a reset
comes back, as from a machine that has lost its network."""
import ctypes
import os
import socket
import struct

SO_ATTACH_FILTER = 26
PIDFD_GETFD = 438
RETURN_0 = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))  # BPF: drop

libc = ctypes.CDLL(None, use_errno=True)


def vanish(sock):
    program = struct.pack("HL", 1, ctypes.addressof(RETURN_0))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def sockets(pid):
    """Descriptors of a process that are sockets."""
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            if os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
                yield int(name)
        except OSError:
            pass


def vanish_all(pid, port):
    """Every connection of a process (a child of ours) to that port of this machine; how many."""
    n, pidfd = 0, os.pidfd_open(pid)
    try:
        for fd in sockets(pid):
            ours = libc.syscall(PIDFD_GETFD, pidfd, fd, 0)
            if ours < 0:
                raise OSError(ctypes.get_errno(), "pidfd_getfd")
            with socket.socket(fileno=ours) as s:
                try:
                    to = s.getpeername()
                except OSError:  # a listener
                    continue
                if isinstance(to, tuple) and to[1] == port:
                    vanish(s)
                    n += 1
    finally:
        os.close(pidfd)
    return n
