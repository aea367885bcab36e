"""REALITY's strangers on a running node: how many of one source, and what they move."""
import contextlib
import re
import socket

import pytest
from weirtest import SLOW, traffic
from weirtest.listener import Listener
from weirtest.node import Node, entry
from weirtest.panel import Panel
from weirtest.peers import Outbound, Reality, random_credential, start_client
from weirtest.proc import free_port, wait_until
from weirtest.tlsprobe import Tap, hello
from weirtest.tlstargets import start_target

NAME = "weir.test"
PER_SOURCE = 3
FIRST = b"GET / HTTP/1.1\r\n\r\n"
UP, DOWN = 50_000, 70_000


class Plain(Listener):
    """A target without TLS: takes FIRST and UP bytes, then says DOWN bytes and ends."""

    def serve(self, s):
        with s:
            if traffic_of(s, len(FIRST) + UP) == len(FIRST) + UP:
                s.sendall(bytes(DOWN))


def traffic_of(s, most):
    """So many bytes have come, at the end or when there are `most`."""
    n = 0
    while n < most and (data := s.recv(min(65536, most - n))):
        n += len(data)
    return n


class Lab:
    def __init__(self, procs, cert):
        self.procs, self.panel, self.plain = procs, Panel(procs), Plain()
        targets = {"limited": start_target(procs, "nginx", cert), "summed": self.plain.port, "dead": free_port()}
        self.rows, entries = {}, []
        for name, target in targets.items():
            row = self.panel.add_node("vless", free_port(), tls=2,
                                      tls_settings={"server_name": NAME, "dest": f"127.0.0.1:{target}"})
            limits = {"StrangerLimit": 500, "StrangerLimitPerIP": PER_SOURCE} if name == "limited" else {}
            self.rows[name] = row
            entries.append(entry(self.panel.url, row, None, Name=name, **limits))
        self.node = Node(procs, entries, [row["port"] for row in self.rows.values()])

    def connect(self, name, source):
        return socket.create_connection(("127.0.0.1", self.rows[name]["port"]), timeout=10 * SLOW,
                                        source_address=(source, 0))


@pytest.fixture(scope="module")
def lab(module_procs, cert):
    return Lab(module_procs, cert)


def is_served(s):
    """The target has answered him."""
    try:
        s.sendall(hello())
        return s.recv(1) == b"\x16"
    except ConnectionError:
        return False


def ends_without_a_byte(s):
    """The end of who has said nothing; None: it does not come."""
    s.settimeout(2 * SLOW)
    try:
        return s.recv(1) == b""
    except socket.timeout:
        return None


def test_one_sources_strangers_are_limited_and_keep_no_other_source_out(lab, target):
    row, credential = lab.rows["limited"], random_credential()
    lab.panel.add_user(uuid=credential)
    tls = row["settings"]["tls_settings"]
    tap = Tap(row["port"], "127.0.0.2")
    reality = Reality(tls["public_key"], tls["short_id"], NAME)
    way = start_client("weir", lab.procs, Outbound("vless", tap.port, credential, reality=reality))

    def user_is_served():
        try:
            return traffic.echo(way, target, b"are you there", 3)
        except (OSError, EOFError):
            return None

    wait_until("the node to know the user", user_is_served, 20, 0.2)
    with contextlib.ExitStack() as held:
        def one_more():
            s = lab.connect("limited", "127.0.0.1")
            if is_served(s):
                held.enter_context(s)
                return True
            s.close()
            return False

        # Whoever tried the port at the start may not have gone yet.
        for i in range(PER_SOURCE):
            wait_until(f"stranger {i + 1}", one_more, 10, 0.1)
        for _ in range(5):
            with lab.connect("limited", "127.0.0.1") as s:
                assert ends_without_a_byte(s)
        assert user_is_served()
        warned = wait_until("a warning", lambda: [
            line for line in lab.node.proc.text().splitlines() if "newcomers are refused" in line])
        assert len(warned) <= 2, warned  # a worker says it once a minute, and there are two
        assert f"port={row['port']}" in warned[0] and "peer=127.0.0.1:" in warned[0]
    # All have gone: their places are free.
    with contextlib.ExitStack() as held:
        wait_until("a place", one_more, 10, 0.1)
    tap.close()


def test_a_target_that_is_not_there_is_an_error(lab):
    """In the log, once for each question and not again: one of them is who comes without ALPN."""
    port = lab.rows["dead"]["port"]

    def told():
        return [line for line in lab.node.proc.text().splitlines()
                if f"port {port}: the REALITY target does not answer" in line]

    for alpn in "", " with ALPN http/1.1", " with ALPN h2":
        wait_until("the error", lambda a=alpn: any(f"as {NAME}{a}: Connection refused" in line for line in told()))
    assert len(told()) == 3 and all(" error node: " in line for line in told()), told()
    assert all("check tls_settings.dest" in line for line in told())


def test_what_strangers_move_is_said_at_the_end(lab):
    people = 4
    for i in range(people):
        with lab.connect("summed", f"127.0.0.{i + 1}") as s:
            s.sendall(FIRST)
            s.sendall(bytes(UP))
            assert traffic_of(s, DOWN + 1) == DOWN
    lab.node.stop()
    said = re.findall(r"strangers have sent (\d+) bytes and got (\d+)",
                      "".join(line for line in lab.node.proc.text().splitlines() if "summed" in line))
    assert len(said) == 1, said
    up, down = map(int, said[0])
    assert down == people * DOWN
    # What is sent before it has been judged is the target's, but not counted: at most one read of 16 KiB.
    assert people * (UP - 16384) <= up <= people * (UP + len(FIRST)), up
