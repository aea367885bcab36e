"""VLESS Encryption: Xray and our own client in every mode, with and without a round trip, and our client at Xray's server."""
import os
import re
import select
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from weirtest import SLOW, traffic
from weirtest.lab import Lab
from weirtest.listener import Listener
from weirtest.node import Node, entry
from weirtest.panel import Panel
from weirtest.peers import Outbound, Reality, peer, random_credential, start_client, write
from weirtest.proc import free_port
from weirtest.tlsprobe import hello, look
from weirtest.tlstargets import start_target

MIB = 1 << 20
NAME = "weir.test"
MODES = ("native", "xorpub", "random")
#        name: mode, key, life of tickets, padding of the server, of the client
NODES = {
    "native": ("native", "x25519", "600s", "", ""),
    "xorpub": ("xorpub", "x25519", "300-600s", "100-100-900.100-0-20.60-0-400", "100-50-500.100-0-20.60-0-900.100-0-9.100-1-99"),
    "random": ("random", "mlkem768", "600s", "100-35-36", "100-35-36"),
    "1rtt": ("random", "x25519", "0s", "", ""),
    "tls": ("native", "x25519", "600s", "", ""),
    "reality": ("random", "x25519", "600s", "", ""),
}
SECURITY = {"tls": 1, "reality": 2}
SILENCE = 1 + int(SLOW)  # how long the node with REALITY waits for who says nothing


def pair(mode, key, life, padding=""):
    """What `weir vlessenc` prints: the server's string and the client's."""
    text = subprocess.run([os.environ["WEIR_BIN"], "vlessenc", "-m", mode, "-k", key, "-t", life, "-p", padding],
                          check=True, capture_output=True, text=True).stdout
    return tuple(re.search(rf"^{word}: (\S+)$", text, re.M).group(1) for word in ("decryption", "encryption"))


class Tap(Listener):
    """A forwarder that remembers how each connection began: the client's bytes up to the server's first."""

    def __init__(self, to):
        self.to, self.first = to, []
        super().__init__()

    def serve(self, s):
        server = socket.create_connection(("127.0.0.1", self.to))
        seen = bytearray()
        self.first.append(seen)
        answered = threading.Event()
        threading.Thread(target=self._copy, args=(server, s, None, answered), daemon=True).start()
        self._copy(s, server, seen, answered)

    @staticmethod
    def _copy(src, dst, seen, answered):
        try:
            while data := src.recv(65536):
                if seen is None:
                    answered.set()
                elif not answered.is_set():
                    seen += data
                dst.sendall(data)
            dst.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class House(Lab):
    """One panel, and a node with an inbound of each kind of NODES; "tls" and "reality" have that around it."""

    def __init__(self, procs, cert):
        self.procs, self.cert, self.panel = procs, cert, Panel(procs)
        self.ports, self.client_text, entries = {}, {}, []
        self.web = start_target(procs, "nginx", cert)
        for name, (mode, key, life, padding, own) in NODES.items():
            decryption, encryption = pair(mode, key, life, padding)
            settings = {"mode": mode, "ticket": life, "server_padding": padding, "private_key": decryption.split(".")[-1]}
            self.ports[name] = free_port()
            outer = {"tls_settings": {"server_name": NAME, "dest": f"127.0.0.1:{self.web}"}} if name == "reality" else {}
            row = self.panel.add_node("vless", self.ports[name], tls=SECURITY.get(name, 0), encryption="mlkem768x25519plus",
                                      encryption_settings=settings, **outer)
            more = {"HandshakeTimeout": SILENCE} if outer else {}
            entries.append(entry(self.panel.url, row, cert if name == "tls" else None, Name=name, **more))
            if outer:
                made = row["settings"]["tls_settings"]
                self.reality = Reality(made["public_key"], made["short_id"], NAME)
            head, key = encryption.rsplit(".", 1)
            self.client_text[name] = f"{head}.{own}.{key}" if own else encryption
        self.node = Node(procs, entries, list(self.ports.values()))

        self.someone = self.user()

    def connect(self, name, kind, port=None):
        o = Outbound("vless", port or self.ports[name], self.someone.credential,
                     self.cert if name == "tls" else None, encryption=self.client_text[name],
                     reality=self.reality if name == "reality" else None)
        return start_client(kind, self.procs, o)


@pytest.fixture(scope="module")
def house(module_procs, cert):
    return House(module_procs, cert)


def short_hellos(tap, name):
    """Connections that began without a round trip: no keys behind the relays, only a ticket."""
    least = 16 + (1088 if NODES[name][1] == "mlkem768" else 32) + 18 + 32
    return sum(least < len(first) < least + 1200 for first in tap.first)


@pytest.mark.quick
@pytest.mark.parametrize("client", ["xray", "weir"])
@pytest.mark.parametrize("name", NODES)
def test_bytes_arrive_whole(house, target, name, client):
    user, tap = house.someone, Tap(house.ports[name])
    way = house.until_served(house.connect(name, client, tap.port), target, user)
    user.moved(traffic.upload(way, target, 2 * MIB, 1))
    user.moved(traffic.download(way, target, 2 * MIB, 2))
    user.moved(traffic.short_connections(way, target, 20, 8))
    tap.close()
    if name not in SECURITY:
        assert short_hellos(tap, name) == 0 if name == "1rtt" else short_hellos(tap, name) >= 20


@pytest.mark.parametrize("client", ["xray", "weir"])
def test_packets_travel_inside(house, target, udp_target, client):
    user = house.someone
    way = house.until_served(house.connect("random", client), target, user)
    user.moved(traffic.packets(way, udp_target))


def test_a_replayed_connection_is_met_with_silence_and_reaches_nobody(house, target):
    """The totals of the last test know nothing of it either."""
    tap = Tap(house.ports["native"])
    way = house.until_served(house.connect("native", "xray", tap.port), target, house.someone)
    house.someone.moved(traffic.echo(way, target, b"once"))
    tap.close()
    recorded = bytes(tap.first[-1])
    assert short_hellos(tap, "native") > 0 and len(recorded) < 1300
    strangers = []
    for data in recorded, recorded[:60] + bytes([recorded[60] ^ 1]) + recorded[61:], os.urandom(2000):
        strangers.append(socket.create_connection(("127.0.0.1", house.ports["native"])))
        strangers[-1].sendall(data)
    assert select.select(strangers, [], [], 0.5)[0] == []
    for s in strangers:
        s.close()


@pytest.mark.quick
def test_strangers_under_reality_see_the_target(house):
    """Also who says nothing, past the node's patience."""
    port = house.ports["reality"]
    with ThreadPoolExecutor(1) as pool:
        silent = pool.submit(look, port, [], False, SILENCE / SLOW + 0.5)
        for said in hello(), b"GET / HTTP/1.1\r\n\r\n":
            (there, end), (here, other) = (look(p, [said], True)[:2] for p in (house.web, port))
            assert here[:5] == there[:5] and abs(len(here) - len(there)) <= 16 and other == end
        assert silent.result()[:2] == (b"", "open")
    here, end, _ = look(port, [hello()], True)
    assert here and end == look(house.web, [hello()], True)[1]


def test_a_node_that_was_restarted_sends_its_clients_back_to_a_round_trip(house, target):
    user = house.someone
    way = house.until_served(house.connect("native", "xray"), target, user)
    house.node.stop()
    house.node.start()
    house.until_served(way, target, user)
    user.moved(traffic.echo(way, target, b"again"))


def test_the_panel_bills_exactly_what_all_of_these_have_moved(house):
    house.someone.assert_billed()


@pytest.mark.parametrize("mode", MODES)
def test_our_client_at_xray_s_server(module_procs, target, mode):
    decryption, encryption = pair(mode, "x25519" if mode == "native" else "mlkem768", "600s")
    o = Outbound("vless", free_port(), random_credential(), encryption=encryption)
    config = {
        "log": {"loglevel": "warning", "access": "none"},
        "inbounds": [{"listen": o.host, "port": o.port, "protocol": "vless",
                      "settings": {"clients": [{"id": o.credential}], "decryption": decryption}}],
        "outbounds": [{"protocol": "freedom"}],
    }
    command = [peer("xray"), "run", "-c", write(module_procs, "xray-server", config)]
    server = module_procs.start("xray-server", command).wait_listening(o.port)
    tap = Tap(o.port)
    o.port = tap.port
    way = start_client("weir", module_procs, o)
    traffic.echo(way, target, b"first")
    traffic.upload(way, target, MIB, 3)
    traffic.download(way, target, MIB, 4)
    traffic.short_connections(way, target, 20, 4)
    keys = 32 if mode == "native" else 1088
    assert sum(len(f) < 16 + keys + 18 + 1232 for f in tap.first[1:]) >= 20
    server.stop()
    tap.close()
