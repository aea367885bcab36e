"""Whoever does not speak the protocol meets a web server: chosen by name, protocol and path."""
import ipaddress
import re
import socket
import ssl
import struct
import time

import pytest
from weirtest.certs import Cert
from weirtest.fakepanel import FakePanel
from weirtest.listener import Listener
from weirtest.node import Node, entry
from weirtest.peers import random_credential
from weirtest.proc import free_port

pytestmark = [pytest.mark.quick]

V2_SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")


class Backend(Listener):
    """Reads a PROXY header of the given version, then all of a request's head; answers with its own name."""

    def __init__(self, name, proxy=0):
        self.name, self.proxy = name, proxy
        self.heads, self.sources = [], []
        super().__init__()

    def _source(self, f):
        """(client, its port, node, its port) of the PROXY header."""
        if self.proxy == 1:
            line = f.readline().decode()
            m = re.fullmatch(r"PROXY TCP4 (\S+) (\S+) (\d+) (\d+)\r\n", line)
            return (m[1], int(m[3]), m[2], int(m[4])) if m else line
        head = f.read(16)
        rest = f.read(struct.unpack(">H", head[14:16])[0])
        if head[:14] != V2_SIGNATURE + b"\x21\x11":
            return head
        a, b, p, q = struct.unpack(">4s4sHH", rest[:12])
        return str(ipaddress.ip_address(a)), p, str(ipaddress.ip_address(b)), q

    def serve(self, s):
        with s, s.makefile("rb") as f:
            if self.proxy:
                self.sources.append(self._source(f))
            head = b""
            while True:
                line = f.readline()
                head += line
                if line in (b"\r\n", b"\n", b""):
                    break
            self.heads.append(head)
            body = self.name.encode()
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))


def ask(port, name, path="/", alpn=None, raw=None):
    """(backend that answered, our address) over TLS without looking at the certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(alpn)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as tcp:
        ours = tcp.getsockname()
        with context.wrap_socket(tcp, server_hostname=name) as s:
            s.sendall(raw or f"GET {path} HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
            got = b""
            while data := s.recv(4096):
                got += data
    return got.rsplit(b"\r\n\r\n", 1)[-1].decode(), ours


@pytest.fixture(scope="module", params=["vless", "trojan"])
def served(request, module_procs, tmp_path_factory):
    cert = Cert(str(tmp_path_factory.mktemp("names")), "weir.test", "a.weir.test", "b.weir.test")
    port = free_port()
    backends = {n: Backend(n, v) for n, v in
                [("default", 0), ("name-a", 1), ("name-b", 2), ("h2", 2), ("path", 1)]}
    rules = [
        {"Dest": backends["default"].port},
        {"SNI": "a.weir.test", "Dest": str(backends["name-a"].port), "ProxyProtocolVer": 1},
        {"SNI": "b.weir.test", "Dest": f"127.0.0.1:{backends['name-b'].port}", "ProxyProtocolVer": 2},
        {"Alpn": "h2", "Dest": f"127.0.0.1:{backends['h2'].port}", "ProxyProtocolVer": 2},
        {"Path": "/special", "Dest": f"127.0.0.1:{backends['path'].port}", "ProxyProtocolVer": 1},
    ]
    panel = FakePanel(request.param, port, [{"id": 1, "uuid": random_credential()}], tls=1,
                      tls_settings={"server_name": "weir.test", "alpn": ["h2", "http/1.1"]})
    node = entry(panel.url, panel.as_node(), cert, EnableFallback=True, FallBackConfigs=rules)
    Node(module_procs, [node], [port], name=f"node-{request.param}")
    return port, backends


@pytest.mark.parametrize("name, path, alpn, expected", [
    ("weir.test", "/", None, "default"),
    ("a.weir.test", "/", None, "name-a"),
    ("b.weir.test", "/", None, "name-b"),
    ("weir.test", "/", ["h2"], "h2"),
    ("weir.test", "/", ["http/1.1"], "default"),
    ("weir.test", "/special", None, "path"),
    ("weir.test", "/special?x=1", None, "path"),
    ("weir.test", "/specially", None, "default"),
])
def test_the_right_server_answers(served, name, path, alpn, expected):
    port, _ = served
    assert ask(port, name, path, alpn)[0] == expected


@pytest.mark.parametrize("name, backend", [("a.weir.test", "name-a"), ("b.weir.test", "name-b")])
def test_the_proxy_header_tells_the_real_client(served, name, backend):
    port, backends = served
    _, ours = ask(port, name)
    assert backends[backend].sources[-1] == (ours[0], ours[1], "127.0.0.1", port)


def test_the_server_behind_sees_the_request_unchanged(served):
    port, backends = served
    raw = b"GET /" + b"x" * 3000 + b" HTTP/1.1\r\nHost: weir.test\r\nX-Odd: \x01\xff\r\n\r\n"
    ask(port, "weir.test", raw=raw)
    assert backends["default"].heads[-1] == raw


def test_a_few_bytes_are_enough_to_be_passed_on(served):
    """A probe shorter than any header must not hang: that would tell what listens here."""
    port, _ = served
    assert ask(port, "weir.test", raw=b"X\r\n\r\n")[0] == "default"


def test_a_credential_of_nobody_is_passed_on_too(served):
    port, _ = served
    stranger = b"a" * 56 + b"\r\n\x01\x01\x7f\x00\x00\x01\x00\x50\r\n" + b"\r\n\r\n"
    assert ask(port, "weir.test", raw=stranger)[0] == "default"


def test_who_says_nothing_over_tls_meets_the_web_server_s_patience(served):
    """Not our deadline (2 s): afterwards the web server is there, and takes its time."""
    port, backends = served
    before = len(backends["default"].heads)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=20) as tcp, \
            context.wrap_socket(tcp, server_hostname="weir.test") as s:
        s.settimeout(5)
        with pytest.raises(TimeoutError):
            s.recv(1)
        s.settimeout(20)
        s.sendall(b"GET / HTTP/1.1\r\nHost: weir.test\r\n\r\n")
        got = b""
        while data := s.recv(4096):
            got += data
    assert got.endswith(b"\r\n\r\ndefault")
    assert len(backends["default"].heads) == before + 1


def test_half_a_tls_handshake_ends_at_our_deadline(served):
    port, _ = served
    with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
        begun = time.monotonic()
        s.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        while s.recv(4096):
            pass
        assert time.monotonic() - begun > 1.5
