"""What is measured: servers of every kind, and the bare relays that they are held against.

A *kind* is a protocol with its security, `vless-tls`; a *group* is the kinds that one set of floors is for: they take
turns with each other.  To add a protocol, add its kinds to KINDS and, where the client of weirtest.peers does not speak it
yet, a case there.  To add a peer, write a function `start(procs, outbound) -> Proc` and name it in SERVERS and in
the kinds that it serves.  bench/load reaches every server by share link, so weir's own client must know the
protocol; nothing else is to be done.
"""
import dataclasses
import json
import subprocess
import sys

from weirtest import peers
from weirtest.fakepanel import FakePanel
from weirtest.node import Node, entry
from weirtest.proc import free_port


@dataclasses.dataclass(frozen=True)
class Kind:
    protocol: str
    tls: bool
    group: str
    servers: tuple


@dataclasses.dataclass(frozen=True)
class Floor:
    group: str
    command: tuple   # a program of bench/ and what follows its two ports
    opens: bool      # what the user gets is what the target sent: bytes can be compared


WEIR = ("weir",)
CIPHERED = ("weir", "weir evp")  # both AEAD engines
GO_PEERS = ("xray", "sing-box")

KINDS = {
    "vless-raw": Kind("vless", False, "raw", WEIR + GO_PEERS),
    "trojan-raw": Kind("trojan", False, "raw", WEIR + GO_PEERS),
    "vless-tls": Kind("vless", True, "tls", CIPHERED + GO_PEERS),
    "trojan-tls": Kind("trojan", True, "tls", CIPHERED + GO_PEERS),
}

# What a relay costs that does nothing else.  The first of a group is the one to be held against, for `weir evp` its own.
FLOORS = {
    "splice": Floor("raw", ("splice_relay",), True),
    "copy": Floor("raw", ("copy_relay",), True),
    "cipher": Floor("tls", ("copy_relay", "auto"), False),
    "cipher evp": Floor("tls", ("copy_relay", "evp"), False),
}
FLOOR_OF = {("raw", "weir"): "splice", ("tls", "weir"): "cipher", ("tls", "weir evp"): "cipher evp"}


def start_weir(engine):
    def start(procs, o):
        panel = FakePanel(o.protocol, o.port, [{"id": 1, "uuid": o.credential}], tls=int(bool(o.cert)))
        panel.config["base_config"] = {"push_interval": 60, "pull_interval": 60}
        node = Node(procs, [entry(panel.url, panel.as_node(), o.cert)], [o.port], "weir",
                    Log={"Level": "error"}, AeadEngine=engine)
        return node.proc
    return start


SERVERS = {
    "weir": start_weir("auto"),
    "weir evp": start_weir("evp"),
    "xray": peers.xray_server,
    "sing-box": peers.singbox_server,
}


def is_ours(server):
    return server.startswith("weir")


class Way:
    """One server, or one bare relay, with a target of its own behind it."""

    def __init__(self, proc, via, target, build, opens=True):
        self.proc, self.via, self.target, self.build, self.opens = proc, via, target, build, opens

    def run(self, mode, flows, amount, limit=180):
        """What bench/load says, or None."""
        command = [self.build / "bench/load", self.via, mode, flows, amount, self.target, self.proc.pid]
        try:
            out = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=limit)
        except subprocess.TimeoutExpired:
            print(f"{self.proc.name}: {mode} takes more than {limit} s", file=sys.stderr)
            return None
        if out.returncode:
            print(f"{self.proc.name}: {mode} {flows}: {out.stderr.strip()}", file=sys.stderr)
            return None
        return json.loads(out.stdout)


def server(name, kind, procs, cert, build):
    k = KINDS[kind]
    o = peers.Outbound(k.protocol, free_port(), peers.random_credential(), cert if k.tls else None)
    return Way(SERVERS[name](procs, o), peers.link(o), free_port(), build)


def floor(name, procs, build):
    f, port, target = FLOORS[name], free_port(), free_port()
    program, *more = f.command
    proc = procs.start(name, [build / "bench" / program, port, target, *more]).wait_listening(port)
    return Way(proc, f"plain:{port}", target, build, f.opens)
