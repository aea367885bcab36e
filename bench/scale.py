"""A node with many users: how long it takes to have them, how long a change of them takes, what they hold, and what
those notice of a change whom it does not concern."""
import csv
import json
import os
import re
import statistics
import subprocess
import time
import uuid

from weirtest import peers
from weirtest.node import Node, entry
from weirtest.panel import Panel
from weirtest.proc import free_port, listens, wait_until

CREDENTIAL = 36  # a UUID as text: what a user brings himself
HELD = 200  # sessions that are under way while users change


class Sessions:
    """bench/hold: a session of each of some users, of whom the first downloads without end."""

    def __init__(self, folder, build, port, credentials):
        links = os.path.join(folder, "held")
        with open(links, "w", encoding="ascii") as f:
            f.writelines(peers.link(peers.Outbound("vless", port, c)) + "\n" for c in credentials)
        self.proc = subprocess.Popen([str(build / "bench/hold"), links, str(free_port())], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, text=True)
        assert self.proc.stdout.readline() == f"held {len(credentials)}\n"

    def longest(self):
        """Since the last call: ms without a byte in a slow session, and in the download."""
        self.proc.stdin.write("\n")
        self.proc.stdin.flush()
        got = json.loads(self.proc.stdout.readline())
        assert got["lost"] == 0, f"{got['lost']} sessions are lost"
        return got["slow"] / 1e3, got["bulk"] / 1e3

    def stop(self):
        self.proc.stdin.close()
        self.proc.wait(20)


class Crowd:
    """`weir panel` and the users in its store."""

    def __init__(self, procs):
        self.procs, self.made = procs, 0
        self.some = []  # credentials of those who came first
        self.panel = Panel(procs)

    def add(self, n):
        path = os.path.join(self.procs.folder, f"users.{self.made}.csv")
        with open(path, "w", encoding="ascii", newline="") as f:
            rows = csv.writer(f)
            rows.writerow(["name", "uuid"])
            new = [(f"u{i}", uuid.uuid4()) for i in range(self.made, self.made + n)]
            rows.writerows(new)
        self.some += [str(u) for _, u in new[:HELD]]
        subprocess.run([os.environ["WEIR_BIN"], "panel", "user", "import", "--db", self.panel.db, path], check=True,
                       capture_output=True, timeout=300)
        self.made += n


def start_node(crowd, kind, workers):
    port = free_port()
    row = crowd.panel.add_node(kind, port)
    began = time.monotonic()
    node = Node(crowd.procs, [entry(crowd.panel.url, row)], [], f"node-{crowd.made}", Workers=workers)
    wait_until("the node to listen", lambda: listens(port), 120, 0.005)
    took = time.monotonic() - began
    node.ports = [port]
    return node, took


def applied(node):
    """(microseconds until the last worker had it, ms of reading) of every list so far."""
    text = node.proc.text()
    return ([int(n) for n in re.findall(r"on all workers after (\d+) us", text)],
            [float(n) for n in re.findall(r"users, read in ([\d.]+) ms", text)])


def resting(node, seconds):
    time.sleep(seconds)
    return node.proc.memory_kb() * 1024


def change(crowd, node, n):
    """A change as the node sees it: the whole list, of which n are new."""
    before = len(applied(node)[1])
    crowd.add(n)
    wait_until("the change", lambda: len(applied(node)[1]) > before, 60)
    time.sleep(0.3)
    times, reading = applied(node)
    return times[-1] / 1e3, reading[-1]


def held(crowd, node, build, part, rounds, rest):
    """The changes again, beside sessions of users whom they do not concern."""
    some = Sessions(crowd.procs.folder, build, node.ports[0], crowd.some[:HELD])
    try:
        time.sleep(rest / 2)
        some.longest()
        time.sleep(rest)
        before = some.longest()
        changes = [change(crowd, node, part) for _ in range(rounds)]
        after = some.longest()
    finally:
        some.stop()
    beside = f"beside {min(HELD, len(crowd.some))} sessions, one of them a download"
    return [
        (f"{beside}, a change of {part}: from the list to the last worker's answer", statistics.median(c[0] for c in changes), "ms"),
        ("... the slowest", max(c[0] for c in changes), "ms"),
        ("... the longest that one of them, which sends every 20 ms, went without a byte, before", before[0], "ms"),
        ("... and meanwhile; none lost", after[0], "ms"),
        ("... the longest that the download (50 MB/s) went without a byte, before", before[1], "ms"),
        ("... and meanwhile", after[1], "ms"),
    ]


def measure(procs, build, users, part, rounds=5, rest=4, kind="vless", workers=2):
    """Rows of (what, figure, unit); memory is looked at after `rest` seconds of quiet."""
    crowd = Crowd(procs)
    crowd.add(1)
    node, alone_s = start_node(crowd, kind, workers)
    alone = resting(node, rest)
    node.stop()
    crowd.add(users - 1)
    node, start_s = start_node(crowd, kind, workers)
    wait_until("the users", lambda: applied(node)[1], 60)
    time.sleep(0.5)
    times, reading = applied(node)
    crowded = resting(node, rest)
    changes = [change(crowd, node, part) for _ in range(rounds)]
    return [
        ("from exec to listening, with one user", alone_s * 1e3, "ms"),
        (f"from exec to listening, with {users}", start_s * 1e3, "ms"),
        ("the first list: reading it", reading[0], "ms"),
        ("the first list: from there to the last worker's answer", times[-1] / 1e3, "ms"),
        (f"a change of {part}: reading the whole list", statistics.median(c[1] for c in changes), "ms"),
        (f"a change of {part}: from there to the last worker's answer", statistics.median(c[0] for c in changes), "ms"),
        ("... the slowest", max(c[0] for c in changes), "ms"),
        ("RSS of a user beyond his credential", (crowded - alone) / (users - 1) - CREDENTIAL, "B"),
        ("RSS with one user", alone / 1024, "KiB"),
    ] + held(crowd, node, build, part, rounds, rest)
