"""The figures as tables in Markdown, for docs/performance.md: what was measured, what it is of the others, what is asked."""
import ways

TITLES = {
    "bytes": "Server CPU, s/GB",
    "ping": "Server CPU, us for a message of 100 bytes there and back",
    "conn": "Server CPU, us per new connection",
    "udp": "Server CPU, us for a datagram of 200 bytes there and back",
    "idle": "Resident memory, bytes per idle connection",
}
BYTES = ("down", "up")


def part_of(mode):
    return "bytes" if mode in BYTES else mode


def floor_of(kind, server):
    return ways.FLOOR_OF.get((ways.KINDS[kind].group, server))


def label(kind, mode, flows):
    if mode in BYTES:
        return f"{kind}, {mode}load, {flows}"
    return f"{kind}, {flows}"


def columns(kind, mid):
    """{heading: figure}, a kind's floors under one name."""
    named = {floor_of(kind, "weir"): "floor", floor_of(kind, "weir evp"): "evp floor"}
    found = {}
    for name, figure in mid.items():
        if name not in ways.FLOORS:
            found[name] = figure
        elif named.get(name):
            found[named[name]] = figure
    return found


def comparisons(kind, mode, found):
    """'x of others (asked)', what misses in bold."""
    asked = ways.asked(kind, part_of(mode))
    peers = {n: f for n, f in found.items() if not ways.is_ours(n) and "floor" not in n}
    said = []
    for ours, floor, best in (("weir", "floor", "best"), ("weir evp", "evp floor", "best"), ("weir own", "", "own best")):
        if ours not in found:
            continue
        limits = [(floor, found.get(floor), asked.get("floor")),
                  ("best peer", min(peers.values(), default=None), asked.get(best))]
        limits += [(n, f, asked[n]) for n, f in peers.items() if n in asked and ours != "weir own"]
        for name, other, most in limits:
            if other:
                said.append(say(ours, name, found[ours] / other, most))
        if "bytes" in asked:
            said.append(say(ours, "", found[ours], asked["bytes"], "{:.0f}"))
    return "; ".join(said)


def say(ours, name, ratio, most, shape="{:.2f}"):
    of = name.removeprefix("evp ")
    variant = ours.removeprefix("weir").strip()
    text = f"{variant + ': ' if variant else ''}{of} {shape.format(ratio)}".replace("  ", " ").strip()
    if most is None:
        return text
    text += f" ({most})"
    return f"**{text}**" if ratio > most else text


class Table:
    def __init__(self):
        self.rows = []

    def add(self, kind, mode, flows, mid):
        if mid:
            self.rows.append((kind, mode, flows, columns(kind, mid)))

    def show(self):
        for part, title in TITLES.items():
            rows = [r for r in self.rows if part_of(r[1]) == part]
            if rows:
                show_part(title, rows)


def show_part(title, rows):
    names = list(dict.fromkeys(n for *_, found in rows for n in found))
    order = ("weir", "floor", "weir evp", "evp floor")
    names.sort(key=lambda n: order.index(n) if n in order else len(order))
    print(f"\n{title}; behind it what weir is of the others, and in brackets what is asked.\n")
    print("| | " + " | ".join(names) + " | weir / ... |")
    print("|---" * (len(names) + 2) + "|")
    for kind, mode, flows, found in rows:
        cells = [f"{found[n]:.3g}" if n in found and found[n] < 1000 else f"{found[n]:.0f}" if n in found else ""
                 for n in names]
        print(f"| {label(kind, mode, flows)} | " + " | ".join(cells) + f" | {comparisons(kind, mode, found)} |")
