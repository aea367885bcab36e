"""A network of the benchmark's own: loopback that behaves as a wire does, whatever the machine is set to.

A host's bbr paces what it sends with timers, on loopback too, which costs every server some 0.2 s/GB and hides
what they differ in.  And loopback's segments of 64 KiB are as large as a first receive window: what the receiver's kernel
then makes of them (no growth of the window, zero windows, acknowledgements 40 ms late) decides a figure
more than the server does.  Segments of Ethernet's size travel by 64 KiB as well, unsplit, and do not know that.
"""
import ctypes
import fcntl
import os
import socket
import struct

CLONE_NEWNET, CLONE_NEWUSER = 0x40000000, 0x10000000
SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCSIFMTU, IFF_UP = 0x8913, 0x8914, 0x8922, 1
MTU = 1500
CONTROL = "/proc/sys/net/ipv4/tcp_congestion_control"


def _write(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


def _unshare():
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWNET) == 0:
        return
    if libc.unshare(CLONE_NEWNET | CLONE_NEWUSER) < 0:
        raise OSError(ctypes.get_errno(), "no network namespace")
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"0 {uid} 1")
    _write("/proc/self/gid_map", f"0 {gid} 1")


def _loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        request = struct.pack("16sh14x", b"lo", 0)
        _, flags = struct.unpack("16sh14x", fcntl.ioctl(s, SIOCGIFFLAGS, request))
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))
        fcntl.ioctl(s, SIOCSIFMTU, struct.pack("16si12x", b"lo", MTU))


def current():
    with open(CONTROL, encoding="ascii") as f:
        return f.read().strip()


def enter(wanted=("cubic", "reno")):
    """To be called before any thread is started.  One line of what came of it."""
    try:
        _unshare()
        _loopback_up()
    except OSError as e:
        return f"network: the machine's own loopback ({e}), {current()}; figures of other machines are no match"
    for name in wanted:
        try:
            _write(CONTROL, name)
            break
        except OSError:
            continue
    return f"network: a namespace of its own, {current()}, segments for an MTU of {MTU}"
