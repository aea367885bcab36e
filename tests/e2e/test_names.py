"""Names that users ask for: the node has a /etc of its own, with name servers and hosts of the test's."""
import os
import shutil
import socket
import struct
import subprocess
import threading
import types

import pytest
from weirtest import socks, traffic
from weirtest.node import Node, entry
from weirtest.panel import Panel
from weirtest.peers import Outbound, random_credential, start_client
from weirtest.proc import free_port, wait_until

pytestmark = [pytest.mark.quick, pytest.mark.one_thread]

OWN_ETC = 'mount --bind "$0" /etc && exec "$@"'


def may_unshare():
    return subprocess.run(["unshare", "-r", "-m", "true"], capture_output=True, check=False).returncode == 0


class NameServer:
    """Answers every question for A with one address, and none for the rest."""

    def __init__(self, at, address):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((at, 53))
        self.answer, self.asked = socket.inet_aton(address), []
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def close(self):
        self.sock.sendto(b"", self.sock.getsockname())
        self.thread.join()
        self.sock.close()

    def _run(self):
        while True:
            query, source = self.sock.recvfrom(2000)
            if not query:
                return
            end, labels = 12, []
            while query[end]:
                labels.append(query[end + 1:end + 1 + query[end]].decode())
                end += 1 + query[end]
            kind = struct.unpack(">H", query[end + 1:end + 3])[0]
            self.asked.append(".".join(labels))
            found = kind == 1
            head = query[:2] + b"\x81\x80" + struct.pack(">4H", 1, found, 0, 0)
            record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + self.answer
            self.sock.sendto(head + query[12:end + 5] + (record if found else b""), source)


class Bench:
    def __init__(self, procs, folder):
        if not may_unshare():
            pytest.skip("this user may not have a mount namespace")
        self.etc = os.path.join(folder, "etc")
        shutil.copytree("/etc", self.etc, symlinks=True, ignore_dangling_symlinks=True,
                        ignore=lambda d, names: [n for n in names if not os.access(os.path.join(d, n), os.R_OK)
                                                 or d == "/etc" and n in ("resolv.conf", "hosts")])
        self.put("resolv.conf", "nameserver 127.0.0.78\n")
        self.put("hosts", "127.0.0.1 localhost\n")
        panel, port = Panel(procs), free_port()
        row = panel.add_node("vless", port, tls=0)
        user = panel.add_user(uuid=random_credential())
        self.node = Node(procs, [entry(panel.url, row)], [port],
                         wrap=["unshare", "-r", "-m", "sh", "-c", OWN_ETC, self.etc])
        self.way = start_client("weir", procs, Outbound("vless", port, user["uuid"]))

    def put(self, name, text):
        path = os.path.join(self.etc, name)
        with open(path + ".new", "w", encoding="ascii") as f:
            f.write(text)
        os.rename(path + ".new", path)

    def echoes(self, host, port):
        try:
            return traffic.echo(self.way, types.SimpleNamespace(host=host, port=port), b"by name", 3)
        except (OSError, EOFError):
            return None


@pytest.fixture
def bench(procs, tmp_path):
    return Bench(procs, tmp_path)


def name_server():
    try:
        return NameServer("127.0.0.77", "127.0.0.1")
    except OSError as e:
        pytest.skip(f"no name server on port 53: {e}")


@pytest.mark.parametrize("how", ["noticed", "reload"])
def test_name_servers_that_change_are_asked_from_then_on(bench, target, how):
    server = name_server()
    try:
        wait_until("the node to know the user", lambda: bench.echoes(target.host, target.port), 15, 0.2)
        assert not bench.echoes("moved.test", target.port)
        # The second way stands for a file that is mounted over, of which inotify does not tell.
        if how == "noticed":
            bench.put("resolv.conf", "nameserver 127.0.0.77\n")
        else:
            with open(os.path.join(bench.etc, "resolv.conf"), "r+", encoding="ascii") as f:
                f.write("nameserver 127.0.0.77\n")
            bench.node.reload()
        # A failure is remembered for five seconds.
        wait_until("the new server to be asked", lambda: bench.echoes("moved.test", target.port), 15, 0.5)
        assert "moved.test" in server.asked
    finally:
        server.close()


def test_udp_to_a_name_whose_other_family_leads_nowhere(bench, target, udp_target):
    """Nobody answers at the IPv6 address, whether or not this host has a way there."""
    bench.put("hosts", "127.0.0.1 localhost dual.test\n2001:db8::77 dual.test\n")
    wait_until("the node to know the user", lambda: bench.echoes(target.host, target.port), 15, 0.2)
    assert bench.echoes("dual.test", target.port)
    port = udp_target.addresses[0][1]
    with socks.Udp(bench.way.port) as u:
        for i in range(3):
            u.sendto(b"are you there", ("dual.test", port))
            assert u.recvfrom()[0] == b"0:are you there", i
