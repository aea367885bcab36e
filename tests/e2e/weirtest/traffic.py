"""What a client does with a connection to the hash server; each checks what it gets."""
import hashlib
import random
import socket
import struct
from concurrent.futures import ThreadPoolExecutor

from . import socks
from .proc import wait_until
from .targets import CHUNK, digest, stream


class Way:
    """How to reach a target: through the SOCKS port of a client."""

    def __init__(self, port):
        self.port = port

    def open(self, target, timeout=30):
        return socks.connect(self.port, target.host, target.port, timeout)

    def udp(self):
        return socks.Udp(self.port)


def read_all(s):
    h, n = hashlib.sha256(), 0
    while data := s.recv(CHUNK):
        h.update(data)
        n += len(data)
    return h.hexdigest(), n


def read_line(s):
    got = b""
    while not got.endswith(b"\n"):
        data = s.recv(200)
        if not data:
            raise EOFError(f"closed after {got!r}")
        got += data
    return got.decode()


def upload(way, target, n, seed):
    """Sends n bytes and compares the digest.  (bytes up, bytes down) of the whole conversation."""
    with way.open(target) as s:
        line = f"PUT {n}\n".encode()
        s.sendall(line)
        assert read_line(s) == "go\n"
        h = hashlib.sha256()
        for chunk in stream(n, seed):
            h.update(chunk)
            s.sendall(chunk)
        answer = read_line(s)
    assert answer == f"{h.hexdigest()} {n}\n"
    return len(line) + n, 3 + len(answer)


def download(way, target, n, seed):
    with way.open(target) as s:
        line = f"GET {n} {seed}\n".encode()
        s.sendall(line)
        h, left = hashlib.sha256(), n
        while left:
            data = s.recv(min(left, CHUNK))
            assert data, f"closed {left} bytes early"
            h.update(data)
            left -= len(data)
    assert h.hexdigest() == digest(stream(n, seed))
    return len(line), n


def echo(way, target, data, timeout=30):
    """A short conversation: what goes comes back."""
    with way.open(target, timeout) as s:
        s.sendall(b"ECHO\n" + data)
        assert socks.recv_exactly(s, len(data)) == data
    return 5 + len(data), len(data)


def half_close_up(way, target, n, seed):
    """The client ends its side; the digest of all it sent must still arrive."""
    with way.open(target) as s:
        s.sendall(b"SUM\n")
        h = hashlib.sha256()
        for chunk in stream(n, seed):
            h.update(chunk)
            s.sendall(chunk)
        s.shutdown(socket.SHUT_WR)
        answer = read_line(s)
        assert s.recv(1) == b""
    assert answer == f"{h.hexdigest()} {n}\n"
    return 4 + n, len(answer)


def half_close_by_target(way, target, n):
    """The target ends its side; what the client sends afterwards must still arrive.  The bytes up and down."""
    seed = random.randrange(1 << 40)
    ask = f"TAIL {n} {seed}\n".encode()
    with way.open(target) as s:
        s.sendall(ask)
        assert read_all(s) == (digest(stream(n, seed)), n)
        for chunk in stream(n, seed + 1):
            s.sendall(chunk)
    wait_until("the target to see the end", lambda: target.tails.get(seed) is not None)
    assert target.tails[seed] == (digest(stream(n, seed + 1)), n)
    return len(ask) + n, n


def short_connections(way, target, count, at_once=32):
    """`count` little conversations; the bytes of all."""
    def one(i):
        return echo(way, target, random.Random(i).randbytes(1 + i % 2000))

    with ThreadPoolExecutor(at_once) as pool:
        both = list(pool.map(one, range(count)))
    return sum(u for u, _ in both), sum(d for _, d in both)


def packets(way, udp_target, sizes=(1200,), count=None, full_cone=False):
    """To the target's sockets, or the first `count`, within one association, which all must see as one address; with
    `full_cone` also within another, where the answer comes from an address that was not asked."""
    up = down = 0
    udp_target.forget()
    with way.udp() as u:
        for size in sizes:
            for i, to in enumerate(udp_target.addresses[:count]):
                data = random.Random(size + i).randbytes(size)
                u.sendto(data, to)
                assert u.recvfrom() == (b"%d:%s" % (i, data), to)
                up, down = up + size, down + size + 2
    seen = udp_target.sources[:count]
    assert len(set().union(*seen)) == 1 and all(seen), seen
    if full_cone:
        with way.udp() as u:
            u.sendto(b"VIA 3 x", udp_target.addresses[0])
            assert u.recvfrom() == (b"3:VIA 3 x", udp_target.addresses[3])
        up, down = up + 7, down + 9
    return up, down


def reset(s):
    """Closes with a reset instead of an orderly end."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
