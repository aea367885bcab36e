"""A node with many users: how long it takes to have them, how long a change of them takes, and what they hold."""
import csv
import os
import re
import statistics
import subprocess
import time
import uuid

from weirtest.node import Node, entry
from weirtest.panel import Panel
from weirtest.proc import free_port, listens, wait_until

CREDENTIAL = 36  # a UUID as text: what a user brings himself


class Crowd:
    """`weir panel` and the users in its store."""

    def __init__(self, procs):
        self.procs, self.made = procs, 0
        self.panel = Panel(procs)

    def add(self, n):
        path = os.path.join(self.procs.folder, f"users.{self.made}.csv")
        with open(path, "w", encoding="ascii", newline="") as f:
            rows = csv.writer(f)
            rows.writerow(["name", "uuid"])
            rows.writerows((f"u{i}", uuid.uuid4()) for i in range(self.made, self.made + n))
        subprocess.run([os.environ["WEIR_BIN"], "panel", "user", "import", "--db", self.panel.db, path], check=True,
                       capture_output=True, timeout=300)
        self.made += n


def start_node(crowd, kind, workers):
    port = free_port()
    row = crowd.panel.add_node(kind, port)
    began = time.monotonic()
    node = Node(crowd.procs, [entry(crowd.panel.url, row)], [], f"node-{crowd.made}", Workers=workers)
    wait_until("the node to listen", lambda: listens(port), 120, 0.005)
    return node, time.monotonic() - began


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


def measure(procs, users, part, rounds=5, rest=4, kind="vless", workers=2):
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
    ]
