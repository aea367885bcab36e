"""REALITY: those who know the key are served, everybody else talks to the target."""
import re
import subprocess

import pytest
from weirtest import SLOW, traffic
from weirtest.certs import Cert
from weirtest.lab import Lab
from weirtest.node import Node, entry
from weirtest.panel import Panel
from weirtest.peers import (CLIENTS, Outbound, Reality, new_reality, peer, random_credential, singbox_server,
                            start_client, xray_server)
from weirtest.proc import free_port, wait_until
from weirtest.tlsprobe import Tap, shares
from weirtest.tlstargets import KINDS, start_target

MIB = 1 << 20
SIZE = 4 * MIB if SLOW == 1 else MIB
NAME = "weir.test"
VISION = "xtls-rprx-vision"
X25519, HYBRID = 0x001d, 0x11ec  # the latter X25519MLKEM768

pytestmark = [pytest.mark.quick]


class Targets(Lab):
    """A node for each protocol and target; "vision" and "big" are as nginx, with the flow and a large certificate."""

    # pylint: disable=super-init-not-called
    def __init__(self, procs, cert):
        self.procs = procs
        self.panel = Panel(procs)
        self.targets = {kind: start_target(procs, kind, cert) for kind in KINDS}
        big = Cert(str(procs.folder), NAME, *[f"a-name-that-fills-this-certificate-{i}.weir.test" for i in range(90)])
        self.targets["big"] = start_target(procs, "nginx", big)
        self.targets["vision"] = self.targets["nginx"]
        made = subprocess.run([peer("xray"), "mldsa65"], check=True, capture_output=True, text=True, timeout=20)
        seed, self.verify = (line.split()[-1] for line in made.stdout.splitlines()[:2])
        self.nodes, entries = {}, []
        for protocol, kind in [("vless", k) for k in KINDS] + [("trojan", "nginx"), ("vless", "big"),
                                                                       ("vless", "vision")]:
            settings = {"server_name": NAME, "dest": f"127.0.0.1:{self.targets[kind]}"}
            if kind == "big":
                settings["mldsa65Seed"] = seed
            more = {"flow": VISION} if kind == "vision" else {}
            row = self.panel.add_node(protocol, free_port(), tls=2, tls_settings=settings, **more)
            self.nodes[protocol, kind] = row
            entries.append(entry(self.panel.url, row, None, Name=f"{protocol}-{kind}"))
        ports = [row["port"] for row in self.nodes.values()]
        self.node = Node(procs, entries, ports)

    def outbound(self, protocol, kind, credential, **other):
        row = self.nodes[protocol, kind]
        tls = row["settings"]["tls_settings"]
        reality = Reality(tls["public_key"], tls["short_id"], NAME)
        return Outbound(protocol, row["port"], credential, reality=reality, **other)


@pytest.fixture(scope="module")
def lab(module_procs, cert):
    return Targets(module_procs, cert)


WAYS = [("vless", kind, client) for kind in KINDS for client in CLIENTS]
WAYS += [("trojan", "nginx", client) for client in CLIENTS]


@pytest.fixture(scope="module")
def ways(lab, target):
    """A user and a client for each: all started before any is used."""
    users = {way: lab.user() for way in WAYS}
    started = {w: start_client(w[2], lab.procs, lab.outbound(w[0], w[1], u.credential)) for w, u in users.items()}
    return {w: (users[w], lab.until_served(way, target, users[w])) for w, way in started.items()}


@pytest.mark.parametrize("which", WAYS, ids="-".join)
def test_bytes_arrive_whole(ways, target, which):
    user, way = ways[which]
    user.moved(traffic.upload(way, target, SIZE, 1))
    user.moved(traffic.download(way, target, SIZE, 2))
    user.moved(traffic.short_connections(way, target, 20))


def test_all_of_it_is_billed(ways):
    for user, _ in ways.values():
        user.assert_billed()


def test_a_session_s_line_names_its_node(lab, ways):
    for (protocol, kind, _), (user, _) in ways.items():
        line = re.compile(rf" debug session: ended node=(\S+) peer=\S+ user={user.id} ")
        named = wait_until("a session to end", lambda line=line: line.findall(lab.node.proc.text()))
        assert set(named) == {f"{protocol}-{kind}"}


# with whether a client is asked for XUDP, where it has the choice
UDP_WAYS = [("vless", "nginx", client, True) for client in CLIENTS] + [("vless", "nginx", "xray", False)]
UDP_WAYS += [("vless", "vision", client, True) for client in CLIENTS]
UDP_WAYS += [("trojan", "nginx", client, True) for client in CLIENTS]


def udp_client(lab, user, protocol, kind, client, cone):
    flow = VISION if kind == "vision" else ""
    return start_client(client, lab.procs, lab.outbound(protocol, kind, user.credential, flow=flow, cone=cone))


@pytest.fixture(scope="module")
def udp_ways(lab, target):
    users = {way: lab.user() for way in UDP_WAYS}
    started = {way: udp_client(lab, user, *way) for way, user in users.items()}
    return {way: (user, lab.until_served(started[way], target, user)) for way, user in users.items()}


@pytest.mark.parametrize("which", UDP_WAYS, ids=lambda w: "-".join(map(str, w)))
def test_packets_travel_inside(udp_ways, udp_target, which):
    user, way = udp_ways[which]
    cone = which[3]
    user.moved(traffic.packets(way, udp_target, (1, 400, 1200), None if cone else 1, cone))


def test_all_of_them_are_billed(udp_ways):
    for user, _ in udp_ways.values():
        user.assert_billed()


@pytest.mark.parametrize("client", CLIENTS)
def test_a_signature_with_mldsa_is_there_for_who_asks(lab, target, client):
    user = lab.user()
    o = lab.outbound("vless", "big", user.credential)
    o.reality.mldsa_verify = lab.verify
    way = lab.until_served(start_client(client, lab.procs, o), target, user)
    traffic.download(way, target, MIB, 5)


def test_our_client_takes_no_signature_but_the_one_it_asks_for(lab, target):
    """Another key's, and none at all."""
    other = lab.verify[:-4] + ("AAAA" if lab.verify[-4:] != "AAAA" else "BBBB")
    for kind, verify in (("big", other), ("nginx", lab.verify)):
        user = lab.user()
        o = lab.outbound("vless", kind, user.credential)
        o.reality.mldsa_verify = verify
        way = start_client("weir", lab.procs, o)
        with pytest.raises((OSError, EOFError)):
            traffic.echo(way, target, b"nobody", 5)


@pytest.mark.parametrize("server", [xray_server, singbox_server], ids=["xray", "sing-box"])
def test_our_client_reaches_the_servers_of_others(lab, target, server):
    o = Outbound("vless", free_port(), random_credential(), reality=new_reality(NAME, lab.targets["nginx"]))
    server(lab.procs, o)
    way = start_client("weir", lab.procs, o)
    traffic.upload(way, target, MIB, 3)
    traffic.download(way, target, MIB, 4)


@pytest.fixture(scope="module")
def someone(lab, target):
    """A user whom both nodes know."""
    user = lab.user()
    for kind in "go", "nginx":
        lab.until_served(start_client("weir", lab.procs, lab.outbound("vless", kind, user.credential)), target)
    return user


@pytest.mark.parametrize("client,fingerprint,offers,kind,group", [
    ("weir", "chrome", True, "go", HYBRID), ("weir", "chrome", True, "nginx", X25519),
    ("xray", "chrome", True, "go", HYBRID), ("xray", "chrome", True, "nginx", X25519),
    ("xray", "ios", False, "go", X25519), ("sing-box", "chrome", False, "go", X25519)])
def test_keys_are_agreed_on_in_the_targets_group(lab, someone, target, client, fingerprint, offers, kind, group):
    """Who offers the hybrid gets it where the target has it: Go's library does, nginx is told not to."""
    o = lab.outbound("vless", kind, someone.credential)
    tap = Tap(o.port)
    o.port, o.reality.fingerprint = tap.port, fingerprint
    traffic.echo(start_client(client, lab.procs, o), target, b"agreed")
    tap.close()
    assert (HYBRID in shares(tap.said[0])) == offers and X25519 in shares(tap.said[0])
    assert shares(tap.heard[0]) == [group]
