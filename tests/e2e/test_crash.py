"""kill -9 in mid-transfer, at random moments: client-received <= billed <= target-sent, and nothing twice.  And at the
worst moments of a report: what has passed is billed to the byte."""
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from weirtest import SOAK, traffic
from weirtest.fakepanel import FakePanel
from weirtest.load import Load
from weirtest.node import Node, entry
from weirtest.peers import Outbound, random_credential, start_client
from weirtest.proc import free_port, wait_until
from weirtest.site import Case, Site
from weirtest.targets import HashServer, UdpEcho

EIH = "2022-blake3-aes-128-gcm"
CASES = [Case("vless-raw", "weir"), Case("trojan-tls", "xray"), Case("vless-tls", "sing-box"),
         Case("vmess-raw", "sing-box"), Case("vless-reality", "xray"), Case("vless-random", "weir"), Case(EIH, "sslocal"),
         Case("trojan-raw", "xray", mux=8)]
KILLS = 50 if SOAK else 6
KILLS_IN_REPORTS = 50 if SOAK else 2


class Victim:
    """A user who never stops, with targets of his own."""

    def __init__(self, site, user, way):
        self.panel, self.user = site.panel, user
        self.target, self.udp_target = HashServer(), UdpEcho(2)
        self.way = site.until_served(way, self.target)

    def begin(self):
        # The target counts after it has sent: the client may be ahead of it.
        wait_until("the first report", lambda: self.billed() == (self.target.received, self.target.sent))
        self.first = self.target.received, self.target.sent
        self.load = Load(self.way, self.target, self.udp_target)

    def billed(self):
        return self.panel.traffic(self.user.id)

    def has_all(self, billed):
        return (billed[0] >= self.target.received + self.udp_target.received and
                billed[1] >= self.load.received + self.first[1])

    def assert_in_bounds(self):
        up, down = self.billed()
        assert self.load.received + self.first[1] <= down <= self.target.sent + self.udp_target.sent
        assert self.target.received + self.udp_target.received <= up <= self.load.sent + self.first[0]
        assert self.udp_target.sent > 0 and self.load.received > 0

    def close(self):
        self.target.close()
        self.udp_target.close()


@pytest.mark.soak
def test_kill_9_neither_loses_nor_doubles(procs, cert):
    """Streams and packets over every kind of inbound at once."""
    site = Site(procs, cert, CASES, speed_limit=60)
    with ThreadPoolExecutor(len(CASES)) as pool:
        victims = list(pool.map(lambda u, w: Victim(site, u, w), site.users, site.ways()))
    for v in victims:
        v.begin()
    for _ in range(KILLS):
        time.sleep(random.uniform(0.3, 2.0))
        site.node.proc.kill()
        site.node.start()
    time.sleep(1)
    for v in victims:
        v.load.stop()
    # Two reports after the last byte the totals stand still.
    last = [None]

    def settled():
        now = [v.billed() for v in victims]
        same, last[0] = now == last[0], now
        return same and all(v.has_all(n) for v, n in zip(victims, now))

    wait_until("the totals to settle", settled, 20, 2.5)
    for v in victims:
        v.assert_in_bounds()
        v.close()


class Reports:
    """A panel that kills the node over every report once, before it is taken, after that, or behind the answer."""

    def __init__(self, procs, moment):
        self.moment = moment
        self.port, self.credential = free_port(), random_credential()
        self.panel = FakePanel("vless", self.port, [{"id": 1, "uuid": self.credential}])
        self.panel.always["push"] = self._answer
        self.node = Node(procs, [entry(self.panel.url, self.panel.as_node(), Timeout=5)], [self.port])
        self.way = start_client("weir", procs, Outbound("vless", self.port, self.credential))
        self.armed, self.killed = threading.Event(), threading.Event()
        self._seen = set()

    def _answer(self, r):
        key = r.headers["Idempotency-Key"]
        # Not in the middle of a conversation: then nobody knows what has passed.
        if key in self._seen or not self.armed.wait(3):
            r.good()
            return
        self._seen.add(key)
        if self.moment != "before":
            self.panel.take_push(r)
        if self.moment == "answered":
            r.answer(200, b'{"data":true}')
        self.node.proc.kill()
        r.drop()
        self.armed.clear()
        self.killed.set()

    def kill_over_next(self):
        self.armed.set()
        assert self.killed.wait(30), "no report came"
        self.killed.clear()
        self.node.start()


@pytest.mark.soak
@pytest.mark.parametrize("moment", ["before", "committed", "answered"])
def test_kill_9_in_a_report_bills_it_once(procs, target, moment):
    reports = Reports(procs, moment)
    up = down = 0
    for i in range(KILLS_IN_REPORTS):
        moved = traffic.echo(reports.way, target, b"%d" % i * (1 + i * 997 % 20000))
        up, down = up + moved[0], down + moved[1]
        reports.kill_over_next()
    wait_until(f"totals of {up}, {down}", lambda: reports.panel.traffic(1) == (up, down), 20)
    time.sleep(2.5)
    assert reports.panel.traffic(1) == (up, down)
    # The same key always came with the same bytes.
    bodies = {}
    for key, body in reports.panel.pushes:
        assert bodies.setdefault(key, body) == body
