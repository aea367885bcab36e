"""What somebody sees who sends a TLS server's port this or that: records, and how it ends."""
import contextlib
import os
import socket
import struct
import threading
import time

from . import SLOW
from .listener import Listener


def hello(name="weir.test", versions=(0x0304, 0x0303), shares=None, groups=(29, 23, 24), alpn=(b"h2", b"http/1.1")):
    """A ClientHello record made by hand."""
    def ext(kind, body):
        return struct.pack(">HH", kind, len(body)) + body

    def list16(body):
        return struct.pack(">H", len(body)) + body

    if shares is None:
        shares = [(29, os.urandom(31) + b"\x11")]
    out = b""
    if name:
        out += ext(0, list16(b"\0" + list16(name.encode())))
    out += ext(10, list16(b"".join(struct.pack(">H", g) for g in groups)))
    out += ext(11, b"\1\0")
    out += ext(13, list16(struct.pack(">8H", 0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601)))
    if alpn:
        out += ext(16, list16(b"".join(bytes([len(a)]) + a for a in alpn)))
    if 0x0304 in versions:
        out += ext(43, bytes([2 * len(versions)]) + b"".join(struct.pack(">H", v) for v in versions))
        out += ext(45, b"\1\1")
        out += ext(51, list16(b"".join(struct.pack(">HH", g, len(k)) + k for g, k in shares)))
    body = b"\3\3" + os.urandom(32) + b"\x20" + os.urandom(32)
    body += list16(struct.pack(">7H", 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030)) + b"\1\0"
    body += list16(out)
    return b"\x16\3\1" + struct.pack(">H", len(body) + 4) + b"\1" + struct.pack(">I", len(body))[1:] + body


def records(data):
    """(type, length on the wire) of each, and what is no record."""
    out = []
    while len(data) >= 5 and data[0] in (20, 21, 22, 23) and data[1] == 3:
        n = 5 + struct.unpack(">H", data[3:5])[0]
        out.append((data[0], n))
        data = data[n:]
    return out, data


def shares(data):
    """The groups of the key shares in a hello: a client's offer, or what a server has chosen; `data` begins with its
    record."""
    at = 5 + 4 + 2 + 32
    client, length = data[5] == 1, data[3] << 8 | data[4]
    assert data[0] == 22 and data[5] in (1, 2) and len(data) >= 5 + length
    at += 1 + data[at]
    at += 2 + int.from_bytes(data[at:at + 2], "big") + 1 + 1 if client else 3
    end = at + 2 + int.from_bytes(data[at:at + 2], "big")
    at += 2
    while at < end:
        kind, n = struct.unpack(">HH", data[at:at + 4])
        body, at = data[at + 4:at + 4 + n], at + 4 + n
        if kind != 51:
            continue
        if not client:
            return [struct.unpack(">H", body[:2])[0]]
        body, groups = body[2:], []
        while body:
            group, n = struct.unpack(">HH", body[:4])
            groups, body = groups + [group], body[4 + n:]
        return groups
    return []


def look(port, parts, half_close=False, seconds=1.5):
    """Sends the parts, 10 ms apart; (bytes that came, "fin", "reset" or "open", after how long)."""
    got, started = b"", time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=10 * SLOW) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for part in parts:
                if isinstance(part, float):
                    time.sleep(part)
                else:
                    s.sendall(part)
            if half_close:
                with contextlib.suppress(OSError):  # it may have been reset; reading tells
                    s.shutdown(socket.SHUT_WR)
            s.settimeout(seconds * SLOW)
            while data := s.recv(65536):
                got += data
            end = "fin"
        except socket.timeout:
            end = "open"
        except (ConnectionResetError, BrokenPipeError):
            end = "reset"
    return got, end, time.monotonic() - started


class Tap(Listener):
    """A port in front of another; what passes is kept, by connection: `said[i]` by the client, `heard[i]` by him."""

    def __init__(self, port, source="127.0.0.1"):
        self.to, self.source, self.said, self.heard = port, source, [], []
        self._lock = threading.Lock()
        super().__init__()

    def serve(self, s):
        b = socket.create_connection(("127.0.0.1", self.to), source_address=(self.source, 0))
        with self._lock:
            i = len(self.said)
            self.said.append(b"")
            self.heard.append(b"")
        threading.Thread(target=self._pump, args=(b, s, self.heard, i), daemon=True).start()
        self._pump(s, b, self.said, i)

    @staticmethod
    def _pump(a, b, kept, i):
        try:
            while data := a.recv(65536):
                kept[i] += data
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            a.close()
            b.close()
