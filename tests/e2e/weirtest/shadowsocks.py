"""Shadowsocks: its methods, its peers as clients and servers, and a node with one inbound for each method.

Peers beside Xray and sing-box: shadowsocks-rust (`sslocal`, `ssserver`) and shadowsocks-libev (`ss-local`, `ss-server`).
An Outbound says what to connect to, as everywhere: `credential` is the password that a client is configured with, for a
user of a 2022 port "server key:user key".
"""
import base64
import os
import shutil
import sys

from . import secrecy
from .lab import Lab
from .node import Node, entry
from .panel import Panel
from .peers import Outbound, peer, start_client, write
from .proc import free_port, listens, wait_until
from .traffic import Way

# Who speaks what.
EVERYBODY = ("weir", "xray", "sing-box", "sslocal", "ss-local")
SPEAKERS = {
    "aes-128-gcm": EVERYBODY,
    "aes-192-gcm": ("weir", "sing-box", "ss-local"),
    "aes-256-gcm": EVERYBODY,
    "chacha20-ietf-poly1305": EVERYBODY,
    "xchacha20-ietf-poly1305": EVERYBODY,
    "2022-blake3-aes-128-gcm": EVERYBODY[:4],
    "2022-blake3-aes-256-gcm": EVERYBODY[:4],
    "2022-blake3-chacha20-poly1305": EVERYBODY[:4],
}
AEAD = tuple(m for m in SPEAKERS if not m.startswith("2022-"))
EIH = ("2022-blake3-aes-128-gcm", "2022-blake3-aes-256-gcm")
SALT = {m: 16 if "128" in m else 24 if "192" in m else 32 for m in SPEAKERS}


def new_key(method):
    """A key of the length that a 2022 method asks for, as it is written."""
    return secrecy.issue(base64.b64encode(os.urandom(16 if "128" in method else 32)).decode())


def user_key(method, credential):
    """How panels make the key of a user: the first characters of his UUID."""
    return secrecy.issue(base64.b64encode(credential.encode()[:16 if "128" in method else 32]).decode())


def password_for(method, server_key, credential):
    """What a client of the node is told."""
    if method in EIH:
        return f"{server_key}:{user_key(method, credential)}"
    # This method has no word for who it is: the port's only user has the port's key.
    return server_key if method.startswith("2022-") else credential


def program(name):
    """A peer's program: shadowsocks-rust as we built it, shadowsocks-libev as Debian did."""
    if name in ("sslocal", "ssserver", "ssmanager"):
        path = os.path.join(os.environ.get("WEIR_SSRUST", ""), name)
    else:
        path = shutil.which(name) or ""
    assert os.access(path, os.X_OK), f"no {name} at {path or '$PATH'}: ./dev deps peers"
    return path


def listening_udp(port):
    """Whether a socket is bound to this UDP port on any address."""
    wanted = f":{port:04X}"
    for name in ("/proc/net/udp", "/proc/net/udp6"):
        with open(name, encoding="ascii") as f:
            if any(line.split()[1].endswith(wanted) for line in f.readlines()[1:]):
                return True
    return False


# --- clients -----------------------------------------------------------------------------------

def _config(o, **more):
    c = {"server": o.host, "server_port": o.port, "password": o.credential, "method": o.method, "timeout": 60,
         "mode": "tcp_and_udp"}
    if o.plugin:
        # With a plugin, UDP goes beside it (SIP003).
        c["plugin"], c["plugin_opts"] = o.plugin, o.plugin_opts
    return dict(c, **more)


def rust_client(procs, o, port):
    config = _config(o, local_address="127.0.0.1", local_port=port)
    return procs.start("sslocal", [program("sslocal"), "-c", write(procs, "sslocal", config)])


def libev_client(procs, o, port):
    config = _config(o, local_address="127.0.0.1", local_port=port)
    return procs.start("ss-local", [program("ss-local"), "-c", write(procs, "ss-local", config)])


def client(kind, procs, o):
    """Runs a client; the Way through its SOCKS port."""
    start = {"sslocal": rust_client, "ss-local": libev_client}.get(kind)
    if not start:
        return start_client(kind, procs, o)
    port = free_port()
    start(procs, o, port).wait_listening(port)
    return Way(port)


# --- servers -----------------------------------------------------------------------------------

def server_password(o):
    return o.credential.split(":")[0] if o.method in EIH else o.credential


def rust_server(procs, o, users=(), where=None):
    """`users` are passwords beside the server's own, for the 2022 methods; `where` another build's folder."""
    config = _config(o, password=server_password(o))
    if users:
        config["users"] = [{"name": f"u{i}", "password": p} for i, p in enumerate(users)]
    config = {"servers": [config]}  # `users` is not heard outside
    path = os.path.join(where, "ssserver") if where else program("ssserver")
    return procs.start("ssserver", [path, "-c", write(procs, "ssserver", config)]).wait_listening(o.port)


def libev_server(procs, o, users=()):
    assert not users
    return procs.start("ss-server", [program("ss-server"), "-u", "-c", write(procs, "ss-server", _config(o))]
                       ).wait_listening(o.port)


def xray_server(procs, o, users=()):
    settings = {"method": o.method, "password": server_password(o), "network": "tcp,udp"}
    if users:
        settings["clients"] = [{"password": p, "email": f"u{i}"} for i, p in enumerate(users)]
        if not o.method.startswith("2022-"):
            del settings["password"]
            for c in settings["clients"]:
                c["method"] = o.method
    config = {"log": {"loglevel": "warning", "access": "none"},
              "inbounds": [{"listen": o.host, "port": o.port, "protocol": "shadowsocks", "settings": settings}],
              "outbounds": [{"protocol": "freedom"}]}
    return procs.start("xray-server", [peer("xray"), "run", "-c", write(procs, "xray-server", config)]
                       ).wait_listening(o.port)


def singbox_server(procs, o, users=()):
    inbound = {"type": "shadowsocks", "listen": o.host, "listen_port": o.port, "method": o.method,
               "password": server_password(o)}
    if users:
        inbound["users"] = [{"name": f"u{i}", "password": p} for i, p in enumerate(users)]
    if o.uot:
        inbound["network"] = "tcp"  # no datagram but in a stream
    config = {"log": {"level": "warn"}, "inbounds": [inbound], "outbounds": [{"type": "direct"}]}
    return procs.start("sing-box-server", [peer("sing-box"), "run", "-c", write(procs, "sing-box-server", config)]
                       ).wait_listening(o.port)


SERVERS = {"ssserver": rust_server, "ss-server": libev_server, "xray": xray_server, "sing-box": singbox_server}


def server(kind, procs, method, multi=False):
    """A peer's server, and the Outbound that fits it; `multi`: one of three users of a 2022 port."""
    key = new_key(method) if method.startswith("2022-") else "päss word:/?#[]@ \"quoted\" \\ $(x)"
    users = [new_key(method) for _ in range(3)] if multi else []
    o = Outbound("shadowsocks", free_port(), f"{key}:{users[1]}" if multi else key, method=method)
    SERVERS[kind](procs, o, users)
    return o


# --- managers and plugins ----------------------------------------------------------------------

def python_server(folder):
    """A program that starts the Python server of today's Python, to be run as its `ssserver`."""
    path = os.path.join(str(folder), "ssserver-python")
    with open(path, "w", encoding="ascii") as f:
        f.write(f'#!/bin/sh\nexec "{sys.executable}" -W ignore "{os.path.join(os.path.dirname(__file__), "pyss.py")}" '
                '"$@"\n')
    os.chmod(path, 0o700)
    return path


def counted_by_others(up, down):
    """What ss-server and the Python server count of a conversation under aes-256-cfb, where it does not depend on pieces:
    up as it came, with an IV and an IPv4 address in front, down as the target sent it."""
    return 16 + 7 + up + down


# --- the node ----------------------------------------------------------------------------------

class SsLab(Lab):
    """A panel, and a node with an inbound for each of `methods`."""

    # pylint: disable=super-init-not-called
    def __init__(self, procs, methods=tuple(SPEAKERS), top=None, settings=None, **options):
        self.procs, self.cert, self.kinds = procs, None, tuple(methods)
        self.panel = Panel(procs)
        self.ports, self.rows, self.keys, entries = {}, {}, {}, []
        for method in methods:
            more = dict(settings or {}, cipher=method)
            if method.startswith("2022-"):
                more["server_key"] = self.keys[method] = new_key(method)
            self.ports[method] = free_port()
            row = self.rows[method] = self.panel.add_node("shadowsocks", self.ports[method], **more)
            entries.append(entry(self.panel.url, row, None, Name=method, **options))
        self.node = Node(procs, entries, list(self.ports.values()), **(top or {}))

    def outbound(self, kind, credential):
        return Outbound("shadowsocks", self.ports[kind], password_for(kind, self.keys.get(kind), credential),
                        method=kind)

    def client(self, kind, client_kind, user, **more):
        o = self.outbound(kind, user.credential)
        for name, value in more.items():
            setattr(o, name, value)
        return client(client_kind, self.procs, o)


__all__ = ["SPEAKERS", "AEAD", "EIH", "SALT", "SsLab", "client", "server", "program", "listening_udp", "listens",
           "wait_until"]
