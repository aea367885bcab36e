"""Probing a VMess port: whatever is wrong, nothing is said, and all end alike at the same moment."""
import random
import socket
import statistics
import time

import pytest
from weirtest import SLOW, traffic
from weirtest.lab import Lab
from weirtest.peers import start_client
from weirtest.prober import Tap, probe
from weirtest.proc import listens, wait_until

DEADLINE = 2
ELSEWHERE = "127.0.0.2"
HEAD = 16 + 18 + 8
STEP = 1 if SLOW == 1 else 50

pytestmark = [pytest.mark.quick, pytest.mark.one_thread, pytest.mark.alone]


@pytest.fixture(scope="module")
def lab(module_procs, cert):
    lab = Lab(module_procs, cert, ("vmess-raw",), HandshakeTimeout=DEADLINE)
    lab.known = lab.user()
    for _ in range(20):
        lab.user()
    return lab


def random_blobs(sizes):
    return [random.Random(n).randbytes(n) for n in sizes]


def assert_silent(lab, blobs, what, also=b"", host="127.0.0.1"):
    """No word, the same end for all, at the deadline: its median."""
    seen = probe(lab.ports["vmess-raw"], blobs, DEADLINE + 5, also, host)
    said = [s for s in seen if s.said]
    assert not said, f"{what}: {len(said)} of {len(seen)} were answered"
    ends = {e: sum(s.end == e for s in seen) for e in ("fin", "reset", "none")}
    assert ends["fin"] == len(seen), f"{what}: {ends}"
    cut = sum(s.cut for s in seen)
    assert not cut, f"{what}: {cut} of {len(seen)} were reset when they went on behind the end"
    times = sorted(s.seconds for s in seen)
    # The deadline counts from when the server accepts; the prober's own queue is in these times too.
    assert times[0] > DEADLINE - 0.3 and times[-1] < DEADLINE + 1.0 * SLOW, f"{what}: {times[0]:.2f} to {times[-1]:.2f} s"
    return statistics.median(times)


def flight(lab, procs, target, swallow):
    """What Xray says at first: to the server, or to nobody."""
    o = lab.outbound("vmess-raw", lab.known.credential)
    o.method, o.sealed_length = "aes-128-gcm", True
    tap = Tap(o.port, swallow)
    o.port = tap.port
    way = start_client("xray", procs, o)
    if not swallow:
        lab.until_served(way, target)
        tap.flights.clear()
        traffic.echo(way, target, b"hello")
    else:
        with way.open(target) as s:
            s.sendall(b"ECHO\nhello")
            wait_until("the client to speak", lambda: tap.flights and len(tap.flights[0]) > HEAD, every=0.005)
            time.sleep(0.3)
    tap.close()
    return bytes(tap.flights[0])


def test_noise_of_any_length_and_without_end(lab):
    assert_silent(lab, random_blobs(range(0, 1000, STEP)), "random bytes")
    assert_silent(lab, random_blobs([10, 100, 1000, 10000] * 5), "an endless sender", also=bytes(20000))


def test_replays(lab, procs, target):
    heard = flight(lab, procs, target, False)
    connections = target.connections
    assert_silent(lab, [heard] * 20, "replays")
    assert target.connections == connections


def test_a_reload_forgets_no_auth_id(lab, procs, target):
    heard = flight(lab, procs, target, False)
    lab.node.reload_with(ListenIP=["127.0.0.1", ELSEWHERE])
    # Who is let in there speaks to the new configuration.
    wait_until("the new address", lambda: listens(lab.ports["vmess-raw"], ELSEWHERE), 10)
    fresh = flight(lab, procs, target, True)
    with socket.create_connection((ELSEWHERE, lab.ports["vmess-raw"]), timeout=10 * SLOW) as s:
        s.sendall(fresh)
        assert s.recv(1), "nobody is served there: replays prove nothing"
    connections = target.connections
    assert_silent(lab, [heard, fresh] * 5, "replays", host=ELSEWHERE)
    assert target.connections == connections


def test_a_flip_in_any_byte(lab, procs, target):
    fresh = flight(lab, procs, target, True)
    # the request is 49 bytes and what it is padded with, and the address: all of it, and the sealed length behind it
    flips = []
    for at in range(min(len(fresh), HEAD + 16 + 49)):
        wrong = bytearray(fresh)
        wrong[at] ^= 1 << at % 8
        flips.append(bytes(wrong))
    connections = target.connections
    flipped = assert_silent(lab, flips, "flips")
    prefixes = assert_silent(lab, [fresh[:n] for n in range(1, HEAD + 49, 7)], "prefixes")
    noise = assert_silent(lab, random_blobs([len(fresh)] * 100), "noise")
    assert abs(prefixes - flipped) < 0.3 * SLOW and abs(noise - flipped) < 0.3 * SLOW
    assert target.connections == connections
    with socket.create_connection(("127.0.0.1", lab.ports["vmess-raw"])) as s:
        s.sendall(fresh)
        s.settimeout(10 * SLOW)
        assert s.recv(1), "the flight itself was no good: the flips prove nothing"
