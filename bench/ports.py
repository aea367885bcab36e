"""Thousands of ports in one `weir ss-manager`: start, memory of an idle port, additions under traffic.

Each figure has its target: start <= 2 s, 2 KiB resident per idle port, one listener a port, 100 additions a second beside
connections that never rest, none of which is lost.
"""
import json
import os
import threading
import time

from weirtest.peers import Outbound, start_client
from weirtest.proc import Procs, listens
from weirtest.ss_manager import Client, Manager
from weirtest.targets import HashServer

METHOD = "aes-128-gcm"
FLOWS = 8
FIRST = 20000
BURST = 1000


def start(folder, name, ports, **more):
    os.mkdir(os.path.join(folder, name))
    procs = Procs(os.path.join(folder, name))
    began = time.monotonic()
    m = Manager(procs, method=METHOD, port_password={str(p): f"secret-{p}" for p in ports}, **more)
    c = Client(m.socket, procs.folder)
    assert c.ask("ping") == "pong"
    return procs, m, c, time.monotonic() - began


def resident(m, rest):
    """What is its own: bytes, once it is quiet."""
    time.sleep(rest)
    with open(f"/proc/{m.proc.pid}/smaps_rollup", encoding="ascii") as f:
        fields = dict(line.split(":") for line in f.readlines()[1:])
    return int(fields["Rss"].split()[0]) * 1024


def cpu(m):
    """Seconds of a processor it has used."""
    with open(f"/proc/{m.proc.pid}/stat", encoding="ascii") as f:
        fields = f.read().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def idle(folder, n, rest):
    procs, m, _, _ = start(folder, "none", [])
    empty = resident(m, rest)
    procs.stop_all()
    ports = range(FIRST, FIRST + n)
    procs, m, c, took = start(folder, "many", ports)
    assert all(listens(p) for p in (ports[0], ports[n // 2], ports[-1]))
    with open("/proc/net/tcp", encoding="ascii") as f:
        sockets = sum(line.split()[3] == "0A" and FIRST <= int(line.split()[1][9:], 16) < FIRST + n
                      for line in f.readlines()[1:])
    each = (resident(m, rest) - empty) / n
    c.close()
    procs.stop_all()
    return took, each, sockets


class Flow(threading.Thread):
    """One connection that never rests: an echo, compared."""

    def __init__(self, way, target, stop):
        super().__init__(daemon=True)
        self.s, self.stop, self.bytes, self.wrong = way.open(target), stop, 0, None
        self.s.sendall(b"ECHO\n")

    def run(self):
        data = os.urandom(32768)
        try:
            while not self.stop.is_set():
                self.s.sendall(data)
                got = b""
                while len(got) < len(data):
                    more = self.s.recv(65536)
                    if not more:
                        raise EOFError("closed")
                    got += more
                assert got == data
                self.bytes += 2 * len(data)
        except (OSError, EOFError, AssertionError) as e:
            self.wrong = repr(e)


def additions(folder, n, rate, seconds):
    ports = range(FIRST, FIRST + n)
    procs, m, c, _ = start(folder, "adding", ports)
    target, stop = HashServer(), threading.Event()
    ways = [start_client("weir", procs, Outbound("shadowsocks", p, f"secret-{p}", method=METHOD))
            for p in ports[:2]]
    flows = [Flow(ways[i % 2], target, stop) for i in range(FLOWS)]
    for f in flows:
        f.start()
    began, slowest, added = time.monotonic(), 0, 0
    while time.monotonic() - began < seconds:
        asked = time.monotonic()
        assert c.add(FIRST + n + added, "x") == "ok"
        slowest = max(slowest, time.monotonic() - asked)
        added += 1
        time.sleep(max(0, began + added / rate - time.monotonic()))
    took = time.monotonic() - began
    stop.set()
    for f in flows:
        f.join(10)
    burst, used = time.monotonic(), cpu(m)
    for i in range(BURST):
        c.send("add: " + json.dumps({"server_port": FIRST + n + added + i, "password": "x"}))
    answers = []
    while len(answers) < BURST:
        answer = c.take()
        if not answer.startswith("stat"):
            answers.append(answer)
    burst, used = time.monotonic() - burst, cpu(m) - used
    assert all(a == "ok" for a in answers)
    c.close()
    target.close()
    procs.stop_all()
    return added / took, slowest, [f.wrong for f in flows if f.wrong], sum(f.bytes for f in flows) / took, burst, used


def rows(folder, n, seconds, rate=100, rest=3):
    """(figure as text, what, whether it meets its target)"""
    took, each, sockets = idle(folder, n, rest)
    yield f"{took:.2f} s", f"start with {n} ports in the file, until the first pong; target 2 s", took <= 2
    yield f"{each:.0f} B", "resident per idle port; target 2048", each <= 2048
    yield f"{sockets}", "TCP listeners; one a port", sockets == n
    got, slowest, lost, moved, burst, used = additions(folder, n, rate, seconds)
    what = f"additions beside {FLOWS} connections at {moved / 1e6:.0f} MB/s, the slowest {slowest * 1000:.0f} ms"
    yield f"{got:.0f}/s", f"{what}; target {rate}/s", got >= 0.98 * rate
    yield f"{len(lost)}", "of those connections lost", not lost
    yield f"{burst:.2f} s", f"{BURST} additions at once, all answered, for {used:.2f} s of its CPU; target 1 s", burst <= 1
