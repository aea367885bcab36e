"""What a user may: his rate, his presence in the panel."""
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from weirtest import SLOW, socks, traffic
from weirtest.fakepanel import FakePanel
from weirtest.lab import Lab
from weirtest.node import Node, entry
from weirtest.peers import Outbound, random_credential, start_client
from weirtest.proc import free_port, wait_until
from weirtest.shadowsocks import EIH, new_key, password_for
from weirtest.targets import CHUNK, stream

pytestmark = [pytest.mark.alone]

MBPS = 40


@pytest.fixture(scope="module")
def lab(module_procs, cert):
    return Lab(module_procs, cert)


@pytest.fixture(scope="module", params=["vless-raw", "trojan-tls"])
def limited(request, lab, target):
    user = lab.user(speed_limit=MBPS)
    return lab.until_served(lab.client(request.param, "weir", user), target)


def measure(sockets, move, seconds):
    """Mbit/s that `move(socket)` (bytes of one step) makes on all sockets together, after a second of run-up."""
    end = time.monotonic() + 1 + seconds
    marks = []

    def run(s):
        while time.monotonic() < end:
            n = move(s)
            if not n:
                return
            marks.append((time.monotonic(), n))

    threads = [threading.Thread(target=run, args=(s,)) for s in sockets]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    marks.sort()
    inside = [(t, n) for t, n in marks if t > end - seconds]
    return sum(n for _, n in inside[1:]) * 8 / 1e6 / (inside[-1][0] - inside[0][0])


def each(sockets, seconds):
    """The rates at which each of them receives, at the same time."""
    with ThreadPoolExecutor(len(sockets)) as pool:
        return list(pool.map(lambda one: measure([one], lambda s: len(s.recv(CHUNK)), seconds), sockets))


@pytest.mark.parametrize("connections", [1, 4])
def test_download_keeps_the_agreed_rate_within_three_percent(limited, target, connections):
    sockets = [limited.open(target) for _ in range(connections)]
    for i, s in enumerate(sockets):
        s.sendall(f"GET {1 << 34} {i}\n".encode())
    rate = measure(sockets, lambda s: len(s.recv(CHUNK)), 5)
    for s in sockets:
        traffic.reset(s)
    assert rate == pytest.approx(MBPS, rel=0.03)


def test_upload_keeps_the_agreed_rate_within_three_percent(limited, target):
    s = limited.open(target)
    s.sendall(f"PUT {1 << 30}\n".encode())
    traffic.read_line(s)
    data = next(stream(16384, 1))
    # What fills the buffers on the way goes at once; the rate is what the target takes.
    received = [target.received]
    end = time.monotonic() + 6

    def watch():
        time.sleep(1.5)
        received[0] = target.received, time.monotonic()
        time.sleep(4)
        received.append((target.received, time.monotonic()))

    t = threading.Thread(target=watch)
    t.start()
    while time.monotonic() < end:
        s.sendall(data)
    t.join()
    traffic.reset(s)
    (a, t0), (b, t1) = received
    assert (b - a) * 8 / 1e6 / (t1 - t0) == pytest.approx(MBPS, rel=0.03)


@pytest.mark.parametrize("kind", ["vless-raw", "trojan-tls"])
def test_packets_keep_the_agreed_rate_in_each_direction_within_three_percent(lab, target, udp_target, kind):
    """As much as the node lets through of what comes much too fast; the rest is dropped, as UDP is."""
    mbps = 8
    way = lab.until_served(lab.client(kind, "weir", lab.user(speed_limit=mbps)), target)
    begun, marks, got = time.monotonic(), [], [0]
    data = b"TWICE ".ljust(1250)  # what passes upwards at the rate comes down at twice the rate

    def send(u):
        # Twice the rate by the clock: who was held up makes up for it.
        sent = 0
        while (now := time.monotonic()) < begun + 6:
            while sent * len(data) * 8 < (now - begun) * 2e6 * mbps:
                u.sendto(data, udp_target.addresses[0])
                sent += 1
            time.sleep(0.002)

    def receive(u):
        while time.monotonic() < begun + 5.8:
            got[0] += len(u.recvfrom()[0])

    with socks.Udp(way.port) as u:
        threads = [threading.Thread(target=f, args=(u,)) for f in (send, receive)]
        for t in threads:
            t.start()
        for wait in 1.5, 4:
            time.sleep(wait)
            marks.append((udp_target.received, got[0], time.monotonic()))
        for t in threads:
            t.join()
    (up0, down0, t0), (up1, down1, t1) = marks
    rates = [n * 8 / 1e6 / (t1 - t0) for n in (up1 - up0, down1 - down0)]
    assert rates == pytest.approx([mbps, mbps], rel=0.03)


def test_a_changed_limit_holds_for_connections_that_run(lab, target):
    """Spliced ones, and such as are copied: one of each at once."""
    users = [lab.user(speed_limit=80) for _ in range(2)]
    ways = [lab.client(kind, "weir", user) for kind, user in zip(("vless-raw", "trojan-tls"), users)]
    sockets = [lab.until_served(way, target).open(target) for way in ways]
    for s in sockets:
        s.sendall(f"GET {1 << 34} 1\n".encode())
    assert each(sockets, 2) == pytest.approx([80, 80], rel=0.1)
    for user in users:
        lab.panel.change_user(user.id, speed_limit=20)
    # They have settled when what was under way at the old rate has come.
    time.sleep(3)
    assert each(sockets, 3) == pytest.approx([20, 20], rel=0.05)
    for s in sockets:
        traffic.reset(s)


def node_of_two(procs, cert, kind, gone, stays):
    """A panel of faults, a node on it with two users, and a client of each."""
    port, own, settings = free_port(), cert if kind == "trojan-tls" else None, {}
    protocol = kind.split("-")[0]
    if kind in EIH:
        protocol, settings = "shadowsocks", {"cipher": kind, "server_key": new_key(kind)}
    panel = FakePanel(protocol, port, [{"id": 1, "uuid": gone}, {"id": 2, "uuid": stays}], tls=int(own is not None), **settings)
    Node(procs, [entry(panel.url, panel.as_node(), own)], [port])
    ways = []
    for credential in gone, stays:
        o = Outbound(protocol, port, credential, own)
        if settings:
            o.method, o.credential = kind, password_for(kind, settings["server_key"], credential)
        ways.append(start_client("weir", procs, o))
    return panel, ways


class Beats:
    """Packets that are answered, one after another, until it is stopped or they are not."""

    def __init__(self, way, udp_target):
        self.udp, self.to, self.last = socks.Udp(way.port, 2), udp_target.addresses[0], 0.0
        self.thread = threading.Thread(target=self._run)
        self.over = False
        self.thread.start()

    def _run(self):
        try:
            while not self.over:
                self.udp.sendto(b"beat", self.to)
                self.udp.recvfrom()
                self.last = time.monotonic()
                time.sleep(0.01)
        except OSError:
            pass

    def stop(self):
        self.over = True
        self.thread.join()
        self.udp.close()


@pytest.mark.parametrize("kind", ["vless-raw", "trojan-tls", "2022-blake3-aes-128-gcm"])
def test_the_sessions_of_a_removed_user_end_within_a_second(procs, cert, target, udp_target, kind):
    gone, stays = random_credential(), random_credential()
    panel, ways = node_of_two(procs, cert, kind, gone, stays)
    quiet = [w.open(target) for w in ways]
    for s in quiet:
        s.sendall(b"ECHO\n1")
        assert s.recv(1) == b"1"
    busy = ways[0].open(target)
    busy.sendall(f"GET {1 << 34} 1\n".encode())
    beats = [Beats(w, udp_target) for w in ways]
    wait_until("packets of both", lambda: all(b.last for b in beats))
    ended = {}

    def until_end(name, s):
        try:
            while s.recv(CHUNK):
                pass
        except OSError:
            pass
        ended[name] = time.monotonic()

    for name, s in (("quiet", quiet[0]), ("busy", busy)):
        threading.Thread(target=until_end, args=(name, s), daemon=True).start()
    panel.users = [{"id": 2, "uuid": stays}]
    now = time.monotonic()
    wait_until("the node to ask", lambda: panel.asked("user", now), 5)
    told = next(t for t, action, _ in panel.log if action == "user" and t >= now)
    wait_until("both sessions to end", lambda: len(ended) == 2, 5)
    wait_until("the association to end", lambda: not beats[0].thread.is_alive(), 5)
    assert max(*ended.values(), beats[0].last) - told < 1.0 * SLOW
    # His neighbour has noticed nothing, and he himself is not let in again.
    quiet[1].sendall(b"2")
    assert quiet[1].recv(1) == b"2"
    noticed = time.monotonic()
    wait_until("the neighbour's packets", lambda: beats[1].last > noticed)
    with pytest.raises((OSError, EOFError)):
        traffic.echo(ways[0], target, b"again")
    for b in beats:
        b.stop()
    # What he moved is reported all the same.
    wait_until("the report of a user who is gone", lambda: panel.traffic(1)[1] > 0, 10)


def test_a_node_s_limits_changed_at_the_panel_hold_for_connections_that_run(lab, target):
    user = lab.user()
    way = lab.until_served(lab.client("trojan-raw", "weir", user), target)
    row = lab.rows["trojan-raw"]["id"]
    with way.open(target) as s:
        s.sendall(f"GET {1 << 34} 1\n".encode())
        for mbps in 60, 20:
            lab.panel.change_node(row, settings={"options": {"LimitConfig": {"SpeedLimit": mbps}}})
            time.sleep(3)
            assert measure([s], lambda s: len(s.recv(CHUNK)), 3) == pytest.approx(mbps, rel=0.06)
        traffic.reset(s)
    lab.panel.change_node(row, settings={"options": {}})


def test_all_users_together_keep_the_node_s_rate(procs, cert, target):
    lab = Lab(procs, cert, ["vless-raw"], NodeSpeedLimit=24)
    users = [lab.user() for _ in range(3)]
    ways = [lab.until_served(lab.client("vless-raw", "weir", u), target) for u in users]
    sockets = [w.open(target) for w in ways]
    for i, s in enumerate(sockets):
        s.sendall(f"GET {1 << 34} {i}\n".encode())
    # How exact a rate is, the tests of one user say; here a busy machine may be slower, and nobody faster.
    assert 19 < measure(sockets, lambda s: len(s.recv(CHUNK)), 4) < 25.5
    lab.node.text["Nodes"][0]["NodeSpeedLimit"] = 60
    lab.node.write()
    lab.node.reload()
    time.sleep(1)
    assert 40 < measure(sockets, lambda s: len(s.recv(CHUNK)), 4) < 63.5
    for s in sockets:
        traffic.reset(s)


def test_who_moves_much_is_slowed_down_for_a_while(procs, cert, target):
    rule = {"EnableDynamicSpeedLimit": True,
            "DynamicSpeedLimitConfig": {"Periodic": 1, "Traffic": "10MB", "SpeedLimit": 16, "ExpireTime": 60}}
    lab = Lab(procs, cert, ["vless-raw"], LimitConfig=rule)
    greedy, modest = lab.user(), lab.user(speed_limit=40)  # 5 MB in a period
    ways = [lab.until_served(lab.client("vless-raw", "weir", u), target) for u in (greedy, modest)]
    time.sleep(2)  # both have been looked at
    sockets = [w.open(target) for w in ways]
    for i, s in enumerate(sockets):
        s.sendall(f"GET {1 << 34} {i}\n".encode())
    each(sockets, 4)
    assert each(sockets, 4) == [pytest.approx(16, rel=0.1), pytest.approx(40, rel=0.1)]
    # Switched off, it lets go of everybody.
    lab.node.text["Nodes"][0]["LimitConfig"]["EnableDynamicSpeedLimit"] = False
    lab.node.write()
    lab.node.reload()
    time.sleep(1)
    assert each(sockets, 4)[0] > 100
    for s in sockets:
        traffic.reset(s)
