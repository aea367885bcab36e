"""What is measured: servers of every kind, and the bare relays that they are held against.

A *kind* is a protocol with its security, `vless-tls`; a *group* is the kinds that one set of floors is for: they take
turns with each other.  To add a protocol, add its kinds to KINDS and, where the client of weirtest.peers does not speak it
yet, a case there.  To add a peer, write a function `start(procs, outbound) -> Proc` and name it in SERVERS and in
the kinds that it serves.  bench/load reaches every server by share link, so weir's own client must know the
protocol; nothing else is to be done.
"""
import base64
import dataclasses
import json
import os
import subprocess
import sys

from weirtest import peers, shadowsocks, tlstargets
from weirtest.fakepanel import FakePanel
from weirtest.node import Node, entry
from weirtest.proc import free_port


@dataclasses.dataclass(frozen=True)
class Kind:
    protocol: str
    tls: bool
    group: str
    servers: tuple
    method: str = ""
    reality: bool = False


@dataclasses.dataclass(frozen=True)
class Floor:
    group: str
    command: tuple   # a program of bench/ and what follows its two ports
    opens: bool      # what the user gets is what the target sent: bytes can be compared


WEIR = ("weir",)
CIPHERED = ("weir", "weir evp")  # both AEAD engines
HANDSHAKES = CIPHERED + ("weir own",)  # both TLS 1.3 handshakes
GO_PEERS = ("xray", "sing-box")

KINDS = {
    "vless-raw": Kind("vless", False, "raw", WEIR + GO_PEERS),
    "trojan-raw": Kind("trojan", False, "raw", WEIR + GO_PEERS),
    "vless-tls": Kind("vless", True, "tls", HANDSHAKES + GO_PEERS),
    "trojan-tls": Kind("trojan", True, "tls", HANDSHAKES + GO_PEERS),
    "vmess-aes": Kind("vmess", False, "vmess", CIPHERED + GO_PEERS, "aes-128-gcm"),
    "vless-reality": Kind("vless", False, "tls", WEIR + GO_PEERS, reality=True),
    "ss-2022": Kind("shadowsocks", False, "ss-aes", ("weir", "ssserver") + GO_PEERS, "2022-blake3-aes-128-gcm"),
    "ss-aes": Kind("shadowsocks", False, "ss-aes", ("weir", "ssserver", "ss-server") + GO_PEERS, "aes-128-gcm"),
    "ss-chacha": Kind("shadowsocks", False, "ss-chacha", ("weir", "ssserver", "ss-server") + GO_PEERS,
                      "chacha20-ietf-poly1305"),
}


def threads():
    """Workers of ours, and threads of a floor: as many as the processors that what is started now may run on.  The Go
    peers and shadowsocks-rust take as many by themselves.
    """
    return len(os.sched_getaffinity(0))


# What a relay costs that does nothing else.  The first of a group is the one to be held against, for `weir evp` its own.
FLOORS = {
    "splice": Floor("raw", ("splice_relay",), True),
    "copy": Floor("raw", ("copy_relay",), True),
    "cipher": Floor("tls", ("copy_relay", "auto"), False),
    "cipher evp": Floor("tls", ("copy_relay", "evp"), False),
    # the same cipher over chunks of about the same size
    "vmess": Floor("vmess", ("copy_relay", "auto", "ss", "aes"), False),
    "ss aes": Floor("ss-aes", ("copy_relay", "auto", "ss", "aes"), False),
    "ss chacha": Floor("ss-chacha", ("copy_relay", "auto", "ss", "chacha20"), False),
}
FLOOR_OF = {("raw", "weir"): "splice", ("tls", "weir"): "cipher", ("tls", "weir evp"): "cipher evp",
            ("vmess", "weir"): "vmess", ("ss-aes", "weir"): "ss aes", ("ss-chacha", "weir"): "ss chacha"}


# What weir is to be at most: of a floor, of a server, of the best peer; or, idle, so many bytes.
ASKED = {
    ("raw", "bytes"): {"floor": 1.2, "best": 0.5},
    ("tls", "bytes"): {"floor": 1.2, "best": 0.5},
    ("ss-2022", "bytes"): {"floor": 1.2, "ssserver": 0.75, "xray": 0.45},
    ("ss-aes", "bytes"): {"floor": 1.2, "ssserver": 0.6, "xray": 0.5},
    ("ss-chacha", "bytes"): {"floor": 1.2, "ssserver": 0.7, "xray": 0.75},
    ("vless-tls", "conn"): {"xray": 0.9, "own best": 0.55},
    ("trojan-tls", "conn"): {"xray": 0.9, "own best": 0.55},
    ("vless-reality", "conn"): {"xray": 0.5},
    ("vmess-aes", "bytes"): {"best": 0.5},
    ("shadowsocks", "conn"): {"ssserver": 0.9},
    ("raw", "idle"): {"bytes": 1024},
    ("tls", "idle"): {"bytes": 2048},
    ("shadowsocks", "idle"): {"bytes": 1536},
}


def asked(kind, part):
    """By kind, by group or by protocol."""
    k = KINDS[kind]
    return next((ASKED[n, part] for n in (kind, k.group, k.protocol) if (n, part) in ASKED), {})


def as_node(o):
    """(what a panel's user has for a UUID, settings of the node) so that `o` fits it."""
    if o.protocol != "shadowsocks":
        if not o.reality:
            return o.credential, {"tls": int(bool(o.cert)), "flow": o.flow}
        r = o.reality
        return o.credential, {"tls": 2, "flow": o.flow, "tls_settings": {
            "server_name": r.name, "private_key": r.private_key, "short_id": r.short_id,
            "dest": f"127.0.0.1:{r.target}"}}
    if o.method not in shadowsocks.EIH:
        return o.credential, {"cipher": o.method}
    server_key, user_key = o.credential.split(":")
    return base64.b64decode(user_key).decode(), {"cipher": o.method, "server_key": server_key}


def start_weir(engine, **options):
    def start(procs, o):
        uuid, settings = as_node(o)
        panel = FakePanel(o.protocol, o.port, [{"id": 1, "uuid": uuid}], **settings)
        panel.config["base_config"] = {"push_interval": 60, "pull_interval": 60}
        node = Node(procs, [entry(panel.url, panel.as_node(), o.cert, **options)], [o.port], "weir",
                    Log={"Level": "error"}, Workers=threads(), AeadEngine=engine)
        return node.proc
    return start


def start_shadowsocks(name):
    def start(procs, o):
        users = [o.credential.split(":")[1]] if o.method in shadowsocks.EIH else ()
        if name == "ssserver":
            # The benchmark has it built with all optimisation; a smoke is content with the tests' build.
            return shadowsocks.rust_server(procs, o, users, os.environ.get("WEIR_SSRUST_OPTIMISED"))
        return shadowsocks.SERVERS[name](procs, o, users)
    return start


SERVERS = {
    "weir": start_weir("auto"),
    "weir evp": start_weir("evp"),
    "weir own": start_weir("auto", TlsHandshake="own"),
    "xray": peers.xray_server,
    "sing-box": peers.singbox_server,
}


def start_of(name, protocol):
    if protocol == "shadowsocks" and not is_ours(name):
        return start_shadowsocks(name)
    return SERVERS[name]


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


def outbound(k, cert, procs):
    if k.reality:
        target = tlstargets.start_target(procs, "nginx", cert)
        return peers.Outbound(k.protocol, free_port(), peers.random_credential(),
                              reality=peers.new_reality(cert.name, target))
    if k.protocol != "shadowsocks":
        return peers.Outbound(k.protocol, free_port(), peers.random_credential(), cert if k.tls else None,
                              method=k.method)
    key = shadowsocks.new_key(k.method)
    password = shadowsocks.password_for(k.method, key, peers.random_credential())
    return peers.Outbound(k.protocol, free_port(), password, method=k.method)


def server(name, kind, procs, cert, build):
    k = KINDS[kind]
    o = outbound(k, cert, procs)
    return Way(start_of(name, k.protocol)(procs, o), peers.link(o), free_port(), build)


def floor(name, procs, build):
    f, port, target = FLOORS[name], free_port(), free_port()
    program, *more = f.command
    command = [build / "bench" / program, port, target, *more]
    proc = procs.start(name, command, env={"THREADS": str(threads())}).wait_listening(port)
    return Way(proc, f"plain:{port}", target, build, f.opens)
