"""VMess: every cipher and option with every client.  Bytes arrive whole and the panel bills exactly them."""
import os
import socket

import pytest
from weirtest import SLOW, traffic
from weirtest.lab import Lab
from weirtest.peers import CLIENTS, Outbound, link, random_credential, singbox_server, start_client, xray_server
from weirtest.proc import free_port

MIB = 1 << 20
SIZE = 2 * MIB if SLOW == 1 else MIB
CIPHERS = ("aes-128-gcm", "chacha20-poly1305", "none", "zero")

# cipher, are lengths sealed (and with sing-box chunks padded), is UDP one destination's
WAYS = [(c, False, True) for c in CIPHERS] + [("aes-128-gcm", True, False), ("chacha20-poly1305", True, True)]
NAMES = [f"{c}{'-sealed' if s else ''}{'' if cone else '-plain'}" for c, s, cone in WAYS]
# What a sanitizer learns something new from.
QUICK = {("aes-128-gcm-sealed-plain", "sing-box"), ("chacha20-poly1305-sealed", "weir"), ("none", "xray"),
         ("zero", "weir")}


@pytest.fixture(scope="module")
def lab(module_procs, cert):
    lab = Lab(module_procs, cert, ("vmess-raw", "vmess-tls"))
    lab.waiting = [lab.user() for _ in range(30)]  # whom the node knows when a test comes to him
    return lab


def start(client, procs, o, udp_target):
    if client != "weir" or o.cone:
        return start_client(client, procs, o)
    way = traffic.Way(free_port())
    forward = free_port()
    way.udp = lambda: Forward(forward)
    to = "%s:%d" % udp_target.addresses[0]
    pin = ["--pin", o.cert.sha256] if o.cert else []
    procs.start("connect", [os.environ["WEIR_BIN"], "connect", link(o), "--listen", f"127.0.0.1:{way.port}", "--plain-udp",
                            "--udp", f"127.0.0.1:{forward}={to}", *pin]).wait_listening(way.port)
    return way


def outbound(lab, kind, user, way):
    o = lab.outbound(kind, user.credential)
    o.method, o.sealed_length, o.cone = way
    return o


class Forward:
    """Our client's plain command has one destination, which --udp names: datagrams to a port of its own."""

    def __init__(self, port):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.settimeout(5 * SLOW)
        self.sock.connect(("127.0.0.1", port))

    def sendto(self, data, to):
        self.to = to
        self.sock.send(data)

    def recvfrom(self):
        return self.sock.recv(65536), self.to

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.sock.close()


def carry(way, target, udp_target, cone):
    """Everything once: (bytes up, bytes down)."""
    moved = [traffic.upload(way, target, SIZE, 1), traffic.download(way, target, SIZE, 2),
             # sing-box waits 300 ms for its own TLS handshake and first write: few at once
             traffic.short_connections(way, target, 30, 6), traffic.packets(way, udp_target, (1, 100, 1380), None if cone else 1, cone)]
    return tuple(map(sum, zip(*moved)))


@pytest.mark.parametrize("way, client", [
    pytest.param(w, c, id=f"{n}-{c}", marks=[pytest.mark.quick] if (n, c) in QUICK else [])
    for w, n in zip(WAYS, NAMES) for c in CLIENTS])
def test_bytes_arrive_whole_and_are_billed(lab, target, udp_target, procs, way, client):
    user = lab.waiting.pop()
    path = lab.until_served(start(client, procs, outbound(lab, "vmess-raw", user, way), udp_target), target, user)
    user.moved(carry(path, target, udp_target, way[2]))
    user.assert_billed()


@pytest.mark.quick
@pytest.mark.parametrize("client", CLIENTS)
def test_over_tls(lab, target, udp_target, procs, client):
    user = lab.waiting.pop()
    way = ("", False, True)
    path = lab.until_served(start_client(client, procs, outbound(lab, "vmess-tls", user, way)), target, user)
    user.moved(carry(path, target, udp_target, True))
    user.assert_billed()


@pytest.mark.parametrize("cipher", ("aes-128-gcm", "none", "zero"))
def test_half_closes_are_carried(lab, target, procs, cipher):
    """Our own client's: Xray and sing-box end both directions soon after the first."""
    user = lab.waiting.pop()
    way = lab.until_served(start_client("weir", procs, outbound(lab, "vmess-raw", user, (cipher, False, True))), target,
                           user)
    user.moved(traffic.half_close_up(way, target, MIB + 1, 3))
    user.moved(traffic.half_close_by_target(way, target, MIB + 1))
    user.assert_billed()


@pytest.mark.parametrize("server", (xray_server, singbox_server), ids=("xray", "sing-box"))
@pytest.mark.parametrize("way", [*WAYS, ("auto", False, False)], ids=[*NAMES, "auto-plain"])
def test_our_client_with_the_servers_of_others(server, way, procs, cert, target, udp_target):
    method, sealed, cone = way
    o = Outbound("vmess", free_port(), random_credential(), cert if method == "auto" else None, method=method,
                 sealed_length=sealed, cone=cone)
    server(procs, o)
    carry(start("weir", procs, o, udp_target), target, udp_target, cone)


def test_users_of_a_crowd_are_told_apart(lab, target):
    """Ten of three hundred, at once, from one address: each is billed for what he moved."""
    users = [lab.user() for _ in range(300 if SLOW == 1 else 50)]
    some = users[::len(users) // 10][:10]
    ways = [lab.client("vmess-raw", CLIENTS[i % 3], u) for i, u in enumerate(some)]
    for user, way in zip(some, ways):
        lab.until_served(way, target, user)
    for i, (user, way) in enumerate(zip(some, ways)):
        user.moved(traffic.download(way, target, 10000 + i, i))
    for user in some:
        user.assert_billed()


@pytest.mark.quick
def test_a_stranger_gets_nothing(lab, target, procs):
    for kind in ("vmess-raw", "vmess-tls"):
        way = start_client("xray", procs, lab.outbound(kind, random_credential()))
        connections = target.connections
        with pytest.raises((OSError, EOFError)):
            traffic.echo(way, target, b"let me in")
        assert target.connections == connections
