"""SIGHUP and changes at the panel, under load: no connection is lost, and a broken file changes nothing."""
import shutil
import ssl
import threading
import time

import pytest
from weirtest import SLOW, traffic
from weirtest.certs import Cert
from weirtest.fakepanel import FakePanel
from weirtest.lab import KINDS, Lab
from weirtest.node import Node, entry
from weirtest.peers import Outbound, random_credential, start_client
from weirtest.proc import free_port, listens, wait_until
from weirtest.socks import recv_exactly

pytestmark = [pytest.mark.quick]


@pytest.fixture
def lab(procs, cert):
    return Lab(procs, cert)


class Conversations:
    """A long conversation on every inbound that must never miss a beat, short ones all the time, and an association on
    each way of `packets`, whose packets keep coming from the same port."""

    def __init__(self, ways, target, packets, udp_target):
        self.ways, self.target, self.udp_target = ways, target, udp_target
        udp_target.forget()
        self.associations = [w.udp() for w in packets]
        self.long = [w.open(target) for w in ways]
        for s in self.long:
            s.sendall(b"ECHO\n")
        self.wrong, self.beats, self.short = [], 0, 0
        self._stop = False
        self._threads = [threading.Thread(target=f, daemon=True) for f in (self._beat, self._dial)]
        for t in self._threads:
            t.start()

    def _beat(self):
        while not self._stop:
            for i, s in enumerate(self.long):
                try:
                    word = b"%08d" % self.beats
                    s.sendall(word)
                    assert recv_exactly(s, 8) == word
                except (OSError, EOFError, AssertionError) as e:
                    self.wrong.append(f"long conversation {i}: {e!r}")
                    return
            for i, u in enumerate(self.associations):
                word = b"%d %08d" % (i, self.beats)
                try:
                    u.sendto(word, self.udp_target.addresses[0])
                    assert u.recvfrom()[0] == b"0:" + word
                except (OSError, AssertionError) as e:
                    self.wrong.append(f"association {i}: {e!r}")
                    return
            self.beats += 1
            time.sleep(0.01)

    def _dial(self):
        while not self._stop:
            for i, w in enumerate(self.ways):
                try:
                    traffic.echo(w, self.target, b"short")
                    self.short += 1
                except (OSError, EOFError, AssertionError) as e:
                    self.wrong.append(f"short conversation over {i}: {e!r}")

    def stop(self):
        self._stop = True
        for t in self._threads:
            t.join()
        for s in self.long + self.associations:
            s.close()
        assert not self.wrong, self.wrong[:5]
        assert self.beats > 20 and self.short > 20
        assert len(self.udp_target.sources[0]) == len(self.associations)


@pytest.fixture
def talk(lab, target, udp_target):
    """Our client on every inbound, and those of others."""
    user = lab.user()
    ways = [lab.client(*which, user) for which in (*((kind, "weir") for kind in KINDS), ("vless-tls", "xray"),
                                                   ("trojan-raw", "sing-box"))]
    for way in ways:
        lab.until_served(way, target)
    return Conversations(ways, target, ways[-3:], udp_target)


def test_reload_under_load_loses_no_connection(lab, talk):
    for i in range(10):
        # Nothing, a log level, a limit: what may change while all goes on.
        lab.node.text["Log"]["Level"] = "debug" if i % 2 else "info"
        for e in lab.node.text["Nodes"]:
            e["LimitConfig"] = {"SpeedLimit": 900 + i}
        lab.node.write()
        lab.node.reload()
        time.sleep(0.3)
    talk.stop()
    assert lab.node.proc.alive()


def test_a_broken_file_changes_nothing(lab, talk):
    with open(lab.node.config, encoding="ascii") as f:
        good = f.read()
    for bad in ["{", good.replace('"NodeID"', '"NodeIDD"'), "", '{"Nodes": 5}']:
        with open(lab.node.config, "w", encoding="ascii") as f:
            f.write(bad)
        lab.node.reload()
        time.sleep(0.5)
        assert lab.node.proc.alive()
    talk.stop()


def test_a_node_that_comes_and_goes_leaves_the_others_alone(lab, talk, target, procs):
    port = free_port()
    row = lab.panel.add_node("vless", port, tls=0)
    lab.node.text["Nodes"].append(entry(lab.panel.url, row, Name="fifth"))
    lab.node.write()
    lab.node.reload()
    lab.node.proc.wait_listening(port)
    user = lab.user()
    lab.until_served(start_client("weir", procs, Outbound("vless", port, user.credential)), target)
    lab.node.text["Nodes"].pop()
    lab.node.write()
    lab.node.reload()
    wait_until("the fifth to be gone", lambda: not listens(port), 10)
    talk.stop()


def test_a_port_changed_at_the_panel_moves_the_inbound_and_drains_the_old(lab, target, procs):
    user = lab.user()
    way = lab.until_served(lab.client("vless-raw", "weir", user), target)
    with way.open(target) as s:
        s.sendall(b"ECHO\n1")
        assert s.recv(1) == b"1"
        port = free_port()
        lab.panel.change_node(lab.rows["vless-raw"]["id"], port=port)
        lab.node.proc.wait_listening(port, 10 * SLOW)
        traffic.echo(start_client("weir", procs, Outbound("vless", port, user.credential)), target, b"new")
        s.sendall(b"2")
        assert s.recv(1) == b"2"


def test_sigterm_ends_in_order_with_everything_reported(lab, target):
    user = lab.user()
    way = lab.until_served(lab.client("vless-raw", "weir", user), target, user)
    user.moved(traffic.download(way, target, 3 << 20, 1))
    lab.node.stop()
    # No node runs any more: what is on the panel now was in the last push.
    assert lab.panel.traffic(user.id) == (user.up, user.down)


def test_a_changed_file_is_noticed_without_a_signal(lab, talk, procs):
    port = free_port()
    row = lab.panel.add_node("vless", port, tls=0)
    lab.node.text["Nodes"].append(entry(lab.panel.url, row, Name="watched"))
    lab.node.write()
    lab.node.proc.wait_listening(port, 20)
    talk.stop()


def test_a_changed_file_waits_for_the_signal_where_nobody_watches(procs, cert):
    lab = Lab(procs, cert, ["vless-raw"])
    lab.node.stop()
    lab.node.options = ["--watch=false"]
    lab.node.start()
    port = free_port()
    lab.node.text["Nodes"].append(entry(lab.panel.url, lab.panel.add_node("vless", port, tls=0), Name="unwatched"))
    lab.node.write()
    time.sleep(1.5)  # several times what a watched one takes
    assert not listens(port)
    lab.node.reload()
    lab.node.proc.wait_listening(port)


def says(s, word):
    s.sendall(word)
    assert recv_exactly(s, len(word)) == word


@pytest.fixture
def one(procs, cert, target):
    """A VLESS node in clear, a conversation over it, and another node beside it."""
    lab = Lab(procs, cert, ["vless-raw", "trojan-raw"], top={"DrainTimeout": 3})
    lab.someone = lab.user()
    lab.way = lab.until_served(lab.client("vless-raw", "weir", lab.someone), target, lab.someone)
    lab.talk = lab.way.open(target)
    lab.talk.sendall(b"ECHO\n")
    says(lab.talk, b"hello")
    yield lab
    lab.talk.close()


@pytest.mark.parametrize("how", ["another file", "the same file"])
def test_a_changed_certificate_is_shown_from_the_reload_on(procs, tmp_path, target, how):
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    first, second = Cert(str(tmp_path / "first")), Cert(str(tmp_path / "second"))
    lab = Lab(procs, first, ["vless-tls"])
    user, port = lab.user(), lab.ports["vless-tls"]
    way = lab.until_served(lab.client("vless-tls", "weir", user), target)

    def shown():
        return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("127.0.0.1", port)))

    assert shown() == first.der
    with way.open(target) as s:
        s.sendall(b"ECHO\n")
        says(s, b"before")
        if how == "another file":
            lab.node.reload_with(CertConfig={"CertMode": "file", "CertFile": second.crt, "KeyFile": second.key})
        else:
            shutil.copy(second.crt, first.crt)
            shutil.copy(second.key, first.key)
            lab.node.reload()
        wait_until("the new certificate", lambda: shown() == second.der, 5)
        says(s, b"after")


def test_a_changed_listen_address_moves_the_listener_and_cuts_nobody_off(one, target, procs):
    port = one.ports["vless-raw"]
    one.node.reload_with(ListenIP="127.0.0.2")
    wait_until("the new address", lambda: listens(port, "127.0.0.2"), 5)
    wait_until("the old one to be left", lambda: not listens(port), 5)
    says(one.talk, b"still here")


def test_a_changed_number_of_workers_waits_for_the_next_start_and_says_so(one, target):
    one.node.text["Workers"] = 4
    one.node.reload_with()
    wait_until("the warning", lambda: "take effect at the next start" in one.node.proc.text(), 5)
    says(one.talk, b"still here")
    traffic.echo(one.way, target, b"and so is everybody")


def test_a_node_that_leaves_while_somebody_talks_drains_and_bills_him(one):
    del one.node.text["Nodes"][0]
    one.node.write()
    one.node.reload()
    wait_until("the listener to go", lambda: not listens(one.ports["vless-raw"]), 5)
    left = time.monotonic()
    says(one.talk, b"a few words more")
    with pytest.raises(ConnectionResetError):  # DrainTimeout: cut off, and seen to be
        one.talk.recv(1)
    assert 1.5 < time.monotonic() - left < 6 * SLOW
    one.someone.moved((len("ECHO\n") + 21, 21))
    one.someone.assert_billed()
    assert one.node.proc.alive()


def test_a_rotated_key_is_used_from_the_reload_on(procs, target):
    port, credential = free_port(), random_credential()
    panel = FakePanel("vless", port, [{"id": 1, "uuid": credential}])
    node = Node(procs, [entry(panel.url, panel.as_node())], [port])
    way = start_client("weir", procs, Outbound("vless", port, credential))
    with way.open(target) as s:
        s.sendall(b"ECHO\n")
        says(s, b"before")
        panel.token = "another-token"
        since = time.monotonic()
        wait_until("the old key to be refused", lambda: panel.asked("user", since), 10)
        node.text["Nodes"][0]["ApiKey"] = panel.token
        node.write()
        node.reload()
        says(s, b"after")
        wait_until("what was said to be billed", lambda: panel.traffic(1) == (5 + 11, 11), 15)
