"""The manager's rules, one by one: addresses, clients of every kind, bursts, sockets that are taken, what a restart finds."""
import json
import os
import pathlib
import socket

import pytest

from weirtest import shadowsocks
from weirtest.ss_manager import Client, Manager
from weirtest.peers import Outbound
from weirtest.proc import free_port, listens, wait_until
from weirtest.shadowsocks import listening_udp
from weirtest.traffic import upload

METHOD = "aes-128-gcm"


@pytest.fixture
def talk(procs):
    """Makes clients of a manager."""
    made = []

    def make(address):
        made.append(Client(address, procs.folder))
        return made[-1]

    yield make
    for c in made:
        c.close()


class Client6(Client):
    """A client on UDP over IPv6."""

    # pylint: disable=super-init-not-called
    def __init__(self, port):
        self.address, self.path, self.moved = ("::1", port), None, {}
        self.s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.s.settimeout(5)


def test_an_address_may_have_any_of_its_forms(procs, talk, monkeypatch):
    monkeypatch.chdir(procs.folder)
    abstract = f"weir-test-{free_port()}"
    port = free_port()
    for address, client in ((f"@{abstract}", lambda: talk("\0" + abstract)), ("here.sock", lambda: talk("here.sock")),
                            (f"127.0.0.1:{port}", lambda: talk(("127.0.0.1", port))),
                            (f"[::1]:{port}", lambda: Client6(port))):
        m = Manager(procs, method=METHOD, manager_address=address)
        c = client()
        assert c.ask("ping") == "pong", address
        c.close()
        c.path = None
        m.proc.stop()
    assert not os.path.exists("here.sock")


def test_who_has_no_address_is_obeyed_in_silence(procs, talk):
    m = Manager(procs, method=METHOD)
    port = free_port()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(b'add: {"server_port":%d,"password":"x"}' % port, m.socket)
    wait_until("the port", lambda: listens(port))
    assert json.loads(talk(m.socket).ask("list"))[0]["server_port"] == port


def test_a_burst_a_large_command_and_long_answers(procs, talk):
    """None of a thousand commands is lost; what does not fit one datagram comes in several whole ones."""
    m = Manager(procs, method=METHOD, manager_dialect="libev")
    c = talk(m.socket)
    large, *ports = [free_port() for _ in range(1001)]
    for p in ports:
        c.send('add: {"server_port":%d,"password":"x"}' % p)
    assert [c.take() for _ in ports] == ["ok"] * len(ports)
    assert c.ask('add: {"server_port":%d,"password":"x","note":"%s"}' % (large, "y" * 60000)) == "ok"
    c.send("ping")
    totals = {}
    while len(totals) < 1001:
        data = c.s.recv(65536)
        assert data.startswith(b"stat: {") and len(data) <= 1400
        part = json.loads(data[6:])
        assert len(part) <= 50 and not set(part) & set(totals)
        totals.update(part)
    assert {int(p) for p in totals} == {large, *ports} and set(totals.values()) == {0}
    assert c.remove(large) == "ok"
    c.send("list")
    listed = []
    while len(listed) < len(ports):
        data = c.s.recv(65536)
        assert data.startswith(b"[\n\t") and len(data) <= 32768
        listed += [int(e["server_port"]) for e in json.loads(data)]
    assert listed == sorted(ports)
    for _ in range(200):  # a storm on one port
        c.send('remove: {"server_port":%d}' % ports[0])
        c.send('add: {"server_port":%d,"password":"x"}' % ports[0])
    answers = [c.take() for _ in range(400)]
    # An addition that is overtaken by the next removal has not taken place.
    assert set(answers) <= {"ok", "port is not available"} and answers.count("ok") >= 201
    wait_until("the last word to hold", lambda: listens(ports[0]))


def test_both_sockets_or_none(procs, talk):
    m = Manager(procs, method=METHOD)
    c = talk(m.socket)
    port = free_port()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", port))
        assert c.add(port, "x") == "port is not available"
        assert not listens(port) and c.ask("list") == "[]"
        assert c.add(port, "x", mode="tcp_only") == "ok"
        assert c.add(port, "x", mode="tcp_and_udp") == "port is not available"
        assert listens(port)  # as it was
        assert json.loads(c.ask("list"))[0]["mode"] == "tcp_only"
    assert c.add(port, "x", mode="udp_only") == "ok"
    wait_until("no TCP", lambda: not listens(port))
    assert listening_udp(port)


def test_a_plugin_is_told_all_addresses_or_the_first(procs, talk):
    plugin, said = os.path.join(procs.folder, "plugin"), os.path.join(procs.folder, "said")
    with open(plugin, "w", encoding="ascii") as f:
        f.write(f'#!/bin/sh\necho "$SS_REMOTE_HOST" >>{said}\nexec sleep 100\n')
    os.chmod(plugin, 0o700)
    expected = ""
    for single, hosts in ((False, "127.0.0.1|127.0.0.2"), (True, "127.0.0.1")):
        m = Manager(procs, method=METHOD, server=["127.0.0.1", "127.0.0.2"], plugin_single_host=single, state_file="",
                    workdir=procs.folder)
        assert talk(m.socket).add(free_port(), "x", plugin=plugin) == "ok"
        expected += hosts + "\n"
        wait_until(hosts, lambda: os.path.exists(said) and pathlib.Path(said).read_text() == expected)
        m.proc.stop()


def test_totals_go_on_over_a_replacement_and_begin_anew_after_a_removal(procs, talk, target):
    m = Manager(procs, method=METHOD, manager_dialect="libev")
    c = talk(m.socket)
    port = free_port()

    def total():
        c.send("ping")
        return json.loads(c.s.recv(2000)[6:])[str(port)]

    def move(password):
        way = shadowsocks.client("weir", procs, Outbound("shadowsocks", port, password, method=METHOD))
        return sum(upload(way, target, 50_000, 1))

    assert c.add(port, "one") == "ok"
    moved = move("one")
    wait_until("the total", lambda: total() == moved)
    assert c.add(port, "two") == "ok"
    assert total() == moved
    moved += move("two")
    wait_until("the sum", lambda: total() == moved)
    assert c.remove(port) == "ok" and c.add(port, "two") == "ok"
    assert total() == 0


def test_each_of_several_subscribers_is_owed_what_he_missed_over_a_restart(procs, talk, target):
    m = Manager(procs, method=METHOD, stat_subscribers="all")
    here, away = talk(m.socket), talk(m.socket)
    port = free_port()
    assert away.ask("ping") == "pong" and here.add(port, "x") == "ok"
    way = shadowsocks.client("weir", procs, Outbound("shadowsocks", port, "x", method=METHOD))
    away.s.close()
    os.unlink(away.path)
    moved = sum(upload(way, target, 70_000, 1))
    m.proc.stop()  # its last report finds one of them
    assert here.collect(port, moved) == moved
    away.s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    away.s.bind(away.path)
    away.s.settimeout(5)
    m.start()
    moved += sum(upload(way, target, 30_000, 2))  # before anybody has spoken
    for c in here, away:
        assert c.collect(port, moved) == moved
    assert here.ask("ping") == away.ask("ping") == "pong"
    assert here.moved == away.moved == {port: moved}


def test_a_restart_finds_what_the_state_file_has(procs, talk):
    state = os.path.join(procs.folder, "manager.json")
    m = Manager(procs, method=METHOD)
    c = talk(m.socket)
    port = free_port()
    assert c.add(port, "x") == "ok"
    m.proc.stop()
    with open(state, "a", encoding="ascii") as f:
        f.write("{")  # damaged
    m.start()
    assert c.ask("list") == "[]"
    assert os.path.exists(state + ".broken")
    m.proc.stop()
    m = Manager(procs, method=METHOD, state_file="", workdir=procs.folder)
    assert c.add(port, "x") == "ok"
    m.proc.stop()
    m.start()
    assert c.ask("list") == "[]"
