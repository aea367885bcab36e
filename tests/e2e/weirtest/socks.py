"""A small SOCKS5 client (RFC 1928) without authentication: TCP, and UDP with ASSOCIATE."""
import ipaddress
import socket
import struct

from . import SLOW


def pack_address(host, port):
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode()
        return b"\x03" + bytes([len(name)]) + name + struct.pack(">H", port)
    return (b"\x01" if ip.version == 4 else b"\x04") + ip.packed + struct.pack(">H", port)


def unpack_address(data, at):
    """(host, port), where it ends."""
    kind = data[at]
    at += 1
    if kind == 1:
        host, at = str(ipaddress.ip_address(data[at:at + 4])), at + 4
    elif kind == 4:
        host, at = str(ipaddress.ip_address(data[at:at + 16])), at + 16
    else:
        n = data[at]
        host, at = data[at + 1:at + 1 + n].decode(), at + 1 + n
    return (host, struct.unpack(">H", data[at:at + 2])[0]), at + 2


def recv_exactly(s, n):
    got = b""
    while len(got) < n:
        data = s.recv(n - len(got))
        if not data:
            raise EOFError(f"closed after {len(got)} of {n} bytes")
        got += data
    return got


def _request(s, command, host, port):
    s.sendall(b"\x05\x01\x00")
    if recv_exactly(s, 2) != b"\x05\x00":
        raise OSError("the proxy wants authentication")
    s.sendall(b"\x05" + bytes([command]) + b"\x00" + pack_address(host, port))
    head = recv_exactly(s, 4)
    rest = {1: 6, 4: 18}.get(head[3])
    tail = recv_exactly(s, rest) if rest else (lambda n: n + recv_exactly(s, n[0] + 2))(recv_exactly(s, 1))
    if head[1] != 0:
        raise ConnectionRefusedError(f"the proxy answers {head[1]}")
    return unpack_address(head[3:] + tail, 0)[0]


def connect(proxy_port, host, port, timeout=30):
    """A TCP connection to host:port through the proxy on 127.0.0.1."""
    s = socket.create_connection(("127.0.0.1", proxy_port), timeout=timeout * SLOW)
    try:
        _request(s, 1, host, port)
    except BaseException:
        s.close()
        raise
    return s


class Udp:
    """One UDP association."""

    def __init__(self, proxy_port, timeout=5):
        self.control = socket.create_connection(("127.0.0.1", proxy_port), timeout=timeout * SLOW)
        host, port = _request(self.control, 3, "0.0.0.0", 0)
        self.relay = ("127.0.0.1" if host in ("0.0.0.0", "::") else host, port)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.sock.settimeout(timeout * SLOW)

    def sendto(self, data, to):
        self.sock.sendto(b"\x00\x00\x00" + pack_address(*to) + data, self.relay)

    def recvfrom(self):
        """(data, (host, port) of whoever sent it)."""
        packet = self.sock.recv(65536)
        source, at = unpack_address(packet, 3)
        return packet[at:], source

    def close(self):
        self.sock.close()
        self.control.close()

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.close()
