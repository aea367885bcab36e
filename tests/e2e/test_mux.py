"""mux.cool: Xray's `mux` over every protocol, and a client by hand for what no client lets a test choose."""
import hashlib
import re
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from weirtest import SLOW, socks, traffic
from weirtest.lab import EncryptedLab, Lab
from weirtest.peers import start_client
from weirtest.proc import wait_until
from weirtest.shadowsocks import SsLab
from weirtest.tlstargets import start_target

MIB = 1 << 20
NEW, KEEP, END = 1, 2, 3
TCP, UDP = 1, 2
KINDS = ("vless-raw", "vless-tls", "vless-reality", "vmess-raw", "trojan-raw")
ENCRYPTED = "vless-encrypted"
METHOD = "aes-256-gcm"


@pytest.fixture(scope="module")
def lab(module_procs, cert):
    # An association is one worker's: who comes back has to meet the same.
    lab = Lab(module_procs, cert, KINDS, top={"Workers": 1}, mirror=start_target(module_procs, "nginx", cert))
    lab.waiting = [lab.user() for _ in KINDS]  # whom the node knows when a test comes to him
    return lab


@pytest.fixture(scope="module")
def encrypted_lab(module_procs, cert):
    return EncryptedLab(module_procs, cert, "random", top={"Workers": 1})


@pytest.fixture(scope="module")
def ss_lab(module_procs):
    return SsLab(module_procs, [METHOD], top={"Workers": 1})


@pytest.fixture(scope="module", params=KINDS + (METHOD, ENCRYPTED))
def path(request, target):
    """A user of his own, the way of Xray's client, and the node."""
    which = request.getfixturevalue({METHOD: "ss_lab", ENCRYPTED: "encrypted_lab"}.get(request.param, "lab"))
    user = which.waiting.pop() if request.param in KINDS else which.user()
    o = which.outbound("vless-raw" if request.param == ENCRYPTED else request.param, user.credential)
    o.mux = 8
    return user, which.until_served(start_client("xray", which.procs, o), target, user), which.node


def sessions(node, user):
    """The connections that the streams of a user came in, each once for a stream."""
    return re.findall(rf" peer=(\S+) user={user.id} net=tcp ", node.proc.text())


def test_streams_arrive_whole_both_ways_and_are_billed(path, target):
    user, way, _ = path
    user.moved(traffic.upload(way, target, 4 * MIB, 1))
    user.moved(traffic.download(way, target, 4 * MIB, 2))
    user.assert_billed()


def test_many_at_once_share_connections(path, target):
    user, way, node = path
    with ThreadPoolExecutor(12) as pool:
        jobs = [pool.submit(traffic.upload if i % 2 else traffic.download, way, target, MIB // 2 + i, 100 + i)
                for i in range(12)]
        for job in jobs:
            user.moved(job.result())
    user.moved(traffic.short_connections(way, target, 60))
    user.assert_billed()
    came = wait_until("all of them to have ended", lambda: len(s := sessions(node, user)) >= 70 and s)
    assert len(set(came)) * 3 < len(came)


def test_udp_is_full_cone(path, udp_target):
    user, way, _ = path
    user.moved(traffic.packets(way, udp_target, (1, 400, 1200), full_cone=True))
    user.assert_billed()


# --- by hand ---------------------------------------------------------------------------------------

class Mux:
    """A carrier over Trojan, to the host that stands for mux.cool."""

    def __init__(self, lab, user):
        self.s = socket.create_connection(("127.0.0.1", lab.ports["trojan-raw"]), timeout=10 * SLOW)
        host = b"v1.mux.cool"
        self.s.sendall(hashlib.sha224(user.credential.encode()).hexdigest().encode() + b"\r\n\x01\x03" +
                       bytes([len(host)]) + host + struct.pack(">H", 9527) + b"\r\n")

    def say(self, session, status, where=b"", data=None):
        meta = struct.pack(">HBB", session, status, data is not None) + where
        self.s.sendall(struct.pack(">H", len(meta)) + meta +
                       (b"" if data is None else struct.pack(">H", len(data)) + data))

    def hear(self):
        """(session, status, error, data)"""
        meta = socks.recv_exactly(self.s, *struct.unpack(">H", socks.recv_exactly(self.s, 2)))
        session, status, option = struct.unpack(">HBB", meta[:4])
        data = b""
        if option & 1:
            data = socks.recv_exactly(self.s, *struct.unpack(">H", socks.recv_exactly(self.s, 2)))
        return session, status, bool(option & 2), data

    def close(self):
        self.s.close()

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.close()


def where(network, address):
    return struct.pack(">BHB", network, address[1], 1) + socket.inet_aton(address[0])


@pytest.fixture(scope="module")
def someone(lab, target):
    """A user whom the node knows."""
    user = lab.user()
    lab.until_served(lab.client("trojan-raw", "weir", user), target, user)
    return user


def ask(mux, session, address, global_id, text):
    mux.say(session, NEW, where(UDP, address) + global_id, text)
    return mux.hear()


def test_an_association_keeps_its_port_when_its_connection_is_lost(lab, someone, udp_target):
    to = udp_target.addresses[0]
    udp_target.forget()
    for turn in range(3):
        with Mux(lab, someone) as m:
            assert ask(m, turn, to, b"roaming!", b"hello") == (turn, KEEP, False, b"0:hello")
            someone.moved((5, 7))
    assert len(udp_target.sources[0]) == 1
    with Mux(lab, someone) as m:
        assert ask(m, 1, to, b"someone2", b"hello") == (1, KEEP, False, b"0:hello")
        someone.moved((5, 7))
    assert len(udp_target.sources[0]) == 2
    someone.assert_billed()


def test_a_refused_target_ends_its_session_alone(lab, someone, target):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        nobody = s.getsockname()
    with Mux(lab, someone) as m:
        m.say(1, NEW, where(TCP, nobody), b"x")
        m.say(2, NEW, where(TCP, (target.host, target.port)), b"ECHO\nhello")
        heard = [m.hear(), m.hear()]
        assert sorted(heard) == [(1, END, True, b""), (2, KEEP, False, b"hello")]
        m.say(77, KEEP, data=b"who is that?")
        assert m.hear()[:2] == (77, END)
        someone.moved((10, 5))
    someone.assert_billed()


def test_who_is_taken_out_loses_his_connections_and_all_in_them(lab, target):
    user = lab.user()
    lab.until_served(lab.client("trojan-raw", "weir", user), target)
    with Mux(lab, user) as m, Mux(lab, user) as idle:
        m.say(1, NEW, where(TCP, (target.host, target.port)), b"ECHO\nhello")
        assert m.hear() == (1, KEEP, False, b"hello")
        lab.panel.remove_user(user.id)
        for one in m, idle:
            one.s.settimeout(20 * SLOW)
            end = time.monotonic() + 20 * SLOW
            while time.monotonic() < end:
                try:
                    if not one.s.recv(4096):
                        break
                except ConnectionResetError:
                    break
            assert time.monotonic() < end
