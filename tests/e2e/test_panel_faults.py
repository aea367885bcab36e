"""A panel that is down, lies or breaks off: users keep being served, and no byte is lost or counted twice."""
import threading
import time

import pytest
from weirtest import SLOW, fakepanel, traffic
from weirtest.fakepanel import FakePanel
from weirtest.node import Node, entry
from weirtest.peers import Outbound, random_credential, start_client
from weirtest.proc import free_port, wait_until

pytestmark = [pytest.mark.quick, pytest.mark.one_thread]


class Bench:
    """A misbehaving panel, a node on it and a client."""

    def __init__(self, procs, protocol="vless", wait=True, prepare=None):
        self.port = free_port()
        self.credential = random_credential()
        self.panel = FakePanel(protocol, self.port, [{"id": 1, "uuid": self.credential}])
        if prepare:
            prepare(self.panel)
        self.node = Node(procs, [entry(self.panel.url, self.panel.as_node(), Timeout=5)], [self.port] if wait else [])
        self.way = start_client("weir", procs, Outbound(protocol, self.port, self.credential))
        self.up = self.down = 0

    def moved(self, both):
        self.up += both[0]
        self.down += both[1]

    def serves(self, target):
        self.moved(traffic.echo(self.way, target, b"still there?"))

    def wait_asked(self, action, times, seconds=20):
        start = self.panel.asked(action)
        wait_until(f"{times} times {action}", lambda: self.panel.asked(action) >= start + times, seconds)

    def assert_billed(self, seconds=20):
        wait_until(f"totals of {self.up}, {self.down}", lambda: self.panel.traffic(1) == (self.up, self.down), seconds)


@pytest.fixture
def bench(procs):
    return Bench(procs)


LIES = {
    "down": fakepanel.hang_up,
    "500": fakepanel.status(500),
    "403": fakepanel.status(403),
    "html": fakepanel.html,
    "not-json": fakepanel.not_json,
    "truncated": fakepanel.truncated,
    "wrong-types": fakepanel.wrong_types,
    "failure-envelope": fakepanel.status(200, b'{"status":"fail","message":"no"}'),
    "no-users-key": fakepanel.status(200, b'{"data":{"x":1}}'),
    "empty-body": fakepanel.status(200, b""),
}


def test_no_lie_of_the_panel_takes_a_user_away(bench, target):
    bench.serves(target)
    for name, lie in LIES.items():
        for action in ("config", "user", "alivelist"):
            bench.panel.always[action] = lie
        now = time.monotonic()
        wait_until(f"the node to meet {name}", lambda t=now: bench.panel.asked("user", t) >= 1
                   and bench.panel.asked("config", t) >= 1, 20)
        time.sleep(0.2)
        assert bench.node.proc.alive(), name
        bench.serves(target)
    bench.panel.always.clear()
    # After all that a truthful answer is taken at once: no lie has left its validator behind.
    bench.panel.users = [{"id": 1, "uuid": bench.credential}, {"id": 2, "uuid": random_credential()}]
    bench.wait_asked("user", 3)
    bench.serves(target)
    bench.assert_billed()


ASKED = ("config", "user", "push")


@pytest.mark.parametrize("lie,lines,actions", [("html", 2, ASKED), ("500", 1, ASKED), ("truncated", 1, ("user",)),
                                               ("wrong-types", 1, ("user",))])
def test_the_same_lie_is_logged_once_and_its_end_too(bench, target, lie, lines, actions):
    def told():
        return [line for line in bench.node.proc.text().splitlines() if " debug " not in line]

    bench.serves(target)
    start, since = len(told()), time.monotonic()
    bench.panel.always.update(dict.fromkeys(actions, LIES[lie]))
    bench.serves(target)  # there is something to push
    for action in actions[::-1]:
        wait_until(f"{action} four times", lambda a=action: bench.panel.asked(a, since) >= 4, 20)
    time.sleep(0.2)
    lies = told()[start:]
    begins = [line for line in lies if "the answer begins: " in line]  # said of the first of them
    for action in actions:
        assert sum(f": {action}: " in line and line not in begins for line in lies) == 1, (action, lies)
    assert len(begins) == lines - 1 and len(lies) == len(actions) + len(begins), lies
    assert all(" warn" in line for line in lies), lies
    bench.panel.always.clear()
    bench.wait_asked("user", 3)
    bench.assert_billed()
    time.sleep(0.2)
    more = told()[start + len(lies):]
    assert len(more) <= len(actions) and not any(" warn" in line or " error" in line for line in more), more
    bench.serves(target)


def test_an_explicitly_empty_list_removes_everybody(bench, target):
    bench.serves(target)
    bench.panel.users = []
    bench.wait_asked("user", 2)
    time.sleep(0.5)
    with pytest.raises((OSError, EOFError)):
        bench.serves(target)
    bench.panel.users = [{"id": 1, "uuid": bench.credential}]
    bench.wait_asked("user", 2)
    time.sleep(0.5)
    bench.serves(target)


@pytest.mark.parametrize("action", ["config", "user"])
def test_a_body_of_100_mb_is_refused_without_being_kept(bench, target, action):
    bench.serves(target)
    before = bench.node.proc.memory_kb()
    bench.panel.always[action] = fakepanel.huge
    bench.wait_asked(action, 2, 40)
    if action == "config":
        time.sleep(0.5)
        assert bench.node.proc.memory_kb() - before < 40 * 1024
    bench.serves(target)
    bench.panel.always.clear()
    bench.wait_asked(action, 1, 40)
    if SLOW == 1:  # a sanitizer keeps what is freed
        # Users are kept while their list is read, and none of them when it has no end.
        wait_until("the memory to be given back", lambda: bench.node.proc.memory_kb() - before < 40 * 1024, 30, 0.1)
    bench.serves(target)
    bench.assert_billed()


def test_a_304_at_first_contact_is_asked_again_without_a_validator(procs, target):
    def prepare(panel):
        panel.faults["config"] = [fakepanel.not_modified]
        panel.faults["user"] = [fakepanel.not_modified]

    Bench(procs, prepare=prepare).serves(target)


def test_a_panel_that_is_away_at_the_start_is_waited_for(procs, target):
    bench = Bench(procs, wait=False, prepare=lambda panel: panel.stop())
    time.sleep(1)
    assert bench.node.proc.alive()
    bench.panel.start()
    bench.node.proc.wait_listening(bench.port, 30)
    bench.serves(target)


def test_the_node_starts_from_what_it_knew_when_the_panel_is_away(bench, target):
    bench.serves(target)
    bench.assert_billed()
    bench.node.stop()
    bench.panel.stop()
    bench.node.start(wait=False)
    bench.node.proc.wait_listening(bench.port, 20)
    bench.serves(target)
    bench.panel.start()
    bench.assert_billed()


def test_pushes_are_counted_once_whatever_becomes_of_their_answers(bench, target):
    bench.panel.faults["push"] = [
        fakepanel.commit_then_hang(0.2), fakepanel.hang_up, fakepanel.status(500), fakepanel.status(413),
        fakepanel.html, fakepanel.truncated, fakepanel.status(503, Retry_After="1"), fakepanel.commit_then_hang(7)]
    for i in range(40):
        bench.moved(traffic.echo(bench.way, target, b"%d" % i * 100))
        time.sleep(0.3)
        if not bench.panel.faults["push"]:
            break
    bench.assert_billed(40)
    # The same key always came with the same bytes.
    bodies = {}
    for key, body in bench.panel.pushes:
        assert bodies.setdefault(key, body) == body


def test_an_outage_of_the_panel_costs_nobody_a_byte(bench, target):
    bench.moved(traffic.download(bench.way, target, 1 << 20, 1))
    bench.panel.stop()
    for i in range(5):
        bench.moved(traffic.upload(bench.way, target, 300000, i))
        time.sleep(0.8)
    bench.node.stop()
    bench.node.start()
    bench.moved(traffic.download(bench.way, target, 1 << 20, 2))
    bench.panel.start()
    bench.assert_billed(70)


def test_traffic_flows_while_the_panel_is_slow(bench, target):
    for action in ("config", "user", "push", "alivelist", "alive"):
        bench.panel.always[action] = fakepanel.slow(3)
    worst = 0.0
    for _ in range(20):
        start = time.monotonic()
        bench.serves(target)
        worst = max(worst, time.monotonic() - start)
        time.sleep(0.1)
    assert worst < 2.5


def test_two_panels_do_not_wait_for_each_other(procs, target):
    """A node whose panel hangs does not hold up its neighbour."""
    ports = free_port(), free_port()
    users = [{"id": 1, "uuid": random_credential()}]
    stuck, fine = FakePanel("vless", ports[0], users), FakePanel("vless", ports[1], users)
    release = threading.Event()

    def hang(r):
        release.wait(30)
        r.drop()

    stuck.always["config"] = hang
    Node(procs, [entry(stuck.url, stuck.as_node()), entry(fine.url, fine.as_node())], [ports[1]])
    traffic.echo(start_client("weir", procs, Outbound("vless", ports[1], users[0]["uuid"])), target, b"x")
    release.set()
