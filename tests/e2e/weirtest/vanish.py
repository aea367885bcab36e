"""Peers that vanish: their sockets take nothing any more, so that neither an acknowledgement nor an end nor a reset
comes back, as from a machine that has lost its network."""
import ctypes
import socket
import struct

from .sockets import sockets

SO_ATTACH_FILTER = 26
RETURN_0 = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))  # BPF: drop


def vanish(sock):
    program = struct.pack("HL", 1, ctypes.addressof(RETURN_0))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def vanish_all(pid, port):
    """Every connection of a process (a child of ours) to that port of this machine; how many."""
    n = 0
    for s in sockets(pid):
        try:
            to = s.getpeername()
        except OSError:  # a listener
            continue
        if isinstance(to, tuple) and to[1] == port:
            vanish(s)
            n += 1
    return n
