"""A panel, a node with four inbounds, and clients of each kind: what most end-to-end tests stand on."""
import dataclasses
import os
import re
import subprocess

from . import SLOW
from .node import HANDSHAKE, Node, entry
from .panel import Panel
from .peers import Outbound, Reality, random_credential, start_client
from .proc import free_port, wait_until

KINDS = ("vless-raw", "vless-tls", "trojan-raw", "trojan-tls")


@dataclasses.dataclass
class User:
    """A user of the panel, and what the panel should say about him when all has been reported."""
    lab: object
    id: int
    credential: str
    up: int = 0
    down: int = 0
    perhaps: int = 0
    perhaps_down: int = 0

    def moved(self, both, perhaps=0, perhaps_down=0):
        """`perhaps`: bytes more that may have come so far as to be counted, or not, up and down."""
        self.up += both[0]
        self.down += both[1]
        self.perhaps += perhaps
        self.perhaps_down += perhaps_down

    def assert_billed(self, seconds=10):
        """The panel's totals become what was moved, exactly but for what may have been."""
        expected = self.up, self.down

        def billed():
            got = self.lab.panel.traffic(self.id)
            assert got[0] <= expected[0] + self.perhaps and got[1] <= expected[1] + self.perhaps_down, (
                f"billed {got}, moved {expected}")
            return got[0] >= expected[0] and got[1] >= expected[1]

        try:
            wait_until("the panel's totals", billed, seconds)
        except AssertionError as e:
            raise AssertionError(f"{e}; billed {self.lab.panel.traffic(self.id)}, moved {expected}") from None


class Lab:
    """A kind is protocol-security; of `reality` the target is the port `mirror`."""

    def __init__(self, procs, cert, kinds=KINDS, top=None, settings=None, mirror=None, **options):
        self.procs, self.cert, self.kinds = procs, cert, kinds
        self.flow = (settings or {}).get("flow", "")
        self.panel = Panel(procs)
        self.ports, self.rows, entries = {}, {}, []
        for kind in kinds:
            protocol, security = kind.split("-")
            self.ports[kind] = free_port()
            tls = {"tls": int(security == "tls")}
            if security == "reality":
                tls = {"tls": 2, "tls_settings": {"server_name": cert.name, "dest": f"127.0.0.1:{mirror}"}}
            row = self.panel.add_node(protocol, self.ports[kind], **tls, **(settings or {}))
            self.rows[kind] = row
            entries.append(entry(self.panel.url, row, cert if security == "tls" else None, Name=kind, **options))
        self.node = Node(procs, entries, list(self.ports.values()), **(top or {}))

    def outbound(self, kind, credential):
        protocol, security = kind.split("-")
        o = Outbound(protocol, self.ports[kind], credential, self.cert if security == "tls" else None, self.flow)
        if security == "reality":
            tls = self.rows[kind]["settings"]["tls_settings"]
            o.reality = Reality(tls["public_key"], tls["short_id"], self.cert.name)
        return o

    def user(self, **limits):
        row = self.panel.add_user(uuid=random_credential(), **limits)
        return User(self, row["id"], row["uuid"])

    def client(self, kind, client, user):
        return start_client(client, self.procs, self.outbound(kind, user.credential))

    def until_served(self, way, target, user=None):
        """Waits until the node has pulled the user: the first conversation that succeeds."""
        from . import traffic

        def try_it():
            try:
                # A node that does not know the user yet says nothing until its deadline.
                return traffic.echo(way, target, b"are you there", (HANDSHAKE - 1) / SLOW)
            except (OSError, EOFError):
                return None

        moved = wait_until("the node to know the user", try_it, 20, 0.2)
        if user:
            user.moved(moved)
        return way


def encryption(mode):
    """What a node is told, and what a client."""
    text = subprocess.run([os.environ["WEIR_BIN"], "vlessenc", "-m", mode, "-k", "x25519", "-t", "600s"],
                          check=True, capture_output=True, text=True).stdout
    key, told = re.findall(r"cryption: (\S+)$", text, re.M)
    return {"encryption": "mlkem768x25519plus",
            "encryption_settings": {"mode": mode, "ticket": "600s", "private_key": key.split(".")[-1]}}, told


class EncryptedLab(Lab):
    """VLESS with its Encryption instead of TLS, in one of its modes."""

    def __init__(self, procs, cert, mode, flow="", **options):
        settings, self.encryption = encryption(mode)
        super().__init__(procs, cert, kinds=("vless-raw",), settings=dict(settings, flow=flow), **options)

    def outbound(self, kind, credential):
        o = super().outbound(kind, credential)
        o.encryption = self.encryption
        return o
