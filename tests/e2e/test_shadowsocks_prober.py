"""Probing a Shadowsocks port: whatever is wrong, nothing is said, and all end alike at the same moment."""
import random
import socket
import statistics
import time

import pytest
from weirtest import SLOW, shadowsocks, traffic
from weirtest.prober import Tap, probe
from weirtest.proc import listens, wait_until
from weirtest.shadowsocks import SALT, SsLab

METHODS = ("aes-128-gcm", "chacha20-ietf-poly1305", "2022-blake3-aes-128-gcm", "2022-blake3-aes-256-gcm")
DEADLINE = 2  # HandshakeTimeout
ELSEWHERE = "127.0.0.2"
# Salt, identity, fixed header: whoever has these right has used the salt up (SIP022).
HEAD = {m: SALT[m] + (16 + 27 if m.startswith("2022-") else 0) for m in METHODS}
STEP = 1 if SLOW == 1 else 50
FLIPS = 1 if SLOW == 1 else 7

pytestmark = [pytest.mark.quick, pytest.mark.one_thread, pytest.mark.alone]


@pytest.fixture(scope="module")
def lab(module_procs):
    lab = SsLab(module_procs, METHODS, HandshakeTimeout=DEADLINE)
    lab.known = lab.user()
    for _ in range(20):
        lab.user()
    return lab


def random_blobs(sizes):
    return [random.Random(n).randbytes(n) for n in sizes]


def assert_silent(seen, what):
    """No word, the same end for all, at the deadline."""
    said = [s for s in seen if s.said]
    assert not said, f"{what}: {len(said)} of {len(seen)} were answered"
    ends = {e: sum(s.end == e for s in seen) for e in ("fin", "reset", "none")}
    assert ends["fin"] == len(seen), f"{what}: {ends}"
    cut = sum(s.cut for s in seen)
    assert not cut, f"{what}: {cut} of {len(seen)} were cut off when they went on sending"
    times = sorted(s.seconds for s in seen)
    # The deadline counts from when the server accepts; the prober's own queue is in these times too.
    assert times[0] > DEADLINE - 0.3 and times[-1] < DEADLINE + 1.0 * SLOW, f"{what}: {times[0]:.2f} to {times[-1]:.2f} s"
    return statistics.median(times)


def flights(lab, procs, method, target, n=0):
    """What sslocal says at first: once to the server, or, with `n`, so many times to nobody."""
    o = lab.outbound(method, lab.known.credential)
    tap = Tap(o.port, n > 0)
    o.port = tap.port
    way = shadowsocks.client("sslocal", procs, o)
    if n == 0:
        lab.until_served(way, target)
        tap.flights.clear()
        traffic.echo(way, target, b"hello")
    for i in range(n):
        with way.open(target) as s:
            s.sendall(b"ECHO\nhello")
            wait_until("the client to speak", lambda: len(tap.flights) > i and len(tap.flights[i]) > HEAD[method], every=0.005)
    time.sleep(0.3)
    tap.close()
    return [bytes(f) for f in tap.flights]


@pytest.mark.parametrize("method", METHODS)
def test_random_bytes_of_any_length(lab, method):
    seen = probe(lab.ports[method], random_blobs(range(0, 2001, STEP)), DEADLINE + 5)
    assert_silent(seen, "random bytes")


@pytest.mark.parametrize("method", METHODS)
def test_more_and_more_is_read_until_the_same_moment(lab, method):
    """No threshold of bytes, and no reset with what was not read."""
    seen = probe(lab.ports[method], random_blobs([10, 100, 1000, 10000] * 5), DEADLINE + 5, also=bytes(20000))
    assert_silent(seen, "an endless sender")


@pytest.mark.parametrize("method", METHODS)
def test_replays(lab, procs, target, method):
    heard = flights(lab, procs, method, target)[0]
    connections = target.connections
    seen = probe(lab.ports[method], [heard] * 20, DEADLINE + 5)
    assert_silent(seen, "replays")
    assert target.connections == connections


def test_a_reload_forgets_no_salt(lab, procs, target):
    method = "aes-128-gcm"
    heard = flights(lab, procs, method, target)[0]
    lab.node.reload_with(ListenIP=["127.0.0.1", ELSEWHERE])
    # Who is let in there speaks to the new configuration.
    wait_until("the new address", lambda: listens(lab.ports[method], ELSEWHERE), 10)
    fresh = flights(lab, procs, method, target, 1)[0]
    with socket.create_connection((ELSEWHERE, lab.ports[method]), timeout=10 * SLOW) as s:
        s.sendall(fresh)
        assert s.recv(1), "nobody is served there: replays prove nothing"
    connections = target.connections
    assert_silent(probe(lab.ports[method], [heard, fresh] * 5, DEADLINE + 5, host=ELSEWHERE), "replays")
    assert target.connections == connections


def test_without_the_check_a_salt_may_come_again_but_not_that_of_2022(procs, target):
    lab = SsLab(procs, ("aes-128-gcm", "2022-blake3-aes-128-gcm"), HandshakeTimeout=DEADLINE, DisableIVCheck=True)
    lab.known = lab.user()
    heard = flights(lab, procs, "aes-128-gcm", target)[0]
    connections = target.connections
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", lab.ports["aes-128-gcm"]), timeout=10 * SLOW) as s:
            s.sendall(heard)
            assert s.recv(1), "the check is still there"
    assert target.connections == connections + 2
    heard = flights(lab, procs, "2022-blake3-aes-128-gcm", target)[0]
    connections = target.connections
    assert_silent(probe(lab.ports["2022-blake3-aes-128-gcm"], [heard] * 3, DEADLINE + 5), "replays")
    assert target.connections == connections


@pytest.mark.parametrize("method", METHODS)
def test_a_flip_in_any_byte(lab, procs, target, method):
    fresh, *others = flights(lab, procs, method, target, 60 if method.startswith("2022-") else 1)
    flips = []
    for at in range(0, len(fresh), FLIPS):
        beyond = others and at >= HEAD[method]
        wrong = bytearray(others[at - HEAD[method]] if beyond else fresh)
        wrong[at] ^= 1 << at % 8
        flips.append(bytes(wrong))
    connections = target.connections
    seen = probe(lab.ports[method], flips, DEADLINE + 5)
    flipped = assert_silent(seen, "flips")
    assert target.connections == connections
    prefixes = probe(lab.ports[method], [fresh[:n] for n in range(1, HEAD[method], 7)], DEADLINE + 5)
    assert abs(assert_silent(prefixes, "prefixes") - flipped) < 0.3 * SLOW
    noise = assert_silent(probe(lab.ports[method], random_blobs([len(fresh)] * 100), DEADLINE + 5), "noise")
    assert abs(noise - flipped) < 0.3 * SLOW
    with socket.create_connection(("127.0.0.1", lab.ports[method])) as s:
        s.sendall(fresh)
        s.settimeout(10 * SLOW)
        assert s.recv(1), "the flight itself was no good: the flips prove nothing"


@pytest.mark.parametrize("method", METHODS)
def test_datagrams_that_mean_nothing_are_not_answered(lab, method):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("127.0.0.1", lab.ports[method]))
        for blob in random_blobs(range(0, 1400, 7 * STEP)):
            s.send(blob)
        s.settimeout(1 * SLOW)
        with pytest.raises(TimeoutError):
            s.recv(2000)
