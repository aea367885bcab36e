#!/usr/bin/env python3
"""Hold the program's own relay against the floors of this folder.

    bench/relay.py BUILD-FOLDER [--seconds S] [--rounds N] [--flows 1,16] [MODE...]

MODE is one of down, ping, conn, mix, idle (bench/relay_load.c).  Relays take turns, so that what else the
machine does hits all alike; medians are printed, and the ratio to the floor of the same kind: splice for
`weir`, copy for `weir-copy`.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import time

RELAYS = {
    "splice": ["splice_relay"],
    "copy": ["copy_relay"],
    "weir": ["weir_relay"],
    "weir-copy": ["weir_relay", "copy"],
}
FLOOR = {"weir": "splice", "weir-copy": "copy"}
FIGURES = {
    "down": ["cpu_s_per_gb"],
    "mix": ["cpu_s_per_gb", "us_p50", "us_p99"],
    "ping": ["cpu_us_per_round", "us_p50"],
    "conn": ["cpu_us_per_round"],
    "idle": ["bytes_per_flow"],
}


def one(folder, name, mode, flows, seconds, port):
    program, *more = RELAYS[name]
    entry, target = str(port), str(port + 1)
    relay = subprocess.Popen([folder / program, entry, target, *more])
    try:
        time.sleep(0.1)
        load = [folder / "relay_load", mode, str(flows), str(seconds), entry, target, str(relay.pid)]
        out = subprocess.run(load, capture_output=True, text=True, timeout=60 + 3 * seconds)
        return json.loads(out.stdout) if out.returncode == 0 else None
    finally:
        relay.kill()
        relay.wait()


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("build", type=pathlib.Path)
    p.add_argument("modes", nargs="*", default=["down", "ping", "conn", "idle"])
    p.add_argument("--seconds", type=float, default=3)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--flows", default="1,16")
    args = p.parse_args()
    folder = (args.build / "bench").resolve()
    port = 21000
    for mode in args.modes:
        for flows in [4000] if mode == "idle" else [int(n) for n in args.flows.split(",")]:
            seen = {name: [] for name in RELAYS}
            for _ in range(1 if mode == "idle" else args.rounds):
                for name in RELAYS:
                    port = port + 2 if port < 29000 else 21000
                    result = one(folder, name, mode, flows, args.seconds, port)
                    if result:
                        seen[name].append(result)
            for figure in FIGURES[mode]:
                mid = {n: statistics.median(r[figure] for r in rs) for n, rs in seen.items() if rs}
                line = f"{mode:5} {flows:5} {figure:17}"
                for name, value in mid.items():
                    line += f"  {name} {value:.4g}"
                    floor = mid.get(FLOOR.get(name))
                    if floor:
                        line += f" ({value / floor:.2f})"
                print(line, flush=True)


if __name__ == "__main__":
    main()
