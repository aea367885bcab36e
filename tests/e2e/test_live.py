"""Byte-exact accounting while it happens, in every case: long streams and associations of real clients run side by
side, and at each moment the node has counted what a client has (it counts before it hands on) and no more than was
sent; the panel follows while they run; in the end all three agree to the byte."""
import contextlib
import re
import time

import pytest
from weirtest import SLOW
from weirtest.peers import CLIENTS as ALL
from weirtest.proc import wait_until
from weirtest.site import MODES, Case, Site, start_lanes
from weirtest.steady import Counted, Pace

CLASSIC, EIH = "aes-256-gcm", "2022-blake3-aes-128-gcm"
# Seconds from a client's having bytes to their being on the panel, while they go on coming: reports go out once a second,
# and a crowded machine takes its time.
SEEN = 20

OURS = ("xray", "weir")  # who speaks VLESS Encryption
CASES = [Case("vless-raw", c, spliced=True) for c in ALL]
CASES += [Case(node, c) for node in ("vless-tls", "vless-reality", "trojan-tls", "trojan-reality", "vmess-tls")
          for c in ALL]
CASES += [Case("trojan-raw", c, spliced=True) for c in ALL]
CASES += [Case(node, c, spliced=True) for node in ("vless-tls-vision", "vless-reality-vision") for c in ALL]
CASES += [Case(f"vless-{mode}", c) for mode in MODES for c in OURS]
CASES += [Case(f"vless-{mode}-vision", c, spliced=mode != "random") for mode in MODES for c in OURS]
CASES += [Case("vmess-raw", c, cipher=m, spliced=m == "zero") for m, c in zip(("aes-128-gcm", "chacha20-poly1305", "none", "zero", "zero"),
                                                         ("xray", "sing-box", "weir", "xray", "weir"))]
CASES += [Case(m, c) for m, c in (("aes-128-gcm", "sslocal"), ("aes-192-gcm", "ss-local"), (CLASSIC, "xray"),
                                  ("chacha20-ietf-poly1305", "sing-box"), ("xchacha20-ietf-poly1305", "weir"),
                                  (EIH, "sslocal"), (EIH, "sing-box"), ("2022-blake3-aes-256-gcm", "xray"),
                                  ("2022-blake3-aes-256-gcm", "weir"))]
CASES += [Case(node, c, mux=8) for node, c in (("vless-raw", "xray"), ("vmess-raw", "xray"), ("trojan-tls", "xray"),
                                               (CLASSIC, "xray"), ("vless-random", "xray"), ("vless-reality", "weir"))]
CASES += [Case(node, c, multiplex=m) for node, m, c in (
    ("vless-raw", "smux", "sing-box"), ("vmess-raw", "yamux,padding", "sing-box"), ("trojan-tls", "h2mux", "sing-box"),
    ("trojan-raw", "smux,padding", "weir"), (EIH, "yamux", "weir"), ("vless-tls", "h2mux,padding", "weir"))]
CASES += [Case(node, c, "udp") for node, c in (
    ("vless-raw", "xray"), ("vless-tls", "sing-box"), ("vless-reality-vision", "xray"), ("vless-tls-vision", "weir"),
    ("vless-random", "weir"), ("vmess-tls", "sing-box"), ("trojan-raw", "xray"), ("trojan-tls", "sing-box"),
    ("trojan-reality", "weir"), ("aes-128-gcm", "ss-local"), ("chacha20-ietf-poly1305", "sslocal"), (EIH, "sslocal"),
    ("2022-blake3-aes-256-gcm", "xray"))]
CASES += [Case("vless-raw", "sing-box", "udp", cone=False), Case("vmess-raw", "sing-box", "udp", cone=False),
          Case("trojan-raw", "xray", "udp", mux=8), Case("vless-reality-vision", "xray", "udp", mux=8),
          Case("vless-tls", "weir", "udp", mux=8), Case("vless-tls", "sing-box", "udp", multiplex="h2mux"),
          Case(CLASSIC, "weir", "udp", multiplex="smux")]


def page(site):
    """{user: bytes down}, as the panel has it."""
    return {u["id"]: u["d"] for u in site.panel.admin("GET", "/users?limit=1000")["users"]}


def watch_panel(site, lanes):
    """How long it takes until what the clients have now is there."""
    had = {lane: lane.before[1] + lane.bounds()[2] for lane in lanes}
    began = time.monotonic()

    def all_seen():
        seen = page(site)
        for lane in lanes:
            if lane.seen_after is None and seen[lane.user.id] >= had[lane]:
                lane.seen_after = time.monotonic() - began
        return all(lane.seen_after is not None for lane in lanes) or time.monotonic() - began > SEEN * SLOW

    wait_until("the panel to see it, or its time to be over", all_seen, 2 * SEEN, 0.1)


@pytest.fixture(scope="module")
def lanes(module_procs, cert, target):
    site, pace = Site(module_procs, cert, CASES), Pace(cert)
    every = start_lanes(site, pace, target)
    lanes = [lane for lane in every if not lane.error]  # of the others their own tests tell
    counted = Counted(site.node, [user.id for user in site.users])
    pace.watch = lambda: [lane.look(counted) for lane in lanes]
    watch_panel(site, lanes)
    with contextlib.suppress(AssertionError):
        wait_until("enough to have been seen", lambda: pace.error or all(lane.grew() >= 5 for lane in lanes), 20)
    late = pace.stop()
    pace.broke = set(pace.broken)
    whole = {id(f) for lane in lanes for f in lane.flows if f not in late and f.whole()}
    pace.close()
    for lane in lanes:
        lane.whole = all(id(f) in whole and f not in pace.broke for f in lane.flows)
        for f in lane.flows:
            lane.moved(f)
    yield dict(zip(map(str, CASES), every))


@pytest.mark.parametrize("name", map(str, CASES))
def test_every_byte_is_counted_before_it_arrives_and_billed_while_it_runs(lanes, name):
    lane = lanes[name]
    assert not lane.error, lane.error
    assert lane.whole and lane.grew() >= 5
    lane.assert_counted()
    assert lane.seen_after is not None, f"the panel did not follow within {SEEN * SLOW:.0f} s"
    lane.user.assert_billed()
    # Inside of a multiplexer a session's end takes its time.
    if lane.case.what == "tcp" and not lane.case.mux and not lane.case.multiplex:
        line = re.compile(rf" user={lane.user.id} net=tcp dest=\S+ up=(\d+) .*spliced=(\d+)")
        least = min(f.moved()[0] for f in lane.flows)

        def spliced():
            """Of the long ones: until a client was let in it may have tried more than once."""
            return [int(n) for up, n in line.findall(lane.user.lab.node.proc.text()) if int(up) >= least]

        ended = wait_until("its sessions to end", lambda: len(n := spliced()) >= len(lane.flows) and n)
        assert (max(ended) > 0) == lane.case.spliced
