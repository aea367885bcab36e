"""A node's cipher changes while it serves, from each class to each other, and strangers' packets keep coming."""
import os
import socket
import threading

import pytest
from weirtest import shadowsocks, socks, traffic
from weirtest.peers import Outbound
from weirtest.proc import free_port, wait_until
from weirtest.shadowsocks import SsLab, listening_udp, new_key, password_for

INSECURE = ("none", "aes-192-cfb", "chacha20-ietf")
# Every step between two classes, there and back.
WALK = ("none", "aes-128-gcm", "aes-192-cfb", "2022-blake3-aes-128-gcm", "none", "2022-blake3-chacha20-poly1305",
        "chacha20-ietf", "chacha20-ietf-poly1305", "2022-blake3-aes-256-gcm", "aes-192-gcm", "none", "aes-192-cfb",
        "xchacha20-ietf-poly1305")


class Noise:
    """Random packets to a UDP port, of lengths that any cipher's could have; too short to say anything while `mild`,
    because ciphers without integrity would obey."""

    def __init__(self, port):
        self.at, self.over, self.mild = ("127.0.0.1", port), threading.Event(), False
        self.thread = threading.Thread(target=self._run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def _run(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            while not self.over.wait(0.005):
                for size in (0, 3) if self.mild else (0, 15, 24, 33, 64, 200):
                    try:
                        s.sendto(os.urandom(size), self.at)
                    except ConnectionRefusedError:
                        pass  # nobody is there: told about the packet before


def serve(lab, procs, user, cipher, target):
    """The panel says so, and a client of that cipher gets through."""
    settings = {"push_interval": 1, "pull_interval": 1, "cipher": cipher}
    if cipher.startswith("2022-"):
        settings["server_key"] = new_key(cipher)
    first, = lab.kinds
    lab.panel.change_node(lab.rows[first]["id"], settings=settings)
    o = Outbound("shadowsocks", lab.ports[first], password_for(cipher, settings.get("server_key"), user.credential),
                 method=cipher)
    way = shadowsocks.client("weir", procs, o)
    return lab.until_served(way, target)


def assert_udp(way, udp_target):
    """One worker may have the new cipher a moment after the one that served the client."""
    def answered():
        with socks.Udp(way.port, 1) as u:
            u.sendto(b"hello", udp_target.addresses[0])
            try:
                return u.recvfrom()[0] == b"0:hello"
            except TimeoutError:
                return False
    wait_until("UDP through the new cipher", answered)


@pytest.mark.quick
def test_every_class_of_cipher_follows_every_other_under_noise(procs, target, udp_target):
    lab = SsLab(procs, ["aes-256-gcm"], InsecureCiphers=list(INSECURE))
    user = lab.user()
    port = lab.ports["aes-256-gcm"]
    lab.until_served(lab.client("aes-256-gcm", "weir", user), target, user)
    with Noise(port) as noise:
        for cipher in WALK:
            noise.mild |= cipher in INSECURE
            way = serve(lab, procs, user, cipher, target)
            noise.mild = cipher in INSECURE
            traffic.echo(way, target, b"hello")
            assert_udp(way, udp_target)
            assert lab.node.proc.popen.poll() is None, cipher


def test_udp_that_another_program_has_leaves_the_node_as_it_was(procs, target):
    lab = SsLab(procs, ["aes-128-gcm"])
    user, other = lab.user(), free_port()
    way = lab.until_served(lab.client("aes-128-gcm", "weir", user), target, user)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("0.0.0.0", other))
        lab.panel.change_node(lab.rows["aes-128-gcm"]["id"], port=other,
                              settings={"push_interval": 1, "pull_interval": 1, "cipher": "aes-128-gcm"})
        wait_until("the refusal", lambda: "(UDP)" in lab.node.proc.text())
        traffic.echo(way, target, b"hello")
    o = Outbound("shadowsocks", other, user.credential, method="aes-128-gcm")
    lab.until_served(shadowsocks.client("weir", procs, o), target)
    assert listening_udp(other)
