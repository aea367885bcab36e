"""The inbounds of a node are rebuilt while multiplexed clients work: they lose nothing that they have or begin."""
import re
import threading
import time

import pytest
from weirtest import SLOW, traffic
from weirtest.lab import Lab
from weirtest.peers import start_client
from weirtest.proc import wait_until
from weirtest.socks import recv_exactly

COOL = "cool"
KIND = "vless-raw"
CLIENTS = (("xray", COOL), ("sing-box", "smux"), ("sing-box", "yamux"), ("sing-box", "h2mux"),
           ("weir", COOL), ("weir", "smux"), ("weir", "yamux"), ("weir", "h2mux"))


@pytest.fixture(scope="module")
def lab(module_procs, cert):
    return Lab(module_procs, cert, (KIND,), top={"Workers": 1})


def multiplexed(o, client, mux):
    """All streams in one connection, as long as they are few."""
    if mux == COOL:
        o.mux = 8
    elif client == "weir":
        o.multiplex = {"protocol": mux, "max_streams": 8}
    else:
        o.multiplex = {"enabled": True, "protocol": mux, "max_connections": 1}
    return o


@pytest.fixture(scope="module")
def ways(lab, target):
    """Of each client: its name, its user, its way."""
    users = [lab.user() for _ in CLIENTS]
    outbounds = [multiplexed(lab.outbound(KIND, u.credential), *c) for u, c in zip(users, CLIENTS)]
    them = [(" ".join(c), u, start_client(c[0], lab.procs, o)) for c, u, o in zip(CLIENTS, users, outbounds)]
    for _, _, way in them:
        lab.until_served(way, target)
    return them


class Work:
    """Short conversations one behind the other over each way, so that their connections are without a stream again
    and again; with `held` beside a long one that never misses a beat."""

    def __init__(self, ways, target, held):
        self.target, self.wrong, self.done = target, [], {name: 0 for name, _, _ in ways}
        self._stop = False
        self.threads = [threading.Thread(target=self._work, args=(name, way, held)) for name, _, way in ways]
        for t in self.threads:
            t.start()

    def _work(self, name, way, held):
        long = None
        try:
            if held:
                long = way.open(self.target, 20 * SLOW)
                long.sendall(b"ECHO\n")
            while not self._stop:
                traffic.echo(way, self.target, b"short", 20 * SLOW)
                word = b"%08d" % self.done[name]
                if long:
                    long.sendall(word)
                    assert recv_exactly(long, 8) == word
                self.done[name] += 1
        except (OSError, EOFError, AssertionError) as e:
            self.wrong.append(f"{name}, after {self.done[name]}: {e!r}")
        finally:
            if long:
                long.close()

    def more(self, n):
        """Waits until each has gone so far again."""
        before = dict(self.done)
        wait_until("all to go on", lambda: self.wrong or all(self.done[k] >= before[k] + n for k in before), 30, 0.02)

    def stop(self):
        self._stop = True
        for t in self.threads:
            t.join()
        assert not self.wrong, self.wrong


def rebuild(lab, limit):
    """An option that changes nothing for anybody here, and yet makes new inbounds."""
    lab.node.reload_with(StrangerLimitPerIP=limit)


@pytest.mark.parametrize("held", (False, True), ids=("short", "held"))
def test_nothing_is_lost(lab, ways, target, held):
    work = Work(ways, target, held)
    try:
        for i in range(5):
            work.more(5)
            rebuild(lab, 1000 + 10 * held + i)
        time.sleep(0.3)
        work.more(10)
    finally:
        work.stop()


def carriers(lab, user):
    return set(re.findall(rf" peer=(\S+) user={user.id} net=tcp ", lab.node.proc.text()))


def test_who_heeds_a_goodbye_goes_to_another_connection(lab, ways, target):
    name, user, way = ways[-1]
    assert name == "weir h2mux"
    with way.open(target) as s:
        s.sendall(b"ECHO\nlong")
        assert recv_exactly(s, 4) == b"long"
        traffic.echo(way, target, b"beside it")  # names its carrier when it has ended
        before = len(wait_until("the carrier of both", lambda: carriers(lab, user)))
        rebuild(lab, 2000)

        def moved():
            traffic.echo(way, target, b"short")
            return len(carriers(lab, user)) > before

        wait_until("another connection", moved, 20, 0.05)
        s.sendall(b"still")
        assert recv_exactly(s, 5) == b"still"
