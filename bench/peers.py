#!/usr/bin/env python3
"""Hold the node against the peers' servers: CPU per GB and per connection, memory per idle connection.

    bench/peers.py [--build build] [--seconds S] [--rounds N] [--flows 1,16] [KIND...]

KIND is PROTOCOL-SECURITY: vless-raw, vless-tls, trojan-tls.  The same client stands in front of each server, `weir
connect` with a fixed forward; bench/relay_load plays users and target and reads what the server spent from
/proc.  Servers take turns, so that what else the machine does hits all alike; medians are printed, and the
ratio of weir to the better peer.
"""
import argparse
import json
import os
import pathlib
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

SERVERS = ("weir", "xray", "sing-box")
FIGURES = {"down": ("cpu_s_per_gb", "s/GB"), "conn": ("cpu_us_per_round", "us/connection"),
           "idle": ("bytes_per_flow", "B/idle connection")}


def start_server(name, procs, o):
    if name == "xray":
        return peers.xray_server(procs, o)
    if name == "sing-box":
        return peers.singbox_server(procs, o)
    panel = FakePanel(o.protocol, o.port, [{"id": 1, "uuid": o.credential}], tls=int(bool(o.cert)))
    return Node(procs, [entry(panel.url, panel.as_node(), o.cert)], [o.port], Log={"Level": "error"}).proc


class Path:
    """A server with a client in front of it that forwards one port to one target."""

    def __init__(self, name, kind, procs, cert):
        protocol, security = kind.split("-")
        self.o = peers.Outbound(protocol, free_port(), peers.random_credential(), cert if security == "tls" else None)
        self.server = start_server(name, procs, self.o)
        self.entry, self.target = free_port(), free_port()
        pin = ["--pin", cert.sha256] if self.o.cert else []
        client = procs.start("client", [
            os.environ["WEIR_BIN"], "connect", peers.link(self.o), "--listen", f"127.0.0.1:{free_port()}",
            "--tcp", f"127.0.0.1:{self.entry}=127.0.0.1:{self.target}", *pin])
        client.wait_listening(self.entry)

    def measure(self, load, mode, flows, seconds):
        command = [load, mode, str(flows), str(seconds), str(self.entry), str(self.target), str(self.server.pid)]
        out = subprocess.run(command, capture_output=True, text=True, timeout=120 + 3 * seconds)
        return json.loads(out.stdout)[FIGURES[mode][0]] if out.returncode == 0 else None


def report(kind, mode, flows, seen):
    mid = {n: statistics.median(v) for n, v in seen.items() if v}
    best = min((mid[n] for n in mid if n != "weir"), default=None)
    line = f"{kind:11} {mode:5} {flows:5}"
    for n in SERVERS:
        line += f"  {n} {mid[n]:.4g}" if n in mid else f"  {n} -"
    ratio = f"  ratio {mid['weir'] / best:.2f}" if best and "weir" in mid else ""
    print(f"{line}  {FIGURES[mode][1]}{ratio}", flush=True)


def bench(kind, args, folder, cert):
    load = str(args.build / "bench/relay_load")
    procs = Procs(folder)
    try:
        paths = {n: Path(n, kind, procs, cert) for n in SERVERS}
        time.sleep(1)
        for mode, flows in [("down", int(n)) for n in args.flows.split(",")] + [("conn", 16), ("idle", 1000)]:
            seen = {n: [] for n in SERVERS}
            for _ in range(1 if mode == "idle" else args.rounds):
                for n, path in paths.items():
                    figure = path.measure(load, mode, flows, args.seconds)
                    if figure is not None:
                        seen[n].append(figure)
            report(kind, mode, flows, seen)
    finally:
        procs.stop_all()


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("kinds", nargs="*", default=["vless-raw", "vless-tls", "trojan-tls"])
    p.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    p.add_argument("--seconds", type=float, default=3)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--flows", default="1,16")
    args = p.parse_args()
    os.environ.setdefault("WEIR_BIN", str((args.build / "weir").resolve()))
    with tempfile.TemporaryDirectory() as folder:
        cert = Cert(folder)
        for kind in args.kinds:
            sub = os.path.join(folder, kind)
            os.mkdir(sub)
            bench(kind, args, sub, cert)


if __name__ == "__main__":
    main()
