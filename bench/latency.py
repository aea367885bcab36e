"""How long a small message takes, alone and beside a hundred downloads or uploads that take all they get.

Two processes of bench/load reach the same server, each with a target of its own: one with bulk, one with pings, which
has the processor first where they share it.
"""
import json
import statistics
import subprocess
import time

from weirtest.proc import free_port

import ways

KINDS = ("vless-raw", "vless-tls", "ss-aes")
BESIDE = (None, ("down", 100), ("up", 100))
HEAD_START = 0.7  # seconds of bulk before the first ping


def load(way, mode, flows, seconds, target, nice=0):
    command = ["nice", "-n", nice, way.build / "bench/load", way.via, mode, flows, seconds, target, way.proc.pid]
    return subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE)


def result(process):
    out, _ = process.communicate(timeout=180)
    return json.loads(out) if process.returncode == 0 else None


def waits(way, beside, seconds):
    """What bench/load says of one ping after the other, or None."""
    bulk = load(way, *beside, HEAD_START + seconds, way.target, 10) if beside else None
    time.sleep(HEAD_START if beside else 0)
    got = result(load(way, "wait", 1, seconds, free_port()))
    if bulk and not result(bulk):
        return None
    return got


def servers(kind):
    return [name for name in ways.KINDS[kind].servers if " " not in name]


def rows(found, rounds, seconds):
    """(words, {server: (p50, p99) or None}) of servers by name."""
    for beside in BESIDE:
        seen = {name: [] for name in found}
        for _ in range(rounds):
            for name, way in found.items():
                seen[name].append(waits(way, beside, seconds))
        words = "alone" if not beside else f"beside {beside[1]} {'down' if beside[0] == 'down' else 'up'}loads"
        yield words, {name: middle(got) for name, got in seen.items()}


def middle(got):
    got = [g for g in got if g]
    return (statistics.median(g["cost"] for g in got), statistics.median(g["p99"] for g in got)) if got else None
