"""The node ends while something is still going on: a node that drains, sessions, applies."""
import array
import fcntl
import socket
import termios
import threading
import time
import types

import pytest
from weirtest import SLOW
from weirtest.lab import Lab
from weirtest.proc import listens, wait_until

pytestmark = [pytest.mark.quick]


@pytest.fixture
def lab(procs, cert):
    return Lab(procs, cert, ["vless-raw", "trojan-raw"])


def talking(way, target):
    s = way.open(target)
    s.sendall(b"ECHO\n1")
    assert s.recv(1) == b"1"
    return s


def drop_node(lab, kind):
    """Out of the file; its listener is gone, its conversations go on."""
    lab.node.text["Nodes"] = [e for e in lab.node.text["Nodes"] if e["Name"] != kind]
    lab.node.write()
    lab.node.reload()
    wait_until("the node to leave", lambda: not listens(lab.ports[kind]), 10)


def ends_well(lab, seconds):
    begun = time.monotonic()
    lab.node.stop()
    assert time.monotonic() - begun < seconds * SLOW


def test_sigterm_while_a_removed_node_still_drains(lab, target):
    user = lab.user()
    way = lab.until_served(lab.client("vless-raw", "weir", user), target)
    with talking(way, target) as s:
        drop_node(lab, "vless-raw")
        s.sendall(b"2")
        assert s.recv(1) == b"2"
        ends_well(lab, 20)


def test_sigterm_bills_what_a_removed_node_still_moved(lab, target):
    user = lab.user()
    way = lab.until_served(lab.client("vless-raw", "weir", user), target, user)
    s = talking(way, target)
    drop_node(lab, "vless-raw")
    data = b"x" * 100_000
    s.sendall(data)
    got = 0
    while got < len(data):
        got += len(s.recv(65536))
    lab.node.stop()
    s.close()
    moved = len("ECHO\n1") + got
    assert lab.panel.traffic(user.id) == (user.up + moved, user.down + moved - len("ECHO\n"))


def test_a_second_sigterm_ends_at_once_with_sessions_open(lab, target):
    user = lab.user()
    way = lab.until_served(lab.client("vless-raw", "weir", user), target)
    lab.node.text["ShutdownGrace"] = 60
    lab.node.write()
    lab.node.reload()
    time.sleep(0.5)
    with talking(way, target):
        lab.node.proc.popen.terminate()
        wait_until("the listeners to close", lambda: not listens(lab.ports["vless-raw"]), 10)
        ends_well(lab, 10)


class EarlyAnswer:
    """A server that answers while its client still sends, and closes without reading on: a 413, a refused git push.

    Its close is a reset, for there are bytes that it has not read; it waits until the node has taken the answer.
    """

    def __init__(self, size):
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = self.sock.getsockname()
        self.answer = bytes(range(256)) * (size // 256)
        self.closed = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        s, _ = self.sock.accept()
        s.recv(1000)
        s.sendall(self.answer)
        waiting = array.array("i", [1])
        while waiting[0]:
            fcntl.ioctl(s, termios.TIOCOUTQ, waiting)
            time.sleep(0.01)
        s.close()
        self.closed.set()


@pytest.mark.parametrize("kind", ["vless-raw", "trojan-tls"])
def test_an_answer_that_came_is_delivered_though_the_upload_breaks(procs, cert, target, kind):
    lab = Lab(procs, cert, [kind])
    way = lab.until_served(lab.client(kind, "weir", lab.user()), target)
    server = EarlyAnswer(512 << 10)
    with way.open(types.SimpleNamespace(host=server.host, port=server.port)) as s:
        s.settimeout(0.2)

        def upload():
            while True:
                try:
                    s.sendall(bytes(65536))
                except TimeoutError:
                    if server.closed.is_set():
                        return
                except OSError:
                    return

        t = threading.Thread(target=upload)
        t.start()
        got = b""
        end = time.monotonic() + 30 * SLOW
        while len(got) < len(server.answer) and time.monotonic() < end:
            try:
                data = s.recv(8192)
            except TimeoutError:
                continue
            if not data:
                break
            got += data
            time.sleep(0.005)
        t.join()
    assert len(got) == len(server.answer)
    assert got == server.answer
