"""`weir connect --mux`: many streams in few connections, to our node, Xray's server and sing-box's."""
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
from weirtest import SLOW, socks, traffic
from weirtest.lab import Lab
from weirtest.peers import (Outbound, random_credential, singbox_server, start_client, write, xray_outbound,
                            xray_server)
from weirtest.proc import free_port, wait_until
from weirtest.shadowsocks import SsLab
from weirtest.traffic import Way

MIB = 1 << 20
METHOD = "2022-blake3-aes-128-gcm"
COOL = "cool"
PATHS = (("vless-raw", COOL), ("trojan-tls", COOL), ("vmess-raw", COOL), (METHOD, COOL),
         ("vless-tls", "h2mux,padding"), ("trojan-tls", "smux"), ("vmess-raw", "yamux"), (METHOD, "h2mux"))
STREAMS = 8


@pytest.fixture(scope="module")
def lab(module_procs, cert):
    lab = Lab(module_procs, cert, ("vless-raw", "vless-tls", "vmess-raw", "trojan-tls"), top={"Workers": 1})
    lab.waiting = [lab.user() for _ in range(11)]  # whom the node knows when a test comes to him
    return lab


@pytest.fixture(scope="module")
def sslab(module_procs):
    lab = SsLab(module_procs, [METHOD], top={"Workers": 1})
    lab.waiting = [lab.user(), lab.user()]
    return lab


def muxed(o, kind):
    protocol, _, padding = kind.partition(",")
    if protocol == COOL:
        o.mux = STREAMS
    else:
        o.multiplex = {"protocol": protocol, "max_streams": STREAMS, "padding": bool(padding)}
    return o


def connections(port):
    """How many somebody holds to this port."""
    with open("/proc/net/tcp", encoding="ascii") as f:
        rows = [line.split() for line in f.readlines()[1:]]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


def fifty_at_once(way, target, port, most=8):
    """Held open together, so that they have to share; the bytes of all."""
    with ThreadPoolExecutor(10) as pool:
        held = list(pool.map(lambda _: way.open(target), range(50)))
        try:
            for i, s in enumerate(held):
                s.sendall(b"ECHO\nstream %02d" % i)
            for i, s in enumerate(held):
                assert socks.recv_exactly(s, 9) == b"stream %02d" % i
            assert connections(port) <= most
        finally:
            for s in held:
                s.close()
    return 50 * 14, 50 * 9


@pytest.mark.parametrize("kind, mux", [
    pytest.param(*p, id=f"{p[0]}-{p[1].replace(',', '-')}", marks=[pytest.mark.quick] if i in (0, 4) else [])
    for i, p in enumerate(PATHS)])
def test_streams_and_packets_arrive_whole_and_are_billed(request, target, udp_target, procs, kind, mux):
    lab = request.getfixturevalue("sslab" if kind == METHOD else "lab")
    user = lab.waiting.pop()
    o = muxed(lab.outbound(kind, user.credential), mux)
    way = lab.until_served(start_client("weir", procs, o), target, user)
    for moved in (traffic.upload(way, target, 5 * MIB, 1), traffic.download(way, target, 5 * MIB, 2),
                  fifty_at_once(way, target, o.port), traffic.packets(way, udp_target, (1, 1200))):
        user.moved(moved)
    user.assert_billed()


SERVERS = (("xray", "vless", COOL), ("xray", "trojan", COOL), ("xray", "vmess", COOL),
           ("sing-box", "vless", "h2mux,padding"), ("sing-box", "trojan", "smux"), ("sing-box", "vmess", "yamux"))


@pytest.mark.parametrize("server, protocol, mux", SERVERS, ids=lambda v: v.replace(",", "-"))
def test_the_servers_of_others_take_it(procs, target, udp_target, server, protocol, mux):
    o = muxed(Outbound(protocol, free_port(), random_credential()), mux)
    {"xray": xray_server, "sing-box": singbox_server}[server](procs, o)
    way = start_client("weir", procs, o)
    traffic.upload(way, target, 5 * MIB, 1)
    traffic.download(way, target, 2 * MIB, 2)
    fifty_at_once(way, target, o.port)
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(traffic.upload if i % 2 else traffic.download, way, target, MIB + i, i) for i in range(4)]
        for job in jobs:
            job.result()
    traffic.packets(way, udp_target)


@contextmanager
def associations(way, udp_target, n):
    """So many, held open together."""
    with ExitStack() as held:
        for i in range(n):
            u = held.enter_context(way.udp())
            u.sendto(b"%d" % i, udp_target.addresses[0])
            assert u.recvfrom() == (b"0:%d" % i, udp_target.addresses[0])
        yield


@pytest.mark.parametrize("server", ("weir", "xray"))
def test_packets_alone_share_connections(lab, procs, target, udp_target, server):
    if server == "weir":
        o = lab.outbound("vless-raw", lab.waiting.pop().credential)
    else:
        o = Outbound("vless", free_port(), random_credential())
        xray_server(procs, o)
    o.multiplex = {"protocol": "xudp", "max_streams": 3}
    way = lab.until_served(start_client("weir", procs, o), target)
    with associations(way, udp_target, 6):
        wait_until("six associations to share two connections", lambda: connections(o.port) == 2, 20)
        with way.open(target) as a, way.open(target) as b:
            for s in a, b:
                s.sendall(b"ECHO\n")
                ask(s, b"alone")
            assert connections(o.port) == 4
        traffic.packets(way, udp_target)


class Middle:
    """Between a client and a server: knows the connections, and cuts them."""

    def __init__(self, port):
        self.to, self.pairs = port, []  # the oldest first; only those that live
        self.s = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.s.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.s.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.to))
            self.pairs.append((near, far))
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self.carry, args=(a, b, (near, far)), daemon=True).start()

    def carry(self, a, b, pair):
        try:
            while data := a.recv(65536):
                b.sendall(data)
        except OSError:
            pass
        if pair in self.pairs:
            self.pairs.remove(pair)
        self.cut(pair)

    @staticmethod
    def cut(pair):
        for s in pair:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.s.close()
        for pair in list(self.pairs):
            self.cut(pair)


@pytest.fixture
def middle(lab):
    m = Middle(lab.ports["vless-raw"])
    yield m
    m.close()


def ask(s, text):
    s.sendall(text)
    assert socks.recv_exactly(s, len(text)) == text


@pytest.mark.parametrize("mux", (COOL, "yamux"))
def test_a_cut_connection_takes_its_own_streams_along_and_nobody_elses(lab, procs, middle, target, udp_target, mux):
    user = lab.waiting.pop()
    o = muxed(lab.outbound("vless-raw", user.credential), mux)
    o.port = middle.port
    way = lab.until_served(start_client("weir", procs, o), target)
    udp_target.forget()
    with socks.Udp(way.port) as u:
        u.sendto(b"before", udp_target.addresses[0])
        assert u.recvfrom()[0] == b"0:before"
        held = [way.open(target) for _ in range(2 * STREAMS - 1)]
        for s in held:
            s.sendall(b"ECHO\n")
            ask(s, b"hello")
        middle.cut(middle.pairs[0])
        dead = []
        for s in held:
            try:
                ask(s, b"and again")
            except (OSError, EOFError, AssertionError):
                dead.append(s)
        assert STREAMS - 2 <= len(dead) <= STREAMS  # and the packets
        # those who come now meet one that lives, or a new one
        for _ in range(2 * STREAMS):
            traffic.echo(way, target, b"anybody there?", 10 * SLOW)
        traffic.download(way, target, MIB, 3)
        u.sendto(b"after", udp_target.addresses[0])
        assert u.recvfrom()[0] == b"0:after"
        # mux.cool's server knows the association by its id: the target sees the same port
        assert len(udp_target.sources[0]) <= (1 if mux == COOL else 2)
        for s in held:
            s.close()


def test_a_target_that_refuses_is_told_apart_from_a_server_that_does(lab, procs):
    """In words: sing-box's multiplex has some for it."""
    user = lab.waiting.pop()
    way = start_client("weir", procs, muxed(lab.outbound("vless-raw", user.credential), "smux"))
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        host, port = s.getsockname()

        def told():
            with socks.connect(way.port, host, port, 10 * SLOW) as c:
                c.sendall(b"x")
                try:
                    assert c.recv(1) == b""
                except OSError:
                    pass
            return f"{host}:{port}: the node could not reach the target" in way.process.text()

        wait_until("the client to say so", told, 20, 0.3)


def test_an_outbound_of_xray_says_it_in_its_own_words(lab, procs, target, udp_target, middle):
    user = lab.waiting.pop()
    o = lab.outbound("vless-raw", user.credential)
    o.port = middle.port
    outbound = xray_outbound(o)
    outbound["mux"] = {"enabled": True, "concurrency": 25, "xudpConcurrency": 16, "xudpProxyUDP443": "reject"}
    way = Way(free_port())
    procs.start("connect", [os.environ["WEIR_BIN"], "connect", "-o", write(procs, "outbound", outbound),
                            "-l", f"127.0.0.1:{way.port}"]).wait_listening(way.port)
    lab.until_served(way, target)
    fifty_at_once(way, target, middle.port, 3)
    streams = list(middle.pairs)
    with associations(way, udp_target, 17):  # they have connections of their own
        assert len([pair for pair in middle.pairs if pair not in streams]) == 2
