"""One node with an inbound for each of many cases, a user and a real client for each, and what runs through them."""
import contextlib
import dataclasses
from concurrent.futures import ThreadPoolExecutor

from .lab import Lab, User, encryption
from .node import Node, entry
from .panel import Panel
from .peers import CLIENTS, Outbound, Reality, random_credential, start_clients
from .proc import free_port, wait_until
from .shadowsocks import SPEAKERS, client, new_key, password_for
from .steady import Flow, Packets
from .tlstargets import start_target

FLOW = "xtls-rprx-vision"
MODES = ("native", "xorpub", "random")  # of VLESS Encryption


@dataclasses.dataclass
class Case:
    node: str              # protocol-security[-vision], or a method of Shadowsocks
    client: str
    what: str = "tcp"      # or udp
    mux: int = 0           # mux.cool
    multiplex: str = ""    # smux, yamux, h2mux; with ",padding"
    cipher: str = ""       # VMess
    cone: bool = True
    spliced: bool = False  # by the kernel

    @property
    def inner(self):
        return "vision" in self.node and self.what == "tcp"

    def __str__(self):
        more = [f"cool:{self.mux}"] * bool(self.mux) + [self.multiplex, self.cipher, "" if self.cone else "plain"]
        return "-".join(filter(None, [self.node, *more, self.what, self.client])).replace(",", "-")


class Site(Lab):
    """A panel and a node with an inbound for each that `cases` name, and a user for each case, who all have
    `limits`; `people` are others."""

    # pylint: disable=super-init-not-called
    def __init__(self, procs, cert, cases, people=0, **limits):
        self.procs, self.cert, self.cases, self.panel = procs, cert, cases, Panel(procs)
        self.mirror = start_target(procs, "nginx", cert)
        self.keys, self.flows, self.told, self.rows = {}, {}, {}, {}
        entries = [self._entry(name) for name in dict.fromkeys(c.node for c in cases)]
        made = self.panel.admin("POST", "/users", [dict(limits, uuid=random_credential()) for _ in cases])["users"]
        self.users = [User(self, row["id"], row["uuid"]) for row in made]
        if people:
            self.panel.admin("POST", "/users", [{}] * people)
        self.node = Node(procs, entries, [row["port"] for row in self.rows.values()])

    def _entry(self, name):
        protocol, security, *rest = ("shadowsocks", name) if name in SPEAKERS else name.split("-")
        more = {"tls": {"tls": 1, "reality": 2}.get(security, 0)}
        if protocol == "shadowsocks":
            self.keys[name] = new_key(name) if name.startswith("2022-") else ""
            more = {"cipher": name, **({"server_key": self.keys[name]} if self.keys[name] else {})}
        elif security in MODES:
            settings, self.told[name] = encryption(security)
            more.update(settings)
        elif security == "reality":
            more["tls_settings"] = {"server_name": self.cert.name, "dest": f"127.0.0.1:{self.mirror}"}
        if rest:
            more["flow"] = self.flows[name] = FLOW
        row = self.rows[name] = self.panel.add_node(protocol, free_port(), **more)
        return entry(self.panel.url, row, self.cert if security == "tls" else None, Name=name)

    def outbound_of(self, case, user):
        row, name = self.rows[case.node], case.node
        o = Outbound(row["type"], row["port"], user.credential, self.cert if "-tls" in name else None,
                     flow=self.flows.get(name, ""), encryption=self.told.get(name, "none"), mux=case.mux, cone=case.cone,
                     method=case.cipher)
        if name in self.keys:
            o.method, o.credential = name, password_for(name, self.keys[name], user.credential)
        if "-reality" in name:
            tls = row["settings"]["tls_settings"]
            o.reality = Reality(tls["public_key"], tls["short_id"], self.cert.name)
        if case.multiplex:
            protocol, _, padding = case.multiplex.partition(",")
            o.multiplex = {"protocol": protocol, "padding": bool(padding)}
            o.multiplex.update({"max_streams": 8} if case.client == "weir" else {"enabled": True, "max_connections": 1})
        return o

    def ways(self):
        """Through a client for each case: of Xray and sing-box one process has them all."""
        outbounds = [self.outbound_of(case, user) for case, user in zip(self.cases, self.users)]
        ways = [None] * len(self.cases)
        for kind in CLIENTS:
            which = [i for i, case in enumerate(self.cases) if case.client == kind]
            for i, way in zip(which, start_clients(kind, self.procs, [outbounds[i] for i in which])):
                ways[i] = way
        return [way or client(case.client, self.procs, o) for way, case, o in zip(ways, self.cases, outbounds)]


class Lane:
    """A case while it runs: its flows, and what was seen at each moment."""

    def __init__(self, case, user, way):
        self.case, self.user, self.way = case, user, way
        self.flows, self.moments, self.seen_after, self.error = [], [], None, None

    def open(self, site, pace, target):
        site.until_served(self.way, target, self.user)
        self.before = self.user.up, self.user.down
        for _ in range(2 if self.case.mux or self.case.multiplex else 1):
            self.flows.append(Packets(pace, self.way) if self.case.what == "udp" else
                              Flow(pace, self.way, pace.cert if self.case.inner else None))

    def begun(self):
        return all(min(f.moved()) > 20000 for f in self.flows)

    def bounds(self):
        return tuple(map(sum, zip(*(f.bounds() for f in self.flows))))

    def moved(self, flow):
        """What is to be billed of a flow that is over."""
        up, down = flow.perhaps
        # The clients of others end what they have copied with the alert of the outer connection, in the naked stream.
        self.user.moved(flow.moved(), up + (24 if self.case.inner and self.case.client != "weir" else 0), down)

    def look(self, counted):
        up, down = (n - b for n, b in zip(counted.of(self.user.id), self.before))
        self.moments.append((up, down, *self.bounds()))

    def assert_counted(self):
        for up, down, there, sent, here, left in self.moments:
            assert there <= up <= sent + self.user.perhaps and here <= down <= left, (
                f"the target has {there}, counted {up}, sent {sent}; the client has {here}, counted {down}, sent {left}")

    def grew(self):
        """How often the client had more than at the last look."""
        return sum(a[4] < b[4] for a, b in zip(self.moments, self.moments[1:]))


def start_lanes(site, pace, target):
    """A Lane for each of the site's cases, when all of them are under way; of which that is not so has an `error`."""
    lanes = [Lane(*each) for each in zip(site.cases, site.users, site.ways())]

    def begin(lane):
        try:
            lane.open(site, pace, target)
        except (OSError, EOFError, AssertionError) as e:
            lane.error = f"it was not opened: {e!r}"

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(begin, lanes))
    opened = [lane for lane in lanes if not lane.error]
    with contextlib.suppress(AssertionError):
        wait_until("all to have begun", lambda: pace.error or all(lane.begun() for lane in opened), 20)
    pace.check()
    for lane in opened:
        if not lane.begun():
            lane.error = f"it has not begun: {lane.bounds()}"
    return lanes
