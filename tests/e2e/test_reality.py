"""REALITY: those who know the key are served, everybody else talks to the target."""
import dataclasses
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from weirtest import SLOW, traffic
from weirtest.certs import Cert
from weirtest.lab import Lab
from weirtest.node import Node, entry
from weirtest.panel import Panel
from weirtest.peers import (CLIENTS, Outbound, Reality, new_reality, peer, random_credential, singbox_server,
                            start_client, xray_server)
from weirtest.proc import free_port, wait_until
from weirtest.tlsprobe import Tap, hello, look, records, shares
from weirtest.tlstargets import KINDS, start_target

MIB = 1 << 20
SIZE = 4 * MIB if SLOW == 1 else MIB
NAME = "weir.test"
VISION = "xtls-rprx-vision"
LANES = 8
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
        self.lanes = []  # (port of an s_server, port of a node in front of it), all with one key
        for _ in range(LANES):
            alone = start_target(procs, "openssl", cert)
            settings = dict(self.nodes["vless", "openssl"]["settings"]["tls_settings"], dest=f"127.0.0.1:{alone}")
            row = self.panel.add_node("vless", free_port(), tls=2, tls_settings=settings)
            self.lanes.append((alone, row["port"]))
            entries.append(entry(self.panel.url, row, None, Name=f"vless-{alone}"))
        ports = [row["port"] for row in self.nodes.values()] + [port for _, port in self.lanes]
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


# --- who is no client -----------------------------------------------------------------------------

def said_by(lab, kind, target, **reality):
    """What a client of ours says first, made to say it by a port in front of the node; and what it heard."""
    user = lab.user()
    o = lab.outbound("vless", kind, user.credential)
    tap = Tap(o.port)
    o.port = tap.port
    o.reality = dataclasses.replace(o.reality, **reality)
    way = start_client("weir", lab.procs, o)
    if reality:
        with pytest.raises((OSError, EOFError)):
            traffic.echo(way, target, b"nobody", 5)
    else:
        lab.until_served(way, target, user)
    tap.close()
    return tap


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
    """Who offers the hybrid gets it where the target has it: Go's library does, this nginx does not."""
    o = lab.outbound("vless", kind, someone.credential)
    tap = Tap(o.port)
    o.port, o.reality.fingerprint = tap.port, fingerprint
    traffic.echo(start_client(client, lab.procs, o), target, b"agreed")
    tap.close()
    assert (HYBRID in shares(tap.said[0])) == offers and X25519 in shares(tap.said[0])
    assert shares(tap.heard[0]) == [group]


def first_record(data):
    return data[:5 + int.from_bytes(data[3:5], "big")]


def strangers(lab, kind, target):
    """Name and parts of what is sent."""
    ours = first_record(said_by(lab, kind, target).said[0])
    other = "bm90IHRoZSBrZXkgdGhhdCB0aGlzIHNlcnZlciBoYXM"  # base64 of 32 bytes that are some key's
    wrong_key = first_record(said_by(lab, kind, target, public_key=other).said[0])
    wrong_name = first_record(said_by(lab, kind, target, name="other.test").said[0])
    plain = hello()
    lie = b"\x14\x03\x03\x00\x01\x01\x17\x03\x03\x00\x35" + bytes(0x35)
    return {
        "nothing": [],
        "http": [b"GET / HTTP/1.1\r\nHost: weir.test\r\n\r\n"],
        "garbage": [bytes(range(1, 250)) * 3],
        "zeroes": [bytes(600)],
        "an alert": [b"\x15\x03\x01\x00\x02\x01\x00"],
        "a hello": [plain],
        "no name": [hello(name="")],
        "another name": [hello(name="other.test")],
        "of TLS 1.2": [hello(versions=(0x0303,))],
        "asked again": [hello(shares=[])],
        "another group": [hello(shares=[(0x6a6a, b"\0")], groups=(23, 24))],
        "half a hello": [plain[:200]],
        "slow": [p for i in range(0, len(plain), 20) for p in (plain[i:i + 20], 0.005)],
        "a lie behind": [plain, 0.3, lie],
        "repeated": [ours],
        "repeated and a lie": [ours, 0.3, lie],
        "repeated and an alert": [ours, 0.3, b"\x15\x03\x03\x00\x02\x02\x28"],
        "repeated and 40 changes": [ours, 0.3, lie[:6] * 40],
        "repeated and http": [ours, 0.3, b"GET / HTTP/1.1\r\n\r\n"],
        "wrong key": [wrong_key],
        "wrong name": [wrong_name],
    }


def until_asked(lab, port):
    """The node knows what this port's target says behind a handshake."""
    line = f"port {port}: the REALITY target answers as {NAME} with ALPN h2"
    wait_until("the target to have been asked", lambda: line in lab.node.proc.text(), 30)


def same(a, b):
    """Records of the same types and lengths, give or take a signature's; the rest to the byte."""
    (ra, resta), (rb, restb) = records(a), records(b)
    return resta == restb and len(ra) == len(rb) and all(
        x[0] == y[0] and abs(x[1] - y[1]) <= 4 for x, y in zip(ra, rb))


def difference(job, of_target, of_node):
    """{job: sentence}, or nothing."""
    (a, end_a, t_a), (b, end_b, t_b) = of_target, of_node
    if same(a, b) and end_a == end_b and abs(t_a - t_b) <= 1 * SLOW:
        return {}
    return {job: f"{job[0]}{' and an end' if job[1] else ''}: target {records(a)} {end_a} {t_a:.2f} s, "
                 f"node {records(b)} {end_b} {t_b:.2f} s"}


def unlike(pool, direct, port, jobs):
    """What the node shows otherwise than its target: {job: sentence}."""
    seen = {j: (pool.submit(look, direct, parts, j[1]), pool.submit(look, port, parts, j[1]))
            for j, parts in jobs.items()}
    wrong = {}
    for job, both in seen.items():
        wrong.update(difference(job, *(f.result() for f in both)))
    return wrong


def unlike_in_turn(lane, jobs):
    """The same where the target serves one after another."""
    wrong = {}
    for job, parts in jobs:
        for _ in range(3):  # as below
            last = difference(job, *(look(port, parts, job[1]) for port in lane))
            if not last:
                break
        wrong.update(last)
    return wrong


@pytest.mark.parametrize("kind", ["nginx", "go"])
def test_strangers_see_the_target(lab, target, kind):
    """The same bytes, the same end, at the same time, also where the stranger ends his side."""
    port, direct = lab.nodes["vless", kind]["port"], lab.targets[kind]
    jobs = {(name, half): parts for name, parts in strangers(lab, kind, target).items() for half in (False, True)}
    with ThreadPoolExecutor(2 * len(jobs)) as pool:
        wrong = unlike(pool, direct, port, jobs)
        # Whether bytes meet a target that has just closed is a race of its own: once more, without the crowd.
        for _ in range(3):
            wrong = {j: again for j in wrong for again in unlike(pool, direct, port, {j: jobs[j]}).values()}
    assert not wrong, "\n" + "\n".join(wrong.values())


def test_strangers_see_a_target_that_serves_one_after_another(lab, target):
    """OpenSSL's s_server; several of them, so that it does not take long."""
    for _, port in lab.lanes:
        until_asked(lab, port)
    jobs = [((name, half), parts) for name, parts in strangers(lab, "openssl", target).items()
            for half in (False, True)]
    n = len(lab.lanes)
    with ThreadPoolExecutor(n) as pool:
        done = [pool.submit(unlike_in_turn, lane, jobs[i::n]) for i, lane in enumerate(lab.lanes)]
        wrong = [text for d in done for text in d.result().values()]
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_is_answered_in_the_targets_records(lab, target, kind):
    """From ServerHello to the tickets, against a client of the target itself with the same offer."""
    until_asked(lab, lab.nodes["vless", kind]["port"])
    tap = said_by(lab, kind, target)
    straight = Tap(lab.targets[kind])
    client = subprocess.Popen(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{straight.port}", "-servername", NAME, "-alpn", "h2,http/1.1",
         "-ciphersuites", "TLS_AES_128_GCM_SHA256"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    wait_until("the target's answer", lambda: straight.heard and len(records(straight.heard[0])[0]) > 5)
    time.sleep(0.5)
    client.kill()
    client.wait()
    straight.close()
    theirs, ours = records(straight.heard[0])[0], records(tap.heard[0])[0]
    theirs = [r for r in theirs if r != (23, 24)]  # the alert of the end
    assert ours[1] == theirs[1] and len(ours) >= len(theirs), (ours, theirs)
    assert all(x[0] == y[0] and abs(x[1] - y[1]) <= 4 for x, y in zip(ours[2:], theirs[2:])), (ours, theirs)
