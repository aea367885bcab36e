"""The node ends while something is still going on: a node that drains, sessions, applies."""
import time

import pytest
from weirtest import SLOW
from weirtest.lab import Lab
from weirtest.proc import listens, wait_until

pytestmark = [pytest.mark.quick]


@pytest.fixture
def lab(procs, cert):
    return Lab(procs, cert, ["vless-raw", "trojan-raw"])


def talking(way, target):
    s = way.open(target)
    s.sendall(b"ECHO\n1")
    assert s.recv(1) == b"1"
    return s


def drop_node(lab, kind):
    """Out of the file; its listener is gone, its conversations go on."""
    lab.node.text["Nodes"] = [e for e in lab.node.text["Nodes"] if e["Name"] != kind]
    lab.node.write()
    lab.node.reload()
    wait_until("the node to leave", lambda: not listens(lab.ports[kind]), 10)


def ends_well(lab, seconds):
    begun = time.monotonic()
    lab.node.stop()
    assert time.monotonic() - begun < seconds * SLOW


def test_sigterm_while_a_removed_node_still_drains(lab, target):
    user = lab.user()
    way = lab.until_served(lab.client("vless-raw", "weir", user), target)
    with talking(way, target) as s:
        drop_node(lab, "vless-raw")
        s.sendall(b"2")
        assert s.recv(1) == b"2"
        ends_well(lab, 20)


def test_sigterm_bills_what_a_removed_node_still_moved(lab, target):
    user = lab.user()
    way = lab.until_served(lab.client("vless-raw", "weir", user), target, user)
    s = talking(way, target)
    drop_node(lab, "vless-raw")
    data = b"x" * 100_000
    s.sendall(data)
    got = 0
    while got < len(data):
        got += len(s.recv(65536))
    lab.node.stop()
    s.close()
    moved = len("ECHO\n1") + got
    assert lab.panel.traffic(user.id) == (user.up + moved, user.down + moved - len("ECHO\n"))


def test_a_second_sigterm_ends_at_once_with_sessions_open(lab, target):
    user = lab.user()
    way = lab.until_served(lab.client("vless-raw", "weir", user), target)
    lab.node.text["ShutdownGrace"] = 60
    lab.node.write()
    lab.node.reload()
    time.sleep(0.5)
    with talking(way, target):
        lab.node.proc.popen.terminate()
        wait_until("the listeners to close", lambda: not listens(lab.ports["vless-raw"]), 10)
        ends_well(lab, 10)
