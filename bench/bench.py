#!/usr/bin/env python3
"""Hold the node against the peers' servers and against bare relays, in one interleaved run.

    ./dev bench [--rounds N] [--seconds S] [--modes down:1,conn:16] [--apart] [--idle N] [--users N] [--only WHAT,...]
                [KIND...]
    ./dev bench --smoke

KIND is one of ways.KINDS: vless-raw, trojan-tls...  WHAT is of bytes, waits, idle, users, crowd, ports, alone, inner; all by default.
bench/load plays users and target for every server, and reads the server's CPU clock and memory.  All servers of a
group take turns, round by round, so that what else the machine does hits all alike; the table shows medians, and
what weir is of the best peer, of Xray and of the floor.  It ends with all of them as Markdown, for docs/performance.md.

--smoke: every server carries bytes that are looked at, every kind of figure is taken once, none is judged.
It ends with `N passed, N failed`, and is part of `./dev check`.
"""
import argparse
import contextlib
import functools
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/e2e"))

import crowd  # noqa: E402
import inner  # noqa: E402
import latency  # noqa: E402
import network  # noqa: E402
import ports  # noqa: E402
import scale  # noqa: E402
import ways  # noqa: E402
from table import Table  # noqa: E402
from weirtest.certs import Cert  # noqa: E402
from weirtest.proc import Procs  # noqa: E402

UNITS = {"down": "s/GB", "up": "s/GB", "ping": "us/ping", "conn": "us/connection", "udp": "us/datagram",
         "idle": "B/connection"}
# A floor has no handshake: only bytes can be compared.
BYTES = ("down", "up", "ping")
REST = 6            # seconds until an idle connection is weighed
REST_TLS = 12       # what handshakes took is given back within ten
DESCRIPTORS = 80    # what a server has open besides its connections' two each
SERVERS_ON, LOAD_ON = 1, 0  # with --apart
ALONE = ("aes-128-gcm", "chacha20-ietf-poly1305")


class Bench:
    def __init__(self, args, folder):
        self.args, self.folder, self.cert = args, folder, Cert(folder)
        self.passed = self.failed = 0
        self.table = Table()

    def report(self, kind, mode, flows, mid):
        self.table.add(kind, mode, flows, mid)
        report(kind, mode, flows, mid)

    def procs(self, name):
        sub = os.path.join(self.folder, name.replace(" ", "-"))
        os.mkdir(sub)
        return Procs(sub)

    def note(self, figure):
        if figure is None:
            self.failed += 1
        else:
            self.passed += 1
        return figure

    # --- bytes and connections ---------------------------------------------------------------------

    def open_group(self, group, kinds, procs):
        """(kind or None, name) -> Way."""
        a = self.args
        found = {(None, n): ways.floor(n, procs, a.build) for n, f in ways.FLOORS.items() if f.group == group}
        for kind in kinds:
            for n in ways.KINDS[kind].servers:
                found[kind, n] = ways.server(n, kind, procs, self.cert, a.build)
        return found

    def take_turns(self, found, mode, flows):
        seen = {k: [] for k in found}
        for _ in range(self.args.rounds):
            for key, way in found.items():
                if measured(*key, mode):
                    with confined(self.args.apart, LOAD_ON):
                        got = self.note(way.run(mode, flows, self.args.seconds))
                    seen[key] += [got["cost"]] if got else []
        return {k: statistics.median(v) for k, v in seen.items() if v}

    def group(self, group, kinds):
        procs = self.procs(f"group-{group}")
        try:
            with confined(self.args.apart, SERVERS_ON):
                found = self.open_group(group, kinds, procs)
            time.sleep(0 if self.args.smoke else 1)
            if self.args.smoke:
                self.look_at_bytes(found)
            for mode, flows in self.args.modes:
                mid = self.take_turns(found, mode, flows)
                for kind in kinds:
                    if measured(kind, "weir", mode):
                        self.report(kind, mode, flows, {n: c for (k, n), c in mid.items() if k in (None, kind)})
        finally:
            procs.stop_all()

    def look_at_bytes(self, found):
        for way in found.values():
            for mode in ("down-check", "up-check"):
                if mode == "up-check" or way.opens:
                    self.note(way.run(mode, 3, 3_000_000, 30))

    # --- how long a message takes ---------------------------------------------------------------------

    def waits(self, kind):
        procs, args = self.procs(f"waits-{kind}"), self.args
        try:
            with confined(args.apart, SERVERS_ON):
                found = {n: ways.server(n, kind, procs, self.cert, args.build) for n in latency.servers(kind)[:1 if args.smoke else None]}
            print(f"\n{kind}: 100 bytes there and back, us, p50 / p99:")
            with confined(args.apart, LOAD_ON):
                for words, got in latency.rows(found, args.rounds, args.seconds):
                    costs = [f"{n} {self.note(t)[0]:.0f} / {t[1]:.0f}" for n, t in got.items() if t]
                    self.failed += len(got) - len(costs)
                    print(f"    {words:20} {'   '.join(costs)}", flush=True)
        finally:
            procs.stop_all()

    # --- idle connections ----------------------------------------------------------------------------

    def idle(self, kind):
        """Each server fresh: what it did before would count for or against it."""
        seen, n = {}, self.args.idle
        for name in ways.KINDS[kind].servers:
            # An engine or a handshake changes nothing of what rests; for a smoke our own server is enough.
            if name.startswith("weir ") or (self.args.smoke and name != "weir"):
                continue
            # Peers weigh forty times as much, and some take more than two descriptors for a connection.
            got = self.weigh(kind, name, n if ways.is_ours(name) else max(n // 4, 50))
            if self.note(got):
                seen[name] = got["cost"]
        self.report(kind, "idle", n, seen)

    def weigh(self, kind, name, n):
        procs = self.procs(f"idle-{kind}-{name}-{n}")
        try:
            way = ways.server(name, kind, procs, self.cert, self.args.build)
            rest = REST_TLS if ways.KINDS[kind].group == "tls" else REST
            return way.run("idle", n, 0.3 if self.args.smoke else rest)
        finally:
            procs.stop_all()

    # --- users ----------------------------------------------------------------------------------------

    def users(self):
        procs = self.procs("users")
        try:
            more = {"rounds": 1, "rest": 0.2} if self.args.smoke else {}
            rows = scale.measure(procs, self.args.build, self.args.users, self.args.part, **more)
        finally:
            procs.stop_all()
        print(f"\n{self.args.users} users from weir panel on this machine:")
        for what, figure, unit in rows:
            self.note(figure)
            print(f"    {figure:10.1f} {unit:4} {what}", flush=True)

    def crowd(self):
        procs, users = self.procs("crowd"), self.args.crowd
        try:
            few = {"active": 5, "turns": 1, "flood": False} if self.args.smoke else {}
            print("\nfrom connecting to the first answer, us, on a port of aes-128-gcm:")
            for name, what, got in crowd.rows(procs, self.args.build, users, **few):
                if not got and name != "weir":
                    print(f"    {name:5} {what:38} no answer in time", flush=True)
                elif self.note(got):
                    print(f"    {name:5} {what:38} cold p50 {got['cold_p50']:.0f} p99 {got['cold_p99']:.0f}  "
                          f"warm p50 {got['warm_p50']:.0f} p99 {got['warm_p99']:.0f}  server's CPU {got['cost']:.0f}, "
                          f"{got['cores']:.2f} cores, {got['lost']} packets lost", flush=True)
        finally:
            procs.stop_all()

    def ports(self):
        n, few = self.args.ports, self.args.smoke
        folder = os.path.join(self.folder, "ports")
        os.mkdir(folder)
        print(f"\n{n} ports in one ss-manager:")
        for figure, what, met in ports.rows(folder, n, 1 if few else 20, rate=20 if few else 100, rest=0.5 if few else 3):
            self.note(figure)
            print(f"    {figure:>10} {what}{'' if met or few else '   MISSED'}", flush=True)

    # --- TLS 1.3 inside of Vision ---------------------------------------------------------------------

    def inner(self):
        for security in inner.SECURITIES[:1] if self.args.smoke else inner.SECURITIES:
            procs = self.procs(f"inner-{security}")
            try:
                way = inner.Inner(procs, self.args.build, self.args.inner, security)
                for flows in (1,) if self.args.smoke else (1, 16):
                    seen = {name: [] for name in way.ways}
                    for _ in range(self.args.rounds):
                        for name, costs in seen.items():
                            got = self.note(way.cost(name, flows))
                            costs += [] if got is None else [got]
                    print(inner.line(security, flows, {n: statistics.median(c) for n, c in seen.items() if c}), flush=True)
            finally:
                procs.stop_all()

    # --- ours alone -----------------------------------------------------------------------------------

    def alone(self):
        """What needs no peer, each with a program of its own."""
        build = self.args.build
        for method in ALONE:
            self.program([build / "bench/ss_crowd", method])
            self.program([build / "bench/ss_packets", method, "50", "200"])

    def program(self, command):
        try:
            done = subprocess.run([str(c) for c in command], timeout=300, check=False)
        except subprocess.TimeoutExpired:
            done = None
        self.note(True if done and not done.returncode else None)

    # --- all of it ------------------------------------------------------------------------------------

    def sections(self):
        """(what, kinds, call)"""
        groups = {}
        for kind in self.args.kinds:
            groups.setdefault(ways.KINDS[kind].group, []).append(kind)
        for group, kinds in groups.items():
            yield "bytes", f"bytes of {group}", functools.partial(self.group, group, kinds)
        for kind in latency.KINDS[:1] if self.args.smoke else latency.KINDS:
            if kind in self.args.kinds:
                yield "waits", f"waits {kind}", functools.partial(self.waits, kind)
        for kind in self.args.kinds:
            yield "idle", f"idle {kind}", functools.partial(self.idle, kind)
        yield "users", "users", self.users
        yield "crowd", "crowd", self.crowd
        yield "ports", "ports", self.ports
        yield "alone", "alone", self.alone
        yield "inner", "inner", self.inner

    def run(self):
        for what, name, call in self.sections():
            if what not in self.args.only or (what == "alone" and self.args.smoke):
                continue
            began = time.monotonic()
            call()
            print(f"[{name}: {time.monotonic() - began:.0f} s]", flush=True)
        if not self.args.smoke:
            self.table.show()


def measured(kind, server, mode):
    """Of floors only bytes; datagrams where the protocol leaves them datagrams; of a handshake new connections."""
    if server == "weir own":
        return mode == "conn"
    if mode == "udp":
        return kind and ways.KINDS[kind].protocol == "shadowsocks"
    return kind or mode in BYTES


def ratios(kind, mode, mid):
    """(words, value) of what weir's figures are to be compared with."""
    best = min((c for n, c in mid.items() if n not in ways.FLOORS and not ways.is_ours(n)), default=None)
    for name in filter(ways.is_ours, mid):
        if best:
            yield f"{name}/best peer", mid[name] / best
        if mode == "conn" and "xray" in mid:
            yield f"{name}/xray", mid[name] / mid["xray"]
        floor = ways.FLOOR_OF.get((ways.KINDS[kind].group, name))
        if floor in mid:
            yield f"{name}/{floor}", mid[name] / mid[floor]


def report(kind, mode, flows, mid):
    costs = "  ".join(f"{n} {mid[n]:.4g}" for n in mid)
    print(f"{kind:10} {mode:4} {flows:5}  {UNITS[mode]:13} {costs}")
    compared = "  ".join(f"{what} {r:.2f}" for what, r in ratios(kind, mode, mid))
    if compared:
        print(f"{'':37}{compared}", flush=True)


@contextlib.contextmanager
def confined(apart, processor):
    """What is started here runs on this processor alone."""
    every = os.sched_getaffinity(0)
    if apart:
        os.sched_setaffinity(0, {sorted(every)[processor]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, every)


def raise_descriptors():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def modes(text):
    return [(m.split(":")[0], int(m.split(":")[1])) for m in text.split(",")] if text else []


def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(ways.KINDS))
    p.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    p.add_argument("--seconds", type=float, default=0.8, help="of every single measurement")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--modes", type=modes, default="down:1,down:100,up:1,up:100,conn:16,udp:16")
    p.add_argument("--apart", action="store_true", help="of bytes and connections: every server on the second processor "
                   "alone, users and target on the first; scatters less than where the kernel puts them")
    p.add_argument("--idle", type=int, default=10000, metavar="N", help="idle connections; a quarter for peers")
    p.add_argument("--users", type=int, default=100000, metavar="N")
    p.add_argument("--crowd", type=int, default=10000, metavar="N", help="users of one AEAD port")
    p.add_argument("--ports", type=int, default=5000, metavar="N", help="ports of one manager")
    p.add_argument("--inner", type=int, default=1 << 30, metavar="N", help="bytes of a download under inner TLS")
    p.add_argument("--only", type=lambda s: s.split(","), metavar="WHAT,...",
                   default=["bytes", "waits", "idle", "users", "crowd", "ports", "alone", "inner"])
    p.add_argument("--smoke", action="store_true")
    args = p.parse_args()
    unknown = set(args.kinds) - set(ways.KINDS)
    if unknown:
        p.error(f"no kind {', '.join(unknown)}; there are {', '.join(ways.KINDS)}")
    args.kinds = args.kinds or list(ways.KINDS)
    args.build, args.part = args.build.resolve(), 1000
    if args.smoke:
        args.seconds, args.rounds, args.idle, args.users, args.part, args.crowd = 0.1, 1, 50, 2000, 100, 300
        args.inner = 1 << 20
        args.modes, args.ports = [("down", 2), ("conn", 2), ("udp", 2)], 200
    return args


def main():
    args = arguments()
    print(network.enter())
    hard = raise_descriptors()
    room = (hard - DESCRIPTORS) // 2
    if args.idle > room and "idle" in args.only:
        print(f"idle: {room} connections instead of {args.idle}: a server may have {hard} descriptors here, two for each")
    args.idle = min(args.idle, room)
    os.environ.setdefault("WEIR_BIN", str(args.build / "weir"))
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(args, folder)
        bench.run()
    if args.smoke:
        print(f"{bench.passed} passed, {bench.failed} failed")
    return bench.failed > 0


if __name__ == "__main__":
    sys.exit(main())
