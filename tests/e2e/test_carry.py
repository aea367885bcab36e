"""Every protocol, raw and under TLS, with every client: bytes arrive whole, and the panel bills exactly them."""
import os
import random
import socket

import pytest
from weirtest import SLOW, socks, traffic
from weirtest.lab import KINDS, Lab
from weirtest.peers import CLIENTS, link, peer, random_credential, singbox_outbound, start_client, write
from weirtest.proc import free_port, wait_until

MIB = 1 << 20
SIZE = 16 * MIB if SLOW == 1 else 2 * MIB
SHORT = 1000 if SLOW == 1 else 100

pytestmark = [pytest.mark.quick]


@pytest.fixture(scope="module")
def lab(module_procs, cert):
    return Lab(module_procs, cert)


def connect(lab, target, kind, client):
    """A user of his own, and the way of a client that connects as him."""
    user = lab.user()
    return user, lab.until_served(lab.client(kind, client, user), target, user)


@pytest.fixture(scope="module", params=[f"{k}-{c}" for k in KINDS for c in CLIENTS])
def path(request, lab, target):
    protocol, security, client = request.param.split("-", 2)
    return connect(lab, target, f"{protocol}-{security}", client)


@pytest.fixture(scope="module", params=KINDS)
def own_path(request, lab, target):
    """Half-closes are our own client's: Xray and sing-box end both directions soon after the first."""
    return connect(lab, target, request.param, "weir")


def test_upload_arrives_whole_and_is_billed(path, target):
    user, way = path
    user.moved(traffic.upload(way, target, SIZE, 1))
    user.assert_billed()


def test_download_arrives_whole_and_is_billed(path, target):
    user, way = path
    user.moved(traffic.download(way, target, SIZE, 2))
    user.assert_billed()


def test_a_thousand_short_connections(path, target):
    user, way = path
    user.moved(traffic.short_connections(way, target, SHORT))
    user.assert_billed()


def test_half_close_by_the_client_still_brings_the_answer(own_path, target):
    user, way = own_path
    user.moved(traffic.half_close_up(way, target, MIB + 1, 3))
    user.assert_billed()


def test_half_close_by_the_target_still_takes_the_rest(own_path, target):
    user, way = own_path
    user.moved(traffic.half_close_by_target(way, target, MIB + 1))
    user.assert_billed()


def test_udp_with_several_peers_and_one_that_was_never_asked(path, udp_target):
    """Full cone: one association, four peers, and an answer from an address never sent to."""
    user, way = path
    user.moved(traffic.packets(way, udp_target, (1, 100, 1200, 1400), full_cone=True))
    user.assert_billed()


@pytest.mark.parametrize("kind", ["vless-raw", "vless-tls"])
def test_udp_by_the_plain_command_of_vless(lab, target, udp_target, kind):
    """Command 2, a stream for each destination: sing-box without packet encoding, and our forwards."""
    user = lab.user()
    lab.until_served(lab.client(kind, "weir", user), target, user)
    o, port, forward, own_port = lab.outbound(kind, user.credential), free_port(), free_port(), free_port()
    config = write(lab.procs, "sing-box-plain", {
        "log": {"level": "warn"}, "inbounds": [{"type": "socks", "listen": "127.0.0.1", "listen_port": port}],
        "outbounds": [dict(singbox_outbound(o), packet_encoding="")]})
    lab.procs.start("sing-box-plain", [peer("sing-box"), "run", "-c", config]).wait_listening(port)
    to = udp_target.addresses[1]
    plain = lab.procs.start("connect-plain", [
        os.environ["WEIR_BIN"], "connect", "--plain-udp", link(o), "-l", f"127.0.0.1:{own_port}",
        "--udp", f"127.0.0.1:{forward}={to[0]}:{to[1]}", *(["--pin", o.cert.sha256] if o.cert else [])])
    with socks.Udp(port) as u, socks.Udp(port) as v, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.settimeout(0.5)
        own.connect(("127.0.0.1", forward))
        wait_until("the forward to be there", lambda: first_answer(own))
        user.moved((1, 3))
        for size in (2, 100, 1400):
            data = random.Random(size).randbytes(size)
            own.send(data)
            assert own.recv(2000) == b"1:" + data
            user.moved((size, size + 2))
            for i, one in (0, u), (2, v):
                one.sendto(data, udp_target.addresses[i])
                assert one.recvfrom() == (b"%d:%s" % (i, data), udp_target.addresses[i])
                user.moved((size, size + 2))
    # A SOCKS association names no destination beforehand: said, not swallowed.
    with socks.Udp(own_port):
        wait_until("the client to say so", lambda: "one destination, which --udp names" in plain.text())
    user.assert_billed()


def first_answer(s):
    try:
        s.send(b"x")
        return s.recv(2000) == b"1:x"
    except OSError:
        return False


def test_a_stranger_gets_nothing(cert, target, procs):
    lab = Lab(procs, cert, HandshakeTimeout=1)
    for kind in KINDS:
        way = start_client("xray", procs, lab.outbound(kind, random_credential()))
        connections = target.connections
        with pytest.raises((OSError, EOFError)):
            traffic.echo(way, target, b"let me in")
        assert target.connections == connections
