"""TLS as a node serves it: both versions carry and are billed, names, versions and protocols as configured, tickets."""
import socket
import ssl
import struct
import uuid

import pytest
from weirtest import SLOW, peers, traffic
from weirtest.fakepanel import FakePanel
from weirtest.node import Node, entry
from weirtest.proc import free_port, wait_until
from weirtest.socks import recv_exactly

pytestmark = [pytest.mark.quick, pytest.mark.one_thread]

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


class Site:
    """A VLESS node over TLS, and a client that speaks both by hand."""

    def __init__(self, procs, cert, **options):
        self.port, self.cert, self.id = free_port(), cert, uuid.uuid4()
        self.panel = FakePanel("vless", self.port, [{"id": 1, "uuid": str(self.id)}], tls=1,
                               tls_settings={"server_name": cert.name, "alpn": ["h2", "http/1.1"]})
        self.up = self.down = 0
        options["CertConfig"] = dict({"CertMode": "file", "CertFile": cert.crt, "KeyFile": cert.key},
                                     **options.pop("more", {}))
        Node(procs, [entry(self.panel.url, self.panel.as_node(), **options)], [self.port])

    def context(self, version, alpn=None):
        c = ssl.create_default_context(cafile=self.cert.crt)
        c.minimum_version = c.maximum_version = version
        c.check_hostname = False
        if alpn:
            c.set_alpn_protocols(alpn)
        return c

    def open(self, context, name=None, session=None):
        tcp = socket.create_connection(("127.0.0.1", self.port), timeout=10 * SLOW)
        try:
            return context.wrap_socket(tcp, server_hostname=name or self.cert.name, session=session)
        except BaseException:
            tcp.close()
            raise

    def talk(self, s, target, data):
        """An echo through the node, and what it has to be billed."""
        request = b"\0" + self.id.bytes + b"\0\1" + struct.pack(">HB", target.port, 1) + socket.inet_aton(target.host)
        s.sendall(request + b"ECHO\n" + data)
        assert recv_exactly(s, len(data) + 2) == b"\0\0" + data
        self.up, self.down = self.up + 5 + len(data), self.down + len(data)


HANDSHAKES = ["libssl", "own"]


@pytest.fixture(scope="module", params=HANDSHAKES)
def site(module_procs, cert, request):
    return Site(module_procs, cert, TlsHandshake=request.param)


@pytest.fixture(scope="module", params=HANDSHAKES)
def strict(module_procs, cert, request):
    return Site(module_procs, cert, TlsMinVersion="1.3", more={"RejectUnknownSni": True}, TlsHandshake=request.param)


@pytest.mark.parametrize("version", [V12, V13])
def test_both_versions_carry_what_they_are_given_and_are_billed(site, target, version):
    for size in (1, 20000, 300000):
        with site.open(site.context(version)) as s:
            assert s.version() == {V12: "TLSv1.2", V13: "TLSv1.3"}[version]
            site.talk(s, target, bytes(range(250)) * (size // 250) + b"x")
    wait_until("the report", lambda: site.panel.traffic(1) == (site.up, site.down), 10)


def test_the_oldest_version_is_the_configured_one(strict, target):
    with pytest.raises((ssl.SSLError, OSError)):
        strict.open(strict.context(V12))
    with strict.open(strict.context(V13)) as s:
        strict.talk(s, target, b"hello")


def test_a_name_of_nobody_is_refused_where_that_is_asked_for(strict):
    with pytest.raises((ssl.SSLError, OSError)):
        strict.open(strict.context(V13), "elsewhere.test")


def test_a_name_of_nobody_is_served_elsewhere(site, target):
    with site.open(site.context(V13), "elsewhere.test") as s:
        site.talk(s, target, b"hello")


@pytest.mark.parametrize("version", [V12, V13])
def test_protocols_are_agreed_in_our_order(site, target, version):
    for asked, agreed in (["http/1.1", "h2"], "h2"), (["http/1.1"], "http/1.1"), (None, None):
        with site.open(site.context(version, asked)) as s:
            assert s.selected_alpn_protocol() == agreed
            site.talk(s, target, b"hello")
    with pytest.raises((ssl.SSLError, OSError)):
        site.open(site.context(version, ["smtp"]))


@pytest.mark.parametrize("version", [V12, V13])
def test_who_comes_back_with_a_ticket_is_resumed(site, target, version):
    context = site.context(version)
    with site.open(context) as s:
        assert not s.session_reused
        site.talk(s, target, b"first")  # in 1.3 the tickets come with what is read
        session = s.session
    with site.open(context, session=session) as s:
        assert s.session_reused
        site.talk(s, target, b"again")


@pytest.mark.parametrize("count", [0, 3])
@pytest.mark.parametrize("handshake", HANDSHAKES)
def test_there_are_as_many_tickets_as_configured(procs, cert, target, handshake, count):
    site = Site(procs, cert, TlsTickets=count, TlsHandshake=handshake)
    for version, most in (V13, count), (V12, min(count, 1)):  # TLS 1.2 has room for one
        context, tickets = site.context(version), []
        context._msg_callback = lambda conn, direction, v, kind, message, data, to=tickets: to.append(
            message) if direction == "read" and message == 4 else None
        with site.open(context) as s:
            site.talk(s, target, b"first")
            session = s.session
        assert len(tickets) == most
        with site.open(context, session=session) as s:
            assert s.session_reused == (count > 0)
            site.talk(s, target, b"again")


@pytest.fixture(scope="module")
def own(module_procs, cert):
    return Site(module_procs, cert, TlsHandshake="own")


@pytest.mark.parametrize("client,fingerprint", [("xray", "chrome"), ("sing-box", ""), ("sing-box", "safari")])
def test_who_looks_like_a_browser_is_served_by_our_own_handshake(procs, own, target, client, fingerprint):
    """With GREASE, X25519MLKEM768, which OpenSSL 3.0 passes over as we do, and what else browsers say."""
    way = peers.start_client(client, procs, peers.Outbound("vless", own.port, str(own.id), own.cert,
                                                           fingerprint=fingerprint))
    for seed in range(3):
        up, down = traffic.upload(way, target, 50000, seed)
        own.up, own.down = own.up + up, own.down + down
    wait_until("the report", lambda: own.panel.traffic(1) == (own.up, own.down), 10)
