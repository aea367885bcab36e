#!/usr/bin/env python3
"""fuzz.py BUILD SECONDS [TARGET] - runs the fuzz targets of a build, the seconds shared among them.

As many at once as there are processors.  A target starts from fuzz/corpus/NAME; what it finds new is
kept in BUILD/corpus/NAME (worth a look, and `-merge=1` into the kept one), a crash in
BUILD/crashes/NAME.  Standard output is a line for the tally.
"""
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor


def run(build, target, seconds):
    name = os.path.basename(target)[len("fuzz_"):]
    kept, found, crashes = (f"fuzz/corpus/{name}", f"{build}/corpus/{name}", f"{build}/crashes/{name}/")
    os.makedirs(found, exist_ok=True)
    os.makedirs(crashes, exist_ok=True)
    log = f"{build}/fuzz-{name}.log"
    command = [target, f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048", "-max_len=16384",
               "-print_final_stats=1", f"-artifact_prefix={crashes}", found]
    if os.path.isdir(kept):
        command.append(kept)
    with open(log, "w", encoding="utf-8") as out:
        status = subprocess.call(command, stdout=out, stderr=out, timeout=seconds + 300)
    lines = open(log, encoding="utf-8", errors="replace").read().splitlines()
    runs = next((l.split()[-1] for l in lines if "number_of_executed_units" in l), "?")
    print(f"fuzz {name}: {'ok' if status == 0 else 'FAILED'}, {runs} runs in {seconds} s", file=sys.stderr)
    if status:
        print("\n".join(lines[-60:]), file=sys.stderr)
    return status == 0


def main():
    build, seconds = sys.argv[1], int(sys.argv[2])
    folder = f"{build}/fuzz"
    targets = sorted(
        f"{folder}/{n}" for n in os.listdir(folder)
        if n.startswith("fuzz_") and os.access(f"{folder}/{n}", os.X_OK) and os.path.isfile(f"{folder}/{n}"))
    if len(sys.argv) > 3:
        targets = [t for t in targets if t.endswith("/fuzz_" + sys.argv[3])]
        if not targets:
            sys.exit(f"fuzz: no target {sys.argv[3]}")
    if not targets:
        return
    workers = os.cpu_count() or 1
    share = max(2, seconds * min(workers, len(targets)) // len(targets))
    start = time.monotonic()
    with ThreadPoolExecutor(workers) as pool:
        good = list(pool.map(lambda t: run(build, t, share), targets))
    print(f"fuzz: {len(targets)} targets in {time.monotonic() - start:.0f} s", file=sys.stderr)
    print("fuzz", sum(good), len(good) - sum(good), 0)


main()
