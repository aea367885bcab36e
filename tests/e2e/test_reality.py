"""REALITY: those who know the key are served, everybody else talks to the target."""
import pytest
from weirtest import SLOW, traffic
from weirtest.node import Node, entry
from weirtest.panel import Panel
from weirtest.lab import User
from weirtest.peers import CLIENTS, Outbound, Reality, random_credential, start_client
from weirtest.proc import free_port, wait_until
from weirtest.tlstargets import KINDS, start_target

MIB = 1 << 20
SIZE = 4 * MIB if SLOW == 1 else MIB
NAME = "weir.test"

pytestmark = [pytest.mark.quick]


class Lab:
    """A node for each protocol and target."""

    def __init__(self, procs, cert):
        self.procs = procs
        self.panel = Panel(procs)
        self.targets = {kind: start_target(procs, kind, cert) for kind in KINDS}
        self.nodes, entries = {}, []
        for protocol, kind in [("vless", k) for k in KINDS] + [("trojan", "nginx")]:
            row = self.panel.add_node(protocol, free_port(), tls=2, tls_settings={
                "server_name": NAME, "dest": f"127.0.0.1:{self.targets[kind]}"})
            self.nodes[protocol, kind] = row
            entries.append(entry(self.panel.url, row, None, Name=f"{protocol}-{kind}"))
        self.node = Node(procs, entries, [row["port"] for row in self.nodes.values()])

    def outbound(self, protocol, kind, credential, **other):
        row = self.nodes[protocol, kind]
        tls = row["settings"]["tls_settings"]
        reality = Reality(tls["public_key"], tls["short_id"], NAME)
        return Outbound(protocol, row["port"], credential, reality=reality, **other)

    def user(self):
        row = self.panel.add_user(uuid=random_credential())
        return User(self, row["id"], row["uuid"])

    def until_served(self, way, target, user):
        def try_it():
            try:
                return traffic.echo(way, target, b"are you there", 3)
            except (OSError, EOFError):
                return None

        user.moved(wait_until("the node to know the user", try_it, 20, 0.2))
        return way


@pytest.fixture(scope="module")
def lab(module_procs, cert):
    return Lab(module_procs, cert)


WAYS = [("vless", kind, client) for kind in KINDS for client in CLIENTS]
WAYS += [("trojan", "nginx", client) for client in CLIENTS]


@pytest.fixture(scope="module")
def ways(lab, target):
    """A user and a client for each: all started before any is used."""
    users = {way: lab.user() for way in WAYS}
    started = {w: start_client(w[2], lab.procs, lab.outbound(w[0], w[1], u.credential)) for w, u in users.items()}
    return {w: (users[w], lab.until_served(way, target, users[w])) for w, way in started.items()}


@pytest.mark.parametrize("which", WAYS, ids="-".join)
def test_bytes_arrive_whole(ways, target, which):
    user, way = ways[which]
    user.moved(traffic.upload(way, target, SIZE, 1))
    user.moved(traffic.download(way, target, SIZE, 2))
    user.moved(traffic.short_connections(way, target, 20))


def test_all_of_it_is_billed(ways):
    for user, _ in ways.values():
        user.assert_billed()
