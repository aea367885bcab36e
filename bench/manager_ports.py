#!/usr/bin/env python3
"""Thousands of ports in one `weir ss-manager`: start, memory of an idle port, additions under traffic.

    WEIR_BIN=build/weir python3 bench/manager_ports.py [--ports 5000] [--seconds 20] [--rate 100]

It prints three lines of figures, and fails where one is over its target: start <= 2 s, 2 KiB resident per idle
port, no connection lost while ports are added.
"""
import argparse
import json
import os
import pathlib
import resource
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/e2e"))

from weirtest.ss_manager import Client, Manager  # noqa: E402
from weirtest.peers import Outbound, start_client  # noqa: E402
from weirtest.proc import Procs, listens  # noqa: E402
from weirtest.targets import HashServer  # noqa: E402

METHOD = "aes-128-gcm"
FLOWS = 8
FIRST = 20000


def start(folder, name, ports, **more):
    os.mkdir(os.path.join(folder, name))
    procs = Procs(os.path.join(folder, name))
    began = time.monotonic()
    m = Manager(procs, method=METHOD, port_password={str(p): f"secret-{p}" for p in ports}, **more)
    c = Client(m.socket, procs.folder)
    assert c.ask("ping") == "pong"
    return procs, m, c, time.monotonic() - began


def resident(m):
    """What is its own: bytes, once it is quiet."""
    time.sleep(3)
    with open(f"/proc/{m.proc.pid}/smaps_rollup", encoding="ascii") as f:
        fields = dict(line.split(":") for line in f.readlines()[1:])
    return int(fields["Rss"].split()[0]) * 1024


def idle(folder, n):
    procs, m, _, _ = start(folder, "none", [])
    empty = resident(m)
    procs.stop_all()
    ports = range(FIRST, FIRST + n)
    procs, m, c, took = start(folder, "many", ports)
    assert all(listens(p) for p in (ports[0], ports[n // 2], ports[-1]))
    with open("/proc/net/tcp", encoding="ascii") as f:
        sockets = sum(line.split()[3] == "0A" and FIRST <= int(line.split()[1][9:], 16) < FIRST + n
                      for line in f.readlines()[1:])
    each = (resident(m) - empty) / n
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
    procs, _, c, _ = start(folder, "adding", ports)
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
    burst = time.monotonic()
    for i in range(1000):
        c.send("add: " + json.dumps({"server_port": FIRST + n + added + i, "password": "x"}))
    answers = [c.take() for _ in range(1000)]
    burst = time.monotonic() - burst
    assert sum(a == "ok" for a in answers if not a.startswith("stat")) >= 990
    c.close()
    target.close()
    procs.stop_all()
    return added / took, slowest, [f.wrong for f in flows if f.wrong], sum(f.bytes for f in flows) / took, burst


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--ports", type=int, default=5000)
    p.add_argument("--seconds", type=float, default=20)
    p.add_argument("--rate", type=float, default=100)
    args = p.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.environ.setdefault("WEIR_BIN", str(ROOT / "build/weir"))
    with tempfile.TemporaryDirectory() as folder:
        took, each, sockets = idle(folder, args.ports)
        print(f"{args.ports} ports: started in {took:.2f} s, {each:.0f} bytes resident each, {sockets} TCP listeners",
              flush=True)
        rate, slowest, lost, moved, burst = additions(folder, args.ports, args.rate, args.seconds)
        print(f"{rate:.0f} additions/s for {args.seconds:.0f} s, the slowest after {slowest * 1000:.0f} ms; "
              f"{FLOWS} connections moved {moved / 1e6:.0f} MB/s, {len(lost)} lost")
        print(f"1000 additions at once: answered in {burst:.2f} s")
    bad = [w for w, wrong in (("start", took > 2), ("memory", each > 2048), ("listeners", sockets != args.ports),
                              ("rate", rate < 0.98 * args.rate), ("connections", lost)) if wrong]
    if bad:
        sys.exit(f"over target: {', '.join(bad)} {lost[:3]}")


main()
