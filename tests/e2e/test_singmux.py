"""sing-box's multiplex inside each protocol: bytes arrive whole, and the panel bills what the streams carried."""

import pytest
from weirtest import SLOW, traffic
from weirtest.lab import Lab
from weirtest.peers import start_client
from weirtest.proc import wait_until
from weirtest.shadowsocks import SsLab

MIB = 1 << 20
SIZE = 2 * MIB if SLOW == 1 else MIB
METHOD = "2022-blake3-aes-128-gcm"

# Each session protocol with and without padding; each protocol below at least once.
PATHS = (("vless-raw", "smux", False), ("vless-tls", "h2mux", True), ("vmess-raw", "yamux", True),
         ("trojan-tls", "h2mux", False), ("trojan-tls", "smux", True), (METHOD, "yamux", False))


@pytest.fixture(scope="module")
def lab(module_procs, cert):
    lab = Lab(module_procs, cert, ("vless-raw", "vless-tls", "vmess-raw", "trojan-tls"))
    lab.waiting = [lab.user() for _ in range(8)]  # whom the node knows when a test comes to him
    return lab


@pytest.fixture(scope="module")
def sslab(module_procs):
    lab = SsLab(module_procs, [METHOD])
    lab.waiting = [lab.user()]
    return lab


def client(lab, procs, kind, user, protocol, padding, **more):
    """All streams in one connection."""
    o = lab.outbound(kind, user.credential)
    o.multiplex = {"enabled": True, "protocol": protocol, "max_connections": 1, "padding": padding, **more}
    return start_client("sing-box", procs, o)


@pytest.mark.parametrize("kind, protocol, padding", [
    pytest.param(*p, id=f"{p[0]}-{p[1]}{'-padded' if p[2] else ''}", marks=[pytest.mark.quick] if i < 3 else [])
    for i, p in enumerate(PATHS)])
def test_streams_arrive_whole_and_are_billed(request, target, udp_target, procs, kind, protocol, padding):
    lab = request.getfixturevalue("sslab" if kind == METHOD else "lab")
    user = lab.waiting.pop()
    way = lab.until_served(client(lab, procs, kind, user, protocol, padding), target, user)
    for moved in (traffic.upload(way, target, SIZE, 1), traffic.download(way, target, SIZE, 2),
                  traffic.short_connections(way, target, 100, 50), traffic.packets(way, udp_target, (1, 100, 1380))):
        user.moved(moved)
    user.assert_billed()


def test_one_slow_stream_does_not_hold_up_the_others(lab, target, procs):
    """Of h2mux and yamux, which have windows."""
    user = lab.waiting.pop()
    way = lab.until_served(client(lab, procs, "vless-raw", user, "yamux", False), target, user)
    with way.open(target) as slow:
        slow.sendall(f"GET {64 * MIB} 3\n".encode())  # and nobody reads
        assert slow.recv(1)
        assert traffic.short_connections(way, target, 20, 5)
        assert traffic.download(way, target, MIB, 4)[1] == MIB


def test_tcp_brutal_is_declined_in_words(lab, target, procs):
    user = lab.waiting.pop()
    way = client(lab, procs, "vless-raw", user, "smux", False,
                 brutal={"enabled": True, "up_mbps": 100, "down_mbps": 100})

    def told():
        with pytest.raises((OSError, EOFError)):
            traffic.echo(way, target, b"x", 3)
        return "TCP Brutal is not offered here" in way.process.text()

    wait_until("the client to say why", told, 20, 0.2)


@pytest.fixture(scope="module")
def strict(module_procs, cert):
    lab = Lab(module_procs, cert, ("vless-raw",), MultiplexConfig={"Padding": True})
    lab.waiting = [lab.user(), lab.user()]
    return lab


def test_padding_can_be_required(strict, target, procs):
    padded, plain = strict.waiting
    strict.until_served(client(strict, procs, "vless-raw", padded, "h2mux", True), target, padded)
    way = client(strict, procs, "vless-raw", plain, "h2mux", False)
    with pytest.raises((OSError, EOFError)):
        traffic.echo(way, target, b"x", 5)
