"""Shadowsocks: every method with every client that speaks it.  Bytes arrive whole and the panel bills exactly them."""
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from weirtest import SLOW, socks, traffic
from weirtest.peers import random_credential
from weirtest.shadowsocks import EIH, SPEAKERS, SsLab

MIB = 1 << 20
SIZE = 6 * MIB if SLOW == 1 else MIB
SHORT = 1000 if SLOW == 1 else 100

SINGLE = "2022-blake3-chacha20-poly1305"

# One client for each method also under the sanitizers.
QUICK = {m: who[i % len(who)] for i, (m, who) in enumerate(SPEAKERS.items())}


def paths(methods, speak=SPEAKERS.get):
    return [pytest.param((m, c), id=f"{m}/{c}", marks=[pytest.mark.quick] if QUICK[m] == c else [])
            for m in methods for c in speak(m)]


class Paths:
    """Clients are started once each, as users of their own that the node has known from the first pull."""

    def __init__(self, lab, alone=False):
        self.lab, self.ways = lab, {}
        one = lab.user() if alone else None
        self.users = {(m, c): one or lab.user() for m in lab.kinds for c in SPEAKERS[m]}

    def get(self, path, target):
        user = self.users[path]
        if path not in self.ways:
            way = self.lab.client(path[0], path[1], user)
            self.ways[path] = self.lab.until_served(way, target, user)
        return user, self.ways[path]


@pytest.fixture(scope="module")
def lab(module_procs):
    return SsLab(module_procs, [m for m in SPEAKERS if m != SINGLE])


@pytest.fixture(scope="module")
def many(lab):
    return Paths(lab)


@pytest.fixture(scope="module")
def single(module_procs):
    """The one method that cannot tell users apart serves one."""
    return Paths(SsLab(module_procs, [SINGLE]), alone=True)


@pytest.fixture
def path(request, target):
    return request.getfixturevalue("single" if request.param[0] == SINGLE else "many").get(request.param, target)


EVERY = paths(SPEAKERS)
ONE_OF_EACH_KIND = paths(("aes-128-gcm", "2022-blake3-aes-128-gcm"))
# Who carries a half-close on: ours, and shadowsocks-rust's.
HALVES = paths(("chacha20-ietf-poly1305", "2022-blake3-aes-256-gcm"), lambda m: ("weir", "sslocal"))


@pytest.mark.parametrize("path", EVERY, indirect=True)
def test_bytes_arrive_whole_and_are_billed(path, target):
    user, way = path
    user.moved(traffic.upload(way, target, SIZE, 1))
    user.moved(traffic.download(way, target, SIZE, 2))
    user.assert_billed()


@pytest.mark.parametrize("path", EVERY, indirect=True)
def test_udp_with_several_peers_and_one_that_was_never_asked(path, udp_target):
    """Full cone: one association with one source towards all, and an answer from an address never sent to."""
    user, way = path
    user.moved(traffic.packets(way, udp_target, (1, 100, 1200, 1380), full_cone=True))
    user.assert_billed()


def test_a_client_may_wait_for_the_server_to_speak_first(many, target):
    """Clients send the address by itself then; Xray's with an empty chunk behind it."""
    held = []
    for m, c in many.users:
        user, way = many.get((m, c), target)
        held.append((m, c, user, way.open(target)))
    time.sleep(0.5)
    for m, c, user, s in held:
        with s:
            s.sendall(b"ECHO\nafter you")
            assert socks.recv_exactly(s, 9) == b"after you", (m, c)
            user.moved((14, 9))


@pytest.mark.parametrize("path", ONE_OF_EACH_KIND, indirect=True)
def test_a_thousand_short_connections(path, target):
    user, way = path
    user.moved(traffic.short_connections(way, target, SHORT))
    user.assert_billed()


@pytest.mark.parametrize("path", HALVES, indirect=True)
def test_half_close_by_the_client_still_brings_the_answer(path, target):
    user, way = path
    user.moved(traffic.half_close_up(way, target, MIB + 1, 3))
    user.assert_billed()


@pytest.mark.parametrize("path", HALVES, indirect=True)
def test_half_close_by_the_target_still_takes_the_rest(path, target):
    user, way = path
    user.moved(traffic.half_close_by_target(way, target, MIB + 1))
    user.assert_billed()


@pytest.mark.parametrize("method", ("aes-128-gcm", "xchacha20-ietf-poly1305", *EIH))
def test_many_users_on_one_port_are_told_apart(lab, method, target, udp_target):
    """Eight of three hundred, at once, from one address."""
    users = [lab.user() for _ in range(300 if SLOW == 1 else 30)]
    some = users[::len(users) // 8][:8]
    clients = ("weir", "sslocal")
    ways = [lab.client(method, clients[i % 2], u) for i, u in enumerate(some)]

    def talk(i):
        user, way = some[i], ways[i]
        lab.until_served(way, target, user)
        user.moved(traffic.upload(way, target, 100_000 + i, i))
        user.moved(traffic.download(way, target, 200_000 + i, i))
        with socks.Udp(way.port) as u:
            for _ in range(5):
                u.sendto(b"x" * (10 + i), udp_target.addresses[0])
                user.moved((10 + i, len(u.recvfrom()[0])))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(talk, range(8)))
    for u in some:
        u.assert_billed()
    for u in users:
        assert u in some or lab.panel.traffic(u.id) == (0, 0)


@pytest.mark.parametrize("method", ("aes-128-gcm", "2022-blake3-aes-128-gcm"))
def test_a_stranger_gets_nothing(lab, method, target, udp_target):
    stranger = lab.user()
    stranger.credential = random_credential()
    way = lab.client(method, "sslocal", stranger)
    connections, received = target.connections, udp_target.received
    with pytest.raises((OSError, EOFError)):
        traffic.echo(way, target, b"let me in", 8)
    with socks.Udp(way.port, 1) as u:
        u.sendto(b"let me in", udp_target.addresses[0])
        with pytest.raises(OSError):
            u.recvfrom()
    assert (target.connections, udp_target.received) == (connections, received)


@pytest.mark.parametrize("method", ("aes-256-gcm", "2022-blake3-aes-256-gcm"))
def test_who_is_removed_is_cut_off_and_who_is_added_is_served(lab, method, target):
    user = lab.user()
    way = lab.until_served(lab.client(method, "sslocal", user), target, user)
    with way.open(target) as s:
        s.sendall(b"ECHO\nhello")
        assert socks.recv_exactly(s, 5) == b"hello"
        lab.panel.remove_user(user.id)
        s.settimeout(20 * SLOW)
        try:
            assert s.recv(1) == b""
        except ConnectionResetError:
            pass
    with pytest.raises((OSError, EOFError)):
        traffic.echo(way, target, b"and again", 8)

