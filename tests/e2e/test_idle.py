"""Who waits costs nothing: connections at every stage of saying nothing, and a node that sleeps."""
import os
import socket
import ssl
import time

import pytest
from weirtest.lab import KINDS, Lab
from weirtest.proc import wait_until

MANY = 50
HALF = {"vless": bytes(9), "trojan": b"0" * 30}

pytestmark = [pytest.mark.quick]


@pytest.fixture(scope="module")
def lab(module_procs, cert):
    return Lab(module_procs, cert, HandshakeTimeout=300)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def assert_sleeps(pid, seconds=2):
    """Comes to rest, however long a busy machine takes over what was before."""
    def rests():
        before = cpu_seconds(pid)
        time.sleep(seconds)
        return cpu_seconds(pid) - before < 0.05 * seconds

    wait_until("the node to sleep", rests, 20)


def connect(port, tls):
    s = socket.create_connection(("127.0.0.1", port), timeout=20)
    if not tls:
        return s
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(s, server_hostname="weir.test")


def test_strangers_who_say_nothing_more(lab):
    held = []
    for kind in KINDS:
        protocol, security = kind.split("-")
        held += [connect(lab.ports[kind], security == "tls") for _ in range(MANY)]
        for s in held[-MANY // 2:]:
            s.sendall(HALF[protocol])
    assert_sleeps(lab.node.proc.pid)
    for s in held:
        s.close()


def test_tls_clients_who_do_not_finish_their_handshake(lab):
    held = [connect(lab.ports["vless-tls"], False) for _ in range(MANY)]
    for i, s in enumerate(held):
        s.sendall(bytes.fromhex("160301020001000100")[: i % 9])
    assert_sleeps(lab.node.proc.pid)
    for s in held:
        s.close()


def test_users_who_are_connected_and_silent(lab, target):
    clients, held = [], []
    for kind in KINDS:
        user = lab.user()
        way = lab.client(kind, "weir", user)
        clients.append(lab.procs.all[-1])
        lab.until_served(way, target, user)
        held += [way.open(target) for _ in range(MANY)]
        held += [socket.create_connection(("127.0.0.1", way.port)) for _ in range(MANY)]
    assert_sleeps(lab.node.proc.pid)
    for client in clients:
        assert_sleeps(client.pid, 1)
    for s in held:
        s.close()
