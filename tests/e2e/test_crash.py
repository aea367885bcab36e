"""kill -9 in mid-transfer, at random moments: client-received <= billed <= target-sent, and nothing twice.  And at the
worst moments of a report: what has passed is billed to the byte."""
import random
import threading
import time

import pytest
from weirtest import SOAK, socks, traffic
from weirtest.fakepanel import FakePanel
from weirtest.lab import Lab
from weirtest.node import Node, entry
from weirtest.peers import Outbound, random_credential, start_client
from weirtest.proc import free_port, wait_until
from weirtest.targets import CHUNK, HashServer, UdpEcho, stream

WAYS = [("vless-raw", "weir"), ("trojan-tls", "xray")]
if SOAK:
    WAYS += [("vless-tls", "sing-box"), ("trojan-raw", "xray")]
KILLS = 50 if SOAK else 6
KILLS_IN_REPORTS = 50 if SOAK else 2


class Load:
    """Downloads, uploads and packets that start again when they are broken off, counting what the client saw."""

    def __init__(self, way, target, udp_target=None):
        self.way, self.target, self.udp_target = way, target, udp_target
        self.received = self.sent = 0
        self._stop = False
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=f, daemon=True)
                         for f in ((self._stream, self._down), (self._stream, self._down), (self._stream, self._up),
                                   (self._packets,))[:4 if udp_target else 3]]
        for t in self._threads:
            t.start()

    def _count(self, received=0, sent=0):
        with self._lock:
            self.received += received
            self.sent += sent

    def _run(self, work, *more):
        while not self._stop:
            try:
                work(*more)
            except (OSError, EOFError):
                time.sleep(0.05)

    def _stream(self, move):
        with self.way.open(self.target, 5) as s:
            move(s)

    def _packets(self):
        # Whose answers do not come has been cut off: another association.
        with socks.Udp(self.way.port, 0.5) as u:
            while not self._stop:
                for i in range(8):
                    self._count(sent=1000)
                    u.sendto(bytes(1000), self.udp_target.addresses[i % 2])
                for _ in range(8):
                    self._count(received=len(u.recvfrom()[0]))

    def _say(self, s, line):
        # Counted before it is sent: the upper bound of what can have been billed.
        self._count(sent=len(line))
        s.sendall(line)

    def _down(self, s):
        self._say(s, b"GET 1000000000 1\n")
        while not self._stop:
            n = len(s.recv(CHUNK))
            if not n:
                return
            self._count(received=n)

    def _up(self, s):
        self._say(s, b"PUT 1000000000\n")
        self._count(received=len(traffic.read_line(s)))
        for chunk in stream(1000000000, 2):
            if self._stop:
                return
            for at in range(0, len(chunk), 16384):
                self._count(sent=len(chunk[at:at + 16384]))
                s.sendall(chunk[at:at + 16384])

    def stop(self):
        self._stop = True
        for t in self._threads:
            t.join()


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
