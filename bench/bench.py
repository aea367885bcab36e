#!/usr/bin/env python3
"""Hold the node against the peers' servers and against bare relays, all in one interleaved run.

    bench/bench.py [--build build] [--rounds N] [--seconds S] [--idle N] [--modes down:1,conn:16] [KIND...]

KIND is vless-raw, vless-tls or trojan-tls.  bench/load plays users and target for every server and reads from /proc
what the server spent.  Servers take turns, round by round, so that what else the machine does hits all
alike; the table shows medians, and what weir is of the best peer, of Xray and of the floor.
"""
import argparse
import json
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

from weirtest import peers  # noqa: E402
from weirtest.certs import Cert  # noqa: E402
from weirtest.fakepanel import FakePanel  # noqa: E402
from weirtest.node import Node, entry  # noqa: E402
from weirtest.proc import Procs, free_port  # noqa: E402

KINDS = ("vless-raw", "vless-tls", "trojan-tls")
PEERS = ("xray", "sing-box")
# What a relay would cost that does nothing else: weir's rows are divided by the floor of the same engine.
FLOORS = {"raw": {"splice": ["splice_relay"], "copy": ["copy_relay"]},
          "tls": {"cipher": ["copy_relay", "ipsecmb"], "cipher evp": ["copy_relay", "evp"]}}
FLOOR_OF = {"raw": {"weir": "splice"}, "tls": {"weir": "cipher", "weir evp": "cipher evp"}}
UNITS = {"down": "s/GB", "up": "s/GB", "ping": "us/ping", "conn": "us/connection", "idle": "B/connection"}
# A floor has no handshake: only bytes can be compared.
BYTES = ("down", "up")


def start_weir(procs, o, engine):
    panel = FakePanel(o.protocol, o.port, [{"id": 1, "uuid": o.credential}], tls=int(bool(o.cert)))
    panel.config["base_config"] = {"push_interval": 60, "pull_interval": 60}
    node = Node(procs, [entry(panel.url, panel.as_node(), o.cert)], [o.port], f"weir-{engine}",
                Log={"Level": "error"}, AeadEngine=engine)
    return node.proc


class Way:
    """A server, or a bare relay, that the load goes through."""

    def __init__(self, name, kind, procs, cert, build):
        protocol, security = kind.split("-")
        self.name, self.target, port = name, free_port(), free_port()
        if name in FLOORS[security]:
            program, *engine = FLOORS[security][name]
            self.proc = procs.start(name, [build / "bench" / program, port, self.target, *engine])
            self.proc.wait_listening(port)
            self.via = f"plain:{port}"
            return
        o = peers.Outbound(protocol, port, peers.random_credential(), cert if security == "tls" else None)
        self.via = peers.link(o)
        if name == "xray":
            self.proc = peers.xray_server(procs, o)
        elif name == "sing-box":
            self.proc = peers.singbox_server(procs, o)
        else:
            self.proc = start_weir(procs, o, "evp" if name.endswith("evp") else "auto")

    def measure(self, build, mode, flows, seconds):
        command = [build / "bench/load", self.via, mode, flows, seconds, self.target, self.proc.pid]
        try:
            out = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=180)
        except subprocess.TimeoutExpired:
            return None
        if out.returncode:
            print(f"{self.name}: {out.stderr.strip()}", file=sys.stderr)
            return None
        return json.loads(out.stdout)["cost"]


def names_of(kind):
    security = kind.split("-")[1]
    weir = ("weir",) if security == "raw" else ("weir", "weir evp")
    return tuple(FLOORS[security]) + weir + PEERS


def ratios(kind, mode, mid):
    """(words, value) of what weir's figures are to be compared with."""
    best = min((mid[n] for n in PEERS if n in mid), default=None)
    for name in ("weir", "weir evp"):
        if name not in mid:
            continue
        if best:
            yield f"{name}/best peer", mid[name] / best
        if mode == "conn" and "xray" in mid:
            yield f"{name}/xray", mid[name] / mid["xray"]
        floor = FLOOR_OF[kind.split("-")[1]].get(name)
        if mode in BYTES and floor in mid:
            yield f"{name}/{floor}", mid[name] / mid[floor]


def report(kind, mode, flows, seen):
    mid = {n: statistics.median(v) for n, v in seen.items() if v}
    costs = "  ".join(f"{n} {mid[n]:.4g}" for n in mid)
    print(f"{kind:10} {mode:4} {flows:5}  {UNITS[mode]:13} {costs}")
    print(f"{'':38}" + "  ".join(f"{what} {r:.2f}" for what, r in ratios(kind, mode, mid)), flush=True)


def bench(kind, args, folder, cert):
    procs = Procs(folder)
    try:
        ways = {n: Way(n, kind, procs, cert, args.build) for n in names_of(kind)}
        time.sleep(1)
        for mode, flows in args.modes:
            seen = {n: [] for n in ways}
            for _ in range(args.rounds):
                for n, way in ways.items():
                    if n in PEERS or n.startswith("weir") or mode in BYTES:
                        figure = way.measure(args.build, mode, flows, args.seconds)
                        seen[n] += [figure] if figure is not None else []
            report(kind, mode, flows, seen)
    finally:
        procs.stop_all()
    if args.idle:
        idle(kind, args, folder, cert)


def idle(kind, args, folder, cert):
    """Each server fresh: what it did before would count for or against it."""
    seen = {}
    for n in ("weir", *PEERS):
        sub = os.path.join(folder, f"idle-{n}")
        os.mkdir(sub)
        procs = Procs(sub)
        try:
            figure = Way(n, kind, procs, cert, args.build).measure(args.build, "idle", args.idle, 0)
            seen[n] = [figure] if figure is not None else []
        finally:
            procs.stop_all()
    report(kind, "idle", args.idle, seen)


def most_connections():
    """A connection takes two descriptors of the server, and two of the load."""
    return (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 200) // 2


def modes(text):
    return [(m.split(":")[0], int(m.split(":")[1])) for m in text.split(",")] if text else []


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("kinds", nargs="*", default=KINDS)
    p.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    p.add_argument("--seconds", type=float, default=1.5)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--modes", type=modes, default=modes("down:1,down:100,up:1,conn:16"))
    p.add_argument("--idle", type=int, default=min(10000, most_connections()), help="how many; 0: none")
    args = p.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    args.build = args.build.resolve()
    os.environ.setdefault("WEIR_BIN", str(args.build / "weir"))
    with tempfile.TemporaryDirectory() as folder:
        cert = Cert(folder)
        for kind in args.kinds:
            sub = os.path.join(folder, kind)
            os.mkdir(sub)
            bench(kind, args, sub, cert)


if __name__ == "__main__":
    main()
