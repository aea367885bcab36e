"""Thousands of REALITY clients vanish without an end, in their handshake and in the middle of things: the node gives
back all that they held, within the time that is set for it."""
import contextlib
import resource
import selectors
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from weirtest import SLOW, SOAK
from weirtest.node import Node, entry
from weirtest.panel import Panel
from weirtest.peers import Outbound, Reality, random_credential, start_client
from weirtest.proc import free_port, wait_until
from weirtest.tlsprobe import hello
from weirtest.tlstargets import start_target
from weirtest.vanish import sockets, vanish, vanish_all

NAME = "weir.test"
MANY = 5000 if SOAK else 150  # of each kind
FEW = 8                       # connections to the panel come and go
LONG = 10 if SOAK else 2 * SLOW  # all have come by then
TIMES = {"HandshakeTimeout": int(LONG), "IdleTimeout": int(6 * LONG if SOAK else 10 * LONG), "LingerTimeout": 2,
         "StrangerTimeout": int(LONG)}

pytestmark = [pytest.mark.alone, pytest.mark.soak]


class Target:
    """Takes connections and what they say."""

    def __init__(self):
        self.open, self.sock = [], socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.host, self.port = self.sock.getsockname()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        with selectors.DefaultSelector() as wait:
            wait.register(self.sock, selectors.EVENT_READ)
            while True:
                for key, _ in wait.select():
                    if key.fileobj is self.sock:
                        try:
                            s = self.sock.accept()[0]
                        except OSError:
                            return
                        wait.register(s, selectors.EVENT_READ)
                        self.open.append(s)
                    elif not self._take(key.fileobj):
                        wait.unregister(key.fileobj)
                        key.fileobj.close()

    @staticmethod
    def _take(s):
        try:
            return s.recv(65536)
        except OSError:
            return b""

    def speak(self):
        """To every second one."""
        for s in self.open[::2]:
            with contextlib.suppress(OSError):
                s.send(bytes(20000))

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


class Lab:
    def __init__(self, procs, cert):
        self.procs, self.panel = procs, Panel(procs)
        web = start_target(procs, "nginx", cert)
        self.row = self.panel.add_node("vless", free_port(), tls=2,
                                       tls_settings={"server_name": NAME, "dest": f"127.0.0.1:{web}"})
        self.port = self.row["port"]
        options = dict(TIMES, StrangerLimit=0, StrangerLimitPerIP=0)
        self.node = Node(procs, [entry(self.panel.url, self.row, None, **options)], [self.port])
        self.user = self.panel.add_user(uuid=random_credential())

    def client(self):
        tls = self.row["settings"]["tls_settings"]
        reality = Reality(tls["public_key"], tls["short_id"], NAME)
        return start_client("weir", self.procs, Outbound("vless", self.port, self.user["uuid"], reality=reality))

    def descriptors(self):
        """Of sockets: some pipes are kept for the next who splices."""
        return sum(1 for _ in sockets(self.node.proc.pid))


@pytest.fixture(scope="module")
def lab(module_procs, cert):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield Lab(module_procs, cert)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def back_to(lab, descriptors, kb):
    seconds = 2 * sum(TIMES.values()) + 20
    wait_until("the descriptors to be given back", lambda: lab.descriptors() <= descriptors + FEW, seconds, 0.2)
    # What a burst took of the heap goes back when it is quiet.
    wait_until("the memory to be given back", lambda: lab.node.proc.memory_kb() <= kb + 3000 * SLOW, 30, 0.5)


def until_at_rest(lab):
    """Descriptors and kB of a node that has nothing to do."""
    wait_until("the target to have been asked", lambda: "with ALPN h2" in lab.node.proc.text(), 30)
    return lab.descriptors(), lab.node.proc.memory_kb()


def ended(lab):
    return lab.node.proc.text().count("session: ended")


def test_clients_that_vanish_in_their_handshake(lab):
    descriptors, kb = until_at_rest(lab)
    before = ended(lab)
    said = (b"", hello()[:200], hello())  # nothing, half a hello, and a whole one that the target has answered
    gone = []
    for i in range(MANY):
        s = socket.create_connection(("127.0.0.1", lab.port), timeout=20 * SLOW)
        gone.append(s)
        if said[i % 3]:
            s.sendall(said[i % 3])
        if i % 3 == 2:
            s.recv(1)
        vanish(s)
    back_to(lab, descriptors, kb)
    wait_until("the end of each", lambda: ended(lab) >= before + MANY, 20)
    for s in gone:
        s.close()


def test_clients_that_vanish_from_a_relay(lab):
    """Half of them while something is on its way to them."""
    target, way, held = Target(), lab.client(), []

    def call():
        s = way.open(target)
        s.sendall(b"here I am")
        held.append(s)

    def first():
        try:
            call()
            wait_until("the target", lambda: target.open, 1)
            return True
        except (OSError, EOFError, AssertionError):
            return False

    wait_until("the node to know the user", first, 20, 0.2)
    descriptors, kb = until_at_rest(lab)
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(call) for _ in range(MANY)]:
            done.result()
    # A machine that takes its time lets some miss a deadline on the way: most are there.
    wait_until("most of them at the target", lambda: len(target.open) > MANY * 2 // 3, 20)
    vanish_all(lab.procs.all[-1].pid, lab.port)
    assert lab.descriptors() > descriptors + MANY
    target.speak()
    back_to(lab, descriptors, kb)
    for s in held:
        s.close()
    target.close()
