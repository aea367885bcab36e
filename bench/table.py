"""The figures as the tables of docs/performance.md: weir, the floor, the peers, what weir is of them, what is asked, and
whether that is met."""
import ways

TITLES = {
    "bytes": "Server CPU, s/GB",
    "ping": "Server CPU, us for a message of 100 bytes there and back",
    "conn": "Server CPU, us for a new connection",
    "udp": "Server CPU, us for a datagram of 200 bytes there and back",
    "idle": "Resident memory, bytes for an idle connection",
}
BYTES = ("down", "up")
PEERS = {"xray": "Xray", "sing-box": "sing-box", "ssserver": "shadowsocks-rust", "ss-server": "shadowsocks-libev"}
KIND_WORDS = {"vless": "VLESS", "trojan": "Trojan", "vmess": "VMess", "ss": "Shadowsocks", "raw": "raw", "tls": "over TLS",
              "reality": "over REALITY", "aes": "aes-128-gcm", "chacha": "chacha20", "2022": "2022 aes-128"}
VARIANTS = {"weir": "", "weir evp": "; libcrypto", "weir own": "; own handshake"}


def part_of(mode):
    return "bytes" if mode in BYTES else mode


def label(kind, mode, flows, ours):
    words = " ".join(KIND_WORDS.get(w, w) for w in kind.split("-"))
    how = f", {mode}load, {flows}" if mode in BYTES else ""
    return words + how + VARIANTS[ours]


def short(figure):
    if figure is None:
        return ""
    return f"{figure:.3g}" if figure < 1000 else f"{figure:,.0f}"


class Row:
    """One of our servers beside the floor that is its own and beside the peers."""

    def __init__(self, kind, mode, flows, ours, mid):
        self.name, self.figure = label(kind, mode, flows, ours), mid[ours]
        self.floor = mid.get(ways.FLOOR_OF.get((ways.KINDS[kind].group, ours)))
        self.peers = {n: mid[n] for n in PEERS if n in mid}
        self.asked = ways.asked(kind, part_of(mode))
        if ours == "weir own":
            self.asked = {"best": self.asked["own best"]} if "own best" in self.asked else {}
        self.missed = False

    def of(self, other, most):
        """'0.84 (1.2)', the limit in brackets."""
        if not other:
            return ""
        ratio = self.figure / other
        self.missed |= most is not None and ratio > most
        return f"{ratio:.2f}" + (f" ({most})" if most is not None else "")

    def of_peers(self):
        if not self.peers:
            return ""
        best = min(self.peers, key=self.peers.get)
        if "best" in self.asked or not set(self.asked) & set(self.peers):
            return f"{PEERS[best]} {self.of(self.peers[best], self.asked.get('best'))}"
        return ", ".join(f"{PEERS[n]} {self.of(self.peers[n], self.asked[n])}" for n in self.peers if n in self.asked)

    def of_bytes(self):
        most = self.asked.get("bytes")
        self.missed |= most is not None and self.figure > most
        return f"{most:,}" if most else ""

    def met(self):
        limits = {"floor": self.floor, "best": self.peers, "bytes": True, **self.peers}
        if not any(limits.get(n) for n in self.asked):
            return ""
        return "**no**" if self.missed else "yes"


class Table:
    def __init__(self):
        self.rows = []

    def add(self, kind, mode, flows, mid):
        self.rows += [(part_of(mode), Row(kind, mode, flows, ours, mid)) for ours in VARIANTS if ours in mid]

    def show(self):
        for part, title in TITLES.items():
            rows = [r for p, r in self.rows if p == part]
            if rows:
                print(f"\n{title}; asked is what stands in brackets.\n")
                print(*lines(part, rows), sep="\n")


def lines(part, rows):
    peers = [n for n in PEERS if any(n in r.peers for r in rows)]
    floor = any(r.floor for r in rows)
    heads = ["", "weir"] + ["floor"] * floor + [PEERS[n] for n in peers]
    heads += ["asked"] if part == "idle" else ["of the floor"] * floor + ["of the peers"]
    yield "| " + " | ".join(heads + ["met"]) + " |"
    yield "|---" * (len(heads) + 1) + "|"
    for r in rows:
        cells = [r.name, short(r.figure)] + [short(r.floor)] * floor + [short(r.peers.get(n)) for n in peers]
        cells += [r.of_bytes()] if part == "idle" else [r.of(r.floor, r.asked.get("floor"))] * floor + [r.of_peers()]
        yield "| " + " | ".join(cells + [r.met()]) + " |"
