"""The Shadowsocks manager protocol: scripts of both kinds drive it, and every byte is told once, whoever runs the ports."""
import json
import os
import signal
import time

import pytest
from weirtest import SLOW, SOAK, shadowsocks, socks, traffic
from weirtest.manager import Manager, children
from weirtest.peers import Outbound
from weirtest.proc import free_port, listens, wait_until

METHOD = "chacha20-ietf-poly1305"


def way_to(procs, port, password, method=METHOD, client="sslocal"):
    return shadowsocks.client(client, procs, Outbound("shadowsocks", port, password, method=method))


def talk(way, target, udp_target=None):
    """The bytes of some conversations, both directions."""
    moved = sum(traffic.upload(way, target, 200_001, 1)) + sum(traffic.download(way, target, 300_001, 2))
    moved += sum(traffic.short_connections(way, target, 20, 4))
    if udp_target:
        with socks.Udp(way.port) as u:
            for size in (1, 500, 1200):
                u.sendto(b"x" * size, udp_target.addresses[0])
                moved += size + len(u.recvfrom()[0])
    return moved


@pytest.mark.quick
def test_a_script_like_the_wikis(procs, target, udp_target):
    manager = Manager(procs)
    script = manager.script()
    one, two = free_port(), free_port()
    assert script.say("ping") == b"pong"
    assert script.add(one, "p-one", METHOD) == b"ok"
    assert script.say('add: {"server_port":"%d", "password":"p-two", "method":"aes-256-gcm"}' % two) == b"ok"
    first = talk(way_to(procs, one, "p-one"), target, udp_target)
    second = talk(way_to(procs, two, "p-two", "aes-256-gcm", "ss-local"), target, udp_target)
    script.until_told(one, first)
    script.until_told(two, second)
    assert all(len(m) <= 1400 and b" " not in m[6:] for m in script.messages)

    way = way_to(procs, one, "p-one")
    with way.open(target) as s:
        s.sendall(b"ECHO\nhello")
        assert socks.recv_exactly(s, 5) == b"hello"
        # The same again changes nothing; the connection is still there.
        assert script.add(one, "p-one", METHOD) == b"ok"
        s.sendall(b"again")
        assert socks.recv_exactly(s, 5) == b"again"
        assert script.remove(one) == b"ok"
        s.settimeout(10 * SLOW)
        try:
            assert s.recv(1) == b""
        except ConnectionResetError:
            pass
    script.until_told(one, first + 5 + 10 + 10)
    wait_until("the port to be gone", lambda: not listens(one), 5)
    assert script.remove(one) == b"ok"
    for wrong in ("add: {", 'add: {"server_port":0,"password":"x"}', 'add: {"server_port":%d}' % free_port(),
                  'add: {"server_port":%d,"password":"x","method":"rot13"}' % free_port(), "remove: nonsense"):
        assert script.say(wrong) == b"err", wrong
    assert script.say("what: {}", 1) is None
    assert script.say("ping") == b"pong"


@pytest.mark.quick
def test_a_script_in_the_form_of_shadowsocks_rust(procs, target):
    manager = Manager(procs, manager_dialect="libev", manager_reply_newline=True)
    script = manager.script()
    port, idle = free_port(), free_port()
    assert script.say('add:{"server_port":%d,"password":"p","method":"%s","mode":"tcp_and_udp"}' % (port, METHOD)
                      ) == b"ok\n"
    assert script.say('add:{"server_port":%d,"password":"q","method":"%s"}' % (idle, METHOD)) == b"ok\n"
    moved = talk(way_to(procs, port, "p"), target)
    wait_until("the totals", lambda: script.totals() == {port: moved, idle: 0}, 10, 0.2)
    moved += talk(way_to(procs, port, "p"), target)
    wait_until("the totals", lambda: script.totals() == {port: moved, idle: 0}, 10, 0.2)
    listed = json.loads(script.say("list"))
    assert sorted(int(e["server_port"]) for e in listed) == sorted([port, idle])
    assert {e["password"] for e in listed} == {"p", "q"}


@pytest.mark.parametrize("how", (signal.SIGTERM, signal.SIGKILL))
def test_ports_and_what_was_not_told_survive_a_restart(procs, target, how):
    manager = Manager(procs, stat_interval=600)
    script = manager.script()
    port = free_port()
    assert script.add(port, "p", METHOD) == b"ok"
    way = way_to(procs, port, "p")
    moved = talk(way, target)
    time.sleep(1.5)  # a change is saved within a second
    if how == signal.SIGKILL:
        manager.proc.kill()
        os.unlink(manager.address)
    else:
        assert manager.proc.stop() == 0
    manager.config["stat_interval"] = 1
    manager.start()
    wait_until("the port", lambda: listens(port), 10)
    assert script.say("ping") == b"pong"
    moved += talk(way, target)
    script.until_told(port, moved)


def test_ss_server_processes_are_driven_killed_and_started_again(procs, target):
    """What shadowsocks-libev counts is its own affair; the same work counts the same, and nothing is lost or told twice."""
    manager = Manager(procs, server_mode="libev", executable=shadowsocks.program("ss-server"))
    script = manager.script()
    ports = [free_port(), free_port()]
    for port in ports:
        assert script.add(port, f"p-{port}", METHOD) == b"ok"
    ways = [way_to(procs, port, f"p-{port}") for port in ports]

    def work():
        """The same bytes in the same pieces."""
        for way in ways:
            for n in range(10):
                traffic.echo(way, target, b"x" * (1000 + n))

    def told():
        """Each process reports every five seconds."""
        script.listen(7 * SLOW)
        return [script.deltas.get(p, 0) for p in ports]

    work()
    once = told()
    assert all(2 * 10000 <= n <= 2.2 * 12000 for n in once), once
    # Killed: its counter begins anew, ours does not.
    before = children(manager.proc.pid, "ss-server")
    assert len(before) == 2
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_until("other processes", lambda: len(c := children(manager.proc.pid, "ss-server")) == 2 and
               not set(c) & set(before), 20)
    for port in ports:
        wait_until("the port", lambda p=port: listens(p), 20)
    work()
    assert told() == [2 * n for n in once]
    # Our own restart: the processes go with us, and come again with the ports.
    assert manager.proc.stop() == 0
    wait_until("no process left", lambda: not any(map(listens, ports)), 10)
    manager.start()
    for port in ports:
        wait_until("the port", lambda p=port: listens(p), 20)
    assert script.say("ping") == b"pong"
    work()
    assert told() == [3 * n for n in once]


@pytest.mark.soak
def test_the_python_server_is_driven(procs, target):
    """One process for all ports, which tells deltas every two seconds; only stream ciphers in those days.

    It is not started again sooner than half a minute after the last time: only the long form kills it.
    """
    manager = Manager(procs, server_mode="python", executable=shadowsocks.python_server(procs.folder))
    script = manager.script()
    ports = [free_port(), free_port()]
    for port in ports:
        assert script.add(port, f"p-{port}", "aes-256-cfb") == b"ok"
    ways = [way_to(procs, port, f"p-{port}", "aes-256-cfb", "ss-local") for port in ports]

    def work():
        for way in ways:
            for n in range(10):
                traffic.echo(way, target, b"x" * (1000 + n))

    def told():
        script.listen(5 * SLOW)
        return [script.deltas.get(p, 0) for p in ports]

    work()
    once = told()
    assert all(2 * 10000 <= n <= 2.2 * 12000 for n in once), once
    first = children(manager.proc.pid, "pyss.py")
    assert len(first) == 1
    if not SOAK:
        return
    os.kill(first[0], signal.SIGKILL)
    wait_until("another process", lambda: children(manager.proc.pid, "pyss.py") not in ([], first), 60)
    for port in ports:
        wait_until("the port", lambda p=port: listens(p), 20)
    work()
    assert told() == [2 * n for n in once]
