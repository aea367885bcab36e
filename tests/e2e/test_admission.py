"""Who is let in, and where to: source addresses from a PROXY header, devices, connections, private targets."""
import socket
import struct
import uuid

import pytest
from weirtest import SLOW
from weirtest.node import Node, entry
from weirtest.panel import Panel
from weirtest.peers import random_credential
from weirtest.proc import free_port, listens, wait_until
from weirtest.socks import recv_exactly

pytestmark = [pytest.mark.quick]


class Bench:
    """A panel and a VLESS node that believes PROXY headers from loopback."""

    def __init__(self, procs, **options):
        self.panel, self.port = Panel(procs), free_port()
        row = self.panel.add_node("vless", self.port, tls=0)
        self.node = Node(procs, [entry(self.panel.url, row, EnableProxyProtocol=True, **options)], [])

    def user(self, **limits):
        row = self.panel.add_user(uuid=random_credential(), **limits)
        return row["id"], uuid.UUID(row["uuid"]).bytes

    def dial(self, key, target, header=b"PROXY TCP4 198.51.100.7 192.0.2.1 5555 443\r\n"):
        """A conversation with the target; None when the node ends it instead."""
        s = socket.create_connection(("127.0.0.1", self.port), timeout=10 * SLOW)
        request = b"\0" + key + b"\0\1" + struct.pack(">HB", target.port, 1) + socket.inet_aton(target.host)
        try:
            s.sendall(header + request + b"ECHO\nhello")
            assert recv_exactly(s, 7) == b"\0\0hello"
            return s
        except (OSError, EOFError):
            s.close()
            return None

    def until_known(self, key, target):
        return wait_until("the node to know the user", lambda: self.dial(key, target), 15, 0.2)


def from_address(ip):
    return f"PROXY TCP4 {ip} 192.0.2.1 5555 443\r\n".encode()


def v2(ip):
    body = socket.inet_aton(ip) + socket.inet_aton("192.0.2.1") + struct.pack(">HH", 5555, 443)
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack(">H", len(body)) + body


@pytest.fixture
def bench(procs):
    b = Bench(procs)
    wait_until("the node", lambda: b.node.proc.alive() and listens(b.port), 20)
    return b


@pytest.mark.parametrize("header", [from_address("198.51.100.7"), v2("198.51.100.7")], ids=["v1", "v2"])
def test_the_panel_sees_the_address_of_the_proxy_header(bench, target, header):
    uid, key = bench.user(device_limit=5)
    bench.until_known(key, target).close()
    with bench.dial(key, target, header):
        wait_until("the address on the panel",
                   lambda: "198.51.100.7" in str(bench.panel.admin("GET", f"/online/{uid}")), 15, 0.2)


def test_one_device_too_many_is_refused_and_the_first_stays(bench, target):
    _, key = bench.user(device_limit=1)
    first = bench.until_known(key, target)
    assert bench.dial(key, target, from_address("203.0.113.9")) is None
    again = bench.dial(key, target)  # the same device may have more connections
    assert again is not None
    first.sendall(b"still here")
    assert recv_exactly(first, 10) == b"still here"


def test_over_the_connection_limit_the_oldest_goes(bench, target):
    _, key = bench.user(conn_limit=2)
    oldest = bench.until_known(key, target)
    held = [bench.dial(key, target) for _ in range(2)]
    assert all(held)
    try:
        assert oldest.recv(100) == b""
    except ConnectionResetError:
        pass
    for s in held:
        s.sendall(b"still here")
        assert recv_exactly(s, 10) == b"still here"


def test_a_garbled_proxy_header_ends_the_connection(bench, target):
    _, key = bench.user()
    bench.until_known(key, target).close()
    assert bench.dial(key, target, b"PROXY TCP5 nonsense\r\n") is None
    assert bench.dial(key, target, b"") is None


def test_private_targets_are_refused_unless_allowed(procs, target):
    b = Bench(procs, AllowPrivate=False)
    _, key = b.user()
    wait_until("the node", lambda: listens(b.port), 20)
    wait_until("the user", lambda: "1 added" in b.node.proc.tail(), 15, 0.2)
    before = target.received
    assert b.dial(key, target) is None
    assert target.received == before


def test_a_port_that_somebody_has_is_an_error_and_not_shared(procs):
    b = Bench(procs)
    wait_until("the node", lambda: listens(b.port), 20)
    second = b.panel.add_node("trojan", b.port, tls=0)
    other = Node(procs, [entry(b.panel.url, second, Name="second")], [], name="other")
    wait_until("the complaint", lambda: "second: cannot listen" in other.proc.tail(), 15, 0.2)
    assert other.proc.alive()


def test_a_limit_of_the_node_at_the_panel_holds_at_once(procs, target):
    b = Bench(procs)
    wait_until("the node", lambda: listens(b.port), 20)
    _, key = b.user()
    b.until_known(key, target).close()
    row = b.panel.admin("GET", "/nodes")["nodes"][0]
    b.panel.change_node(row["id"], settings={"options": {"LimitConfig": {"DeviceLimit": 1}}})
    last = iter(range(1, 200))  # a device that was let in may come again

    def refused():
        s = b.dial(key, target, from_address(f"203.0.113.{next(last)}"))
        if s:
            s.close()
        return s is None

    with b.dial(key, target):
        wait_until("another device to be refused", refused, 15, 0.5)


def test_a_proxy_header_from_elsewhere_is_not_believed(procs, target):
    """Who is not in TrustedProxies is who he is, and his header is noise."""
    b = Bench(procs, TrustedProxies=["192.0.2.0/24"])
    uid, key = b.user()
    wait_until("the node", lambda: listens(b.port), 20)
    wait_until("the node to know the user", lambda: b.dial(key, target, b""), 15, 0.2)
    assert b.dial(key, target) is None
    with b.dial(key, target, b""):
        wait_until("the address on the panel",
                   lambda: "127.0.0.1" in str(b.panel.admin("GET", f"/online/{uid}")), 15, 0.2)
    assert "198.51.100.7" not in str(b.panel.admin("GET", f"/online/{uid}"))
