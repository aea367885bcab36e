"""kill -9 in mid-transfer, at random moments: client-received <= billed <= target-sent, and nothing twice.  And at the
worst moments of a report: what has passed is billed to the byte."""
import random
import threading
import time

import pytest
from weirtest import SOAK, traffic
from weirtest.fakepanel import FakePanel
from weirtest.lab import Lab
from weirtest.load import Load
from weirtest.node import Node, entry
from weirtest.peers import Outbound, random_credential, start_client
from weirtest.proc import free_port, wait_until
from weirtest.targets import HashServer, UdpEcho

WAYS = [("vless-raw", "weir"), ("trojan-tls", "xray")]
if SOAK:
    WAYS += [("vless-tls", "sing-box"), ("trojan-raw", "xray")]
KILLS = 50 if SOAK else 6
KILLS_IN_REPORTS = 50 if SOAK else 2


@pytest.mark.soak
@pytest.mark.parametrize("kind, client", WAYS)
def test_kill_9_neither_loses_nor_doubles(procs, cert, kind, client):
    target, udp_target = HashServer(), UdpEcho(2)
    lab = Lab(procs, cert, [kind])
    user = lab.user(speed_limit=400)
    way = lab.until_served(lab.client(kind, client, user), target)
    # The target counts after it has sent: the client may be ahead of it.
    wait_until("the first report", lambda: lab.panel.traffic(user.id) == (target.received, target.sent))
    first = target.received, target.sent

    load = Load(way, target, udp_target)
    for _ in range(KILLS):
        time.sleep(random.uniform(0.3, 2.0))
        lab.node.proc.kill()
        lab.node.start()
    time.sleep(1)
    load.stop()
    # Two reports after the last byte the totals stand still.
    last = [None]

    def settled():
        now = lab.panel.traffic(user.id)
        same, last[0] = now == last[0], now
        return same and now[1] >= load.received + first[1]

    wait_until("the totals to settle", settled, 20, 2.5)
    up, down = last[0]
    assert load.received + first[1] <= down <= target.sent + udp_target.sent
    assert target.received + udp_target.received <= up <= load.sent + first[0]
    assert udp_target.sent > 0
    target.close()
    udp_target.close()


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
