"""One AEAD port with many users: how long until the first packet of a connection is somebody's.

Nothing in the packet says whose it is: a server tries keys until one fits.  Two hundred users come and go, each from an
address of his own; a port with one user is what the same takes when there is nothing to find.
"""
import json
import os
import subprocess
import sys

from weirtest import peers, shadowsocks
from weirtest.fakepanel import FakePanel
from weirtest.node import Node, entry
from weirtest.proc import free_port

METHOD = "aes-128-gcm"


def start_weir(procs, port, users):
    panel = FakePanel("shadowsocks", port, [{"id": i + 1, "uuid": u} for i, u in enumerate(users)], cipher=METHOD)
    panel.config["base_config"] = {"push_interval": 60, "pull_interval": 60}
    return Node(procs, [entry(panel.url, panel.as_node())], [port], "weir", Log={"Level": "error"}).proc


def start_xray(procs, port, users):
    o = peers.Outbound("shadowsocks", port, users[0], method=METHOD)
    return shadowsocks.xray_server(procs, o, users)


STARTS = {"weir": start_weir, "xray": start_xray}


def measure(name, procs, build, net, users, active, turns, flood=False):
    """What bench/crowd_load says, or None."""
    known = [peers.random_credential() for _ in range(users)]
    port = free_port()
    server = STARTS[name](procs, port, known)
    some = known[::max(users // active, 1)][:active]
    path = os.path.join(procs.folder, f"links.{port}")
    with open(path, "w", encoding="ascii") as f:
        f.writelines(peers.ss_link(peers.Outbound("shadowsocks", port, u, method=METHOD)) + "\n" for u in some)
    command = [build / "bench/crowd_load", net, path, free_port(), server.pid, turns] + ([port] if flood else [])
    try:
        out = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=180)
    except subprocess.TimeoutExpired:
        print(f"{name}: {users} users take more than 180 s", file=sys.stderr)
        return None
    finally:
        server.stop()
    if out.returncode:
        print(f"{name}: {users} users: {out.stderr.strip()}", file=sys.stderr)
        return None
    return json.loads(out.stdout)


def rows(procs, build, users, active=200, turns=5, flood=True):
    """(server, what, figures or None)"""
    for net in "tcp", "udp":
        for name in STARTS:
            yield name, f"{net}, 1 user", measure(name, procs, build, net, 1, 1, active * turns)
            yield name, f"{net}, {users} users", measure(name, procs, build, net, users, active, turns)
        for name in STARTS if flood else ():
            # Who needs seconds for an answer is asked less.
            few = {"active": active, "turns": turns} if name == "weir" else {"active": active // 10, "turns": 1}
            yield name, f"{net}, {users} users, strangers beside", measure(name, procs, build, net, users, flood=True, **few)
