"""The flow xtls-rprx-vision over TLS: padded at first, then, with TLS 1.3 inside, copied by the kernel, and billed."""
import hashlib
import random
import re
import socket
import threading
import time

import pytest
from weirtest import SLOW, socks, traffic
from weirtest.lab import EncryptedLab, Lab
from weirtest.listener import Listener
from weirtest.peers import CLIENTS, Outbound, random_credential, singbox_server, start_client, xray_server
from weirtest.proc import free_port, wait_until
from weirtest.traffic import read_all
from weirtest.web import Tap, Web

MIB = 1 << 20
SIZE = 12 * MIB if SLOW == 1 else 2 * MIB
FLOW = "xtls-rprx-vision"
# Xray ends what it has copied with the alert of the outer connection, in the naked stream.
ALERT = {"xray": 24, "sing-box": 0, "weir": 0}

pytestmark = [pytest.mark.quick]


@pytest.fixture(scope="module")
def web(module_procs, cert):
    return Web(module_procs, cert)


@pytest.fixture(scope="module")
def lab(module_procs, cert, web):
    return Lab(module_procs, cert, kinds=("vless-tls", "vless-reality"), settings={"flow": FLOW},
               mirror=web.ports["TLSv1.3"])


@pytest.fixture(scope="module", params=CLIENTS)
def path(request, lab, target):
    user = lab.user()
    user.alert = ALERT[request.param]
    return user, lab.until_served(lab.client("vless-tls", request.param, user), target, user)


def sessions(lab, port):
    """The `spliced` of every session to a port that has ended."""
    return [int(n) for n in re.findall(rf"dest=127\.0\.0\.1:{port} .*spliced=(\d+)", lab.node.proc.text())]


def spliced(lab, port):
    return wait_until("the session to end", lambda: sessions(lab, port))[-1]


@pytest.mark.parametrize("version", ["TLSv1.3", "TLSv1.2"])
def test_a_download_under_inner_tls(lab, path, web, version):
    user, way = path
    tap = Tap(web.ports[version])
    name, digest = web.file(SIZE, 1)
    assert hashlib.sha256(web.curl(way, tap.port, name)).hexdigest() == digest
    moved = spliced(lab, tap.port)
    assert moved > SIZE / 2 if version == "TLSv1.3" else moved == 0
    user.moved((tap.up, tap.down), user.alert)
    user.assert_billed()
    tap.close()


def upload(lab, path, web, version):
    """What was spliced of it."""
    user, way = path
    tap = Tap(web.ports[version])
    name, digest = web.file(SIZE, 2)
    web.curl(way, tap.port, "-T", f"{web.folder}/www/{name}", f"put.{tap.port}")
    assert web.digest(f"put.{tap.port}") == digest
    moved = spliced(lab, tap.port)
    user.moved((tap.up, tap.down), user.alert)
    user.assert_billed()
    tap.close()
    return moved


def test_an_upload_under_inner_tls_1_3(lab, path, web):
    # A client that writes more slowly than it is read has pieces that are not worth splicing.
    assert any(upload(lab, path, web, "TLSv1.3") > SIZE / 4 for _ in range(4))


def test_an_upload_under_inner_tls_1_2(lab, path, web):
    assert upload(lab, path, web, "TLSv1.2") == 0


def test_what_is_no_tls_arrives_whole_and_is_billed(path, target):
    user, way = path
    user.moved(traffic.upload(way, target, MIB, 1))
    user.moved(traffic.download(way, target, MIB, 2))
    user.moved(traffic.short_connections(way, target, 50))
    user.assert_billed()


def test_udp_goes_as_xudp_within_the_flow(path, udp_target):
    user, way = path
    user.moved(traffic.packets(way, udp_target))
    user.assert_billed()


@pytest.mark.parametrize("client", CLIENTS)
def test_the_same_over_reality(lab, web, target, client):
    user = lab.user()
    way = lab.until_served(lab.client("vless-reality", client, user), target, user)
    tap = Tap(web.ports["TLSv1.3"])
    name, digest = web.file(SIZE, 5)
    assert hashlib.sha256(web.curl(way, tap.port, name)).hexdigest() == digest
    assert spliced(lab, tap.port) > SIZE / 2
    web.curl(way, tap.port, "-T", f"{web.folder}/www/{name}", f"put.{tap.port}")
    assert web.digest(f"put.{tap.port}") == digest
    user.moved((tap.up, tap.down), 2 * ALERT[client])
    user.moved(traffic.upload(way, target, MIB, 1))
    user.moved(traffic.short_connections(way, target, 20))
    user.assert_billed()
    tap.close()


@pytest.mark.parametrize("mode", ["native", "random"])
def test_the_same_over_vless_encryption(procs, cert, web, target, mode):
    """What is masked goes through our hands to its end; what is not is the kernel's."""
    lab = EncryptedLab(procs, cert, mode, FLOW)
    for client in ("xray", "weir"):
        user = lab.user()
        way = lab.until_served(lab.client("vless-raw", client, user), target, user)
        tap = Tap(web.ports["TLSv1.3"])
        name, digest = web.file(SIZE, 5)
        assert hashlib.sha256(web.curl(way, tap.port, name)).hexdigest() == digest
        assert spliced(lab, tap.port) > SIZE / 2 if mode == "native" else spliced(lab, tap.port) == 0
        web.curl(way, tap.port, "-T", f"{web.folder}/www/{name}", f"put.{tap.port}")
        assert web.digest(f"put.{tap.port}") == digest
        user.moved((tap.up, tap.down), 2 * ALERT[client])
        user.moved(traffic.upload(way, target, MIB, 1))
        user.assert_billed()
        tap.close()


def test_a_spliced_download_keeps_its_rate_and_the_panel_sees_it_while_it_runs(lab, web, target):
    user = lab.user(speed_limit=40)
    way = lab.until_served(lab.client("vless-tls", "xray", user), target, user)
    tap = Tap(web.ports["TLSv1.3"])
    name, digest = web.file(4 * 5 * MIB, 3)
    got = []
    fetch = threading.Thread(target=lambda: got.append(web.curl(way, tap.port, name)))
    began = time.monotonic()
    fetch.start()
    for share in (4, 2):
        wait_until("the panel to see it", lambda: lab.panel.traffic(user.id)[1] > 20 * MIB / share, 20, 0.05)
        assert fetch.is_alive() and not sessions(lab, tap.port)
    fetch.join()
    # What fills the buffers on the way at the start goes at once; a crowded machine only makes it later.
    assert 4 * 5 * MIB * 8 / 1e6 / (time.monotonic() - began) < 40 * 1.2
    assert hashlib.sha256(got[0]).hexdigest() == digest
    assert spliced(lab, tap.port) > 10 * MIB
    user.moved((tap.up, tap.down), ALERT["xray"])
    user.assert_billed()
    tap.close()


# --- who does not agree ------------------------------------------------------------------------

@pytest.mark.parametrize("client", CLIENTS)
def test_tcp_without_the_flow_is_closed(lab, target, procs, client):
    user = lab.user()
    lab.until_served(lab.client("vless-tls", "weir", user), target, user)
    o = lab.outbound("vless-tls", user.credential)
    o.flow = ""
    connections = target.connections
    with pytest.raises((OSError, EOFError)):
        traffic.echo(start_client(client, procs, o), target, b"without")
    assert target.connections == connections


def test_the_flow_where_it_is_not_configured_is_closed(procs, cert, target):
    plain = Lab(procs, cert, kinds=("vless-tls",))
    user = plain.user()
    plain.until_served(plain.client("vless-tls", "weir", user), target, user)
    for client in CLIENTS:
        o = plain.outbound("vless-tls", user.credential)
        o.flow = FLOW
        connections = target.connections
        with pytest.raises((OSError, EOFError)):
            traffic.echo(start_client(client, procs, o), target, b"with")
        assert target.connections == connections


# --- what is on the wire -----------------------------------------------------------------------

def record(kind, body, version=3):
    return bytes([kind, 3, version]) + len(body).to_bytes(2, "big") + body


HELLO = record(22, b"\1" + bytes(200), 1)
SERVER_HELLO = record(22, b"\2\0\0\x76\3\3" + bytes(32) + b"\x20" + bytes(32) + b"\x13\1\0\0\x2e" +
                      bytes(38) + b"\0\x2b\0\2\3\4" + bytes(2))


def records(n, seed):
    """About n bytes of application data records, of many sizes."""
    r, out = random.Random(seed), b""
    while len(out) < n:
        out += record(23, r.randbytes(r.choice((20, 900, 8000, 16384, 16401))))
    return out


class LikeTls(Listener):
    """A server that looks like TLS 1.3 to whoever only sees the records: answers a hello, takes records until the
    end of the stream, answers with as many; or, for a hello that ends with 1, the other way round; with 2, knows
    how many will come."""

    def __init__(self):
        self.got = []
        super().__init__()

    def serve(self, s):
        with s:
            hello = socks.recv_exactly(s, len(HELLO))
            s.sendall(SERVER_HELLO + record(23, bytes(900)))
            first = hello[-1] == 1
            if first:
                socks.recv_exactly(s, len(record(23, bytes(53))))
                s.sendall(records(MIB, 7))
                s.shutdown(socket.SHUT_WR)
            if hello[-1] == 2:
                data = socks.recv_exactly(s, len(record(23, bytes(53)) + records(MIB, 6)))
                self.got.append((hashlib.sha256(data).hexdigest(), len(data)))
            else:
                self.got.append(read_all(s))
            if not first:
                s.sendall(records(MIB, 7))


@pytest.fixture(scope="module")
def like_tls():
    server = LikeTls()
    yield server
    server.close()


def converse(way, server, ends_first):
    """Through `way`, with half-closes unless nobody `ends_first`; the bytes of the inner stream, (up, down)."""
    hello = HELLO[:-1] + bytes([{"client": 0, "target": 1, "nobody": 2}[ends_first]])
    up = hello + record(23, bytes(53)) + records(MIB, 6)
    down = SERVER_HELLO + record(23, bytes(900)) + records(MIB, 7)
    with way.open(server) as s:
        s.sendall(hello)
        assert socks.recv_exactly(s, len(SERVER_HELLO) + 905) == down[:len(SERVER_HELLO) + 905]
        s.sendall(record(23, bytes(53)))
        rest = down[len(SERVER_HELLO) + 905:]
        if ends_first == "target":
            assert read_all(s) == (hashlib.sha256(rest).hexdigest(), len(rest))
        # Not in one write with what stands before: as a client that has finished and then asks.
        s.sendall(records(MIB, 6))
        if ends_first != "nobody":
            s.shutdown(socket.SHUT_WR)
        if ends_first == "client":
            assert read_all(s) == (hashlib.sha256(rest).hexdigest(), len(rest))
        elif ends_first == "nobody":  # their servers end a naked stream with an alert of the outer TLS
            assert socks.recv_exactly(s, len(rest)) == rest
    sent = up[len(HELLO):] if ends_first != "target" else records(MIB, 6)
    expected = hashlib.sha256(sent).hexdigest(), len(sent)
    wait_until("the target to have it all", lambda: expected in server.got)
    server.got.remove(expected)
    return up, down


def assert_naked(wire, inner):
    """The wire ends with the inner bytes, and these only: no outer record after the switch, and no alert."""
    n = len(inner) - 64 * 1024
    assert bytes(wire[-n:]) == inner[-n:]
    assert len(wire) < len(inner) + 16 * 1024


@pytest.mark.parametrize("ends_first", ["client", "target"])
def test_half_closes_are_carried_and_no_outer_record_follows_the_switch(lab, target, procs, like_tls, ends_first):
    user = lab.user()
    o = lab.outbound("vless-tls", user.credential)
    tap = Tap(o.port, keep=True)
    o.port = tap.port
    way = lab.until_served(start_client("weir", procs, o), target, user)
    tap.kept.clear()
    up, down = converse(way, like_tls, ends_first)
    user.moved((len(up), len(down)))
    user.assert_billed()
    assert spliced(lab, like_tls.port) > MIB
    assert_naked(tap.kept[0][0], up)
    assert_naked(tap.kept[0][1], down)
    tap.close()


# --- our client and the servers of others ------------------------------------------------------

@pytest.fixture(scope="module", params=[xray_server, singbox_server], ids=["xray", "sing-box"])
def foreign(request, module_procs, cert):
    o = Outbound("vless", free_port(), random_credential(), cert, FLOW)
    request.param(module_procs, o)
    tap = Tap(o.port, keep=True)
    o.port = tap.port
    return start_client("weir", module_procs, o), tap


@pytest.mark.parametrize("version", ["TLSv1.3", "TLSv1.2"])
def test_our_client_fetches_and_puts_through_their_servers(foreign, web, version):
    way, tap = foreign
    name, digest = web.file(SIZE, 4)
    port = web.ports[version]
    assert hashlib.sha256(web.curl(way, port, name)).hexdigest() == digest
    web.curl(way, port, "-T", f"{web.folder}/www/{name}", f"put.{tap.port}")
    assert web.digest(f"put.{tap.port}") == digest


def test_our_client_goes_direct_with_their_servers(foreign, like_tls):
    way, tap = foreign
    tap.kept.clear()
    up, _ = converse(way, like_tls, "nobody")
    assert_naked(tap.kept[0][0], up)


def test_our_client_s_short_talk_and_packets_through_their_servers(foreign, target, udp_target):
    way, _ = foreign
    traffic.short_connections(way, target, 20)
    traffic.download(way, target, MIB, 5)
    traffic.upload(way, target, MIB, 5)
    with socks.Udp(way.port) as u:
        u.sendto(b"hello", udp_target.addresses[0])
        assert u.recvfrom()[0] == b"0:hello"


def test_our_client_drops_udp_to_port_443_as_the_flow_asks(lab, target, udp_target, procs):
    """So that a browser takes TCP; the other spelling of the flow lets it pass."""
    def reached(flow):
        user = lab.user()
        o = lab.outbound("vless-tls", user.credential)
        o.flow = flow
        way = lab.until_served(start_client("weir", procs, o), target, user)
        with socks.Udp(way.port) as u:
            u.sendto(b"quic", ("127.0.0.1", 443))
            u.sendto(b"other", udp_target.addresses[0])
            assert u.recvfrom()[0] == b"0:other"
            user.moved((5 + (4 if flow.endswith("udp443") else 0), 7))
            user.assert_billed()

    reached(FLOW)
    reached(FLOW + "-udp443")
