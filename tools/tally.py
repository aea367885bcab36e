#!/usr/bin/env python3
"""tally.py NAME FILE - one line `NAME passed failed skipped` out of a test log.

FILE is meson's testlog.json (one object a line) or a JUnit file of pytest.  A cmocka program
counts with each of its tests; a program that dies counts as one failure more.  No log at all is
a failure too: something did not run.
"""
import json
import re
import sys
import xml.etree.ElementTree as ET


def of_meson(path):
    passed = failed = skipped = 0
    for line in open(path, encoding="utf-8"):
        test = json.loads(line)
        text = test.get("stdout", "") + test.get("stderr", "")
        counts = {
            word: sum(int(n) for n in re.findall(r"\[ +%s +\] (\d+) test" % word, text))
            for word in ("PASSED", "FAILED", "SKIPPED")
        }
        good = test["result"] in ("OK", "EXPECTEDFAIL")
        if test["result"] == "SKIP":
            skipped += 1
            continue
        passed += counts["PASSED"] if any(counts.values()) else int(good)
        skipped += counts["SKIPPED"]
        failed += 0 if good else max(1, counts["FAILED"])
    return passed, failed, skipped


def of_junit(path):
    passed = failed = skipped = 0
    for suite in ET.parse(path).getroot().iter("testsuite"):
        total = int(suite.get("tests", 0))
        bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skip = int(suite.get("skipped", 0))
        failed += bad
        skipped += skip
        passed += max(0, total - bad - skip)
    return passed, failed, skipped


def main():
    name, path = sys.argv[1:]
    try:
        result = of_meson(path) if path.endswith(".json") else of_junit(path)
        if sum(result) == 0:
            result = 0, 1, 0
    except (OSError, ValueError, ET.ParseError) as e:
        print(f"tally: {path}: {e}", file=sys.stderr)
        result = 0, 1, 0
    print(name, *result)


main()
