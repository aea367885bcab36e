#!/usr/bin/env python3
"""torture.py BUILD POINTS - every unit test of a build with one of its allocations failing.

A test program is run once to count the allocations that it makes, then again for each of them, that
one failing (POINTS of them, spread evenly, unless POINTS is 0).  What the test asks for itself is
not counted.  Its checks may fail then, for it misses what it asked for, and its own code may fall over;
code of src may not die, trip over an assertion, or hang.
Standard output is a line for the tally.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

DEATH = re.compile(r"died of (\d+) in (the same|a later) call at((?: 0x[0-9a-f]+)*)")


PATIENCE = 15  # seconds for a program in the short form


def places(program, offsets):
    return subprocess.run(["addr2line", "-f", "-e", program, *offsets], capture_output=True, text=True).stdout


def own_code(program):
    """Where the test's own functions lie in the program: they are linked in one piece."""
    text = subprocess.run(["nm", "-S", "-l", "--defined-only", program], capture_output=True, text=True).stdout
    at = [(int(m[1], 16), int(m[2], 16)) for m in
          re.finditer(r"^([0-9a-f]+) ([0-9a-f]+) [tT] .*/tests/unit/", text, re.M)]
    return f"{min(a for a, _ in at):x}-{max(a + n for a, n in at):x}" if at else "0-0"


def run(shim, command, skip, at, count=None, timeout=60):
    """What was wrong, or None."""
    env = dict(os.environ, LD_PRELOAD=shim, FAILMALLOC_AT=str(at), FAILMALLOC_SKIP=skip,
               CMOCKA_TEST_ABORT="1")
    if count:
        env["FAILMALLOC_COUNT"] = count
    try:
        p = subprocess.run(command, env=env, capture_output=True, timeout=timeout, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return f"hangs ({timeout} s)"
    text = (p.stdout + p.stderr).decode(errors="replace")
    # A failed check ends the program: the test has left its things lying about, with other threads at
    # work on them, and what they do then (even while the program is dying) proves nothing.
    if "error: Failure!" in text:
        return None
    death = DEATH.search(text)
    if death:
        where = places(command[0], death.group(3).split())
        innermost = where.splitlines()[1] if where else "?"
        # What a later call does with what an earlier one has not given proves nothing either.
        excused = "tests/unit/" in innermost or death.group(2) == "a later"
        return None if excused else f"signal {death.group(1)} at\n{where}{text[-1000:]}"
    return f"signal {-p.returncode}\n{text[-2000:]}" if p.returncode < 0 else None


def main():
    build, points = sys.argv[1], int(sys.argv[2])
    shim = os.path.join(os.path.abspath(build), "tests/torture/libfailmalloc.so")
    tests = json.loads(subprocess.check_output(["meson", "introspect", "--tests", build]))
    passed = failed = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool, tempfile.TemporaryDirectory() as tmp:
        for test in (t for t in tests if "weir:unit" in t["suite"]):
            count = os.path.join(tmp, "count")
            skip = own_code(test["cmd"][0])
            start = time.monotonic()
            first = run(shim, test["cmd"], skip, 0, count)
            if first or not os.path.exists(count):
                print(f"torture {test['name']}: even undisturbed: {first}", file=sys.stderr)
                failed += 1
                continue
            total = int(open(count, encoding="ascii").read())
            # A slow program gets fewer, so that the short form stays short.
            most = min(points, int(PATIENCE / (time.monotonic() - start)) + 2)
            step = max(1, -(-total // most)) if points else 1
            # Not in step with a loop of the test: the points wander by one each time.
            at = sorted({min(total, i + (i // step) % step) for i in range(1, total + 1, step)})
            results = list(pool.map(lambda n: (n, run(shim, test["cmd"], skip, n)), at))
            bad = [(n, text) for n, text in results if text]
            print(f"torture {test['name']}: {len(at)} of {total} allocations, {len(bad)} bad", file=sys.stderr)
            for n, text in bad[:3]:
                print(f"  allocation {n}: {text}", file=sys.stderr)
            passed += not bad
            failed += bool(bad)
    print("torture", passed, failed, 0)


main()
