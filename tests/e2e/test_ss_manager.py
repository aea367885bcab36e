"""`weir ss-manager`: commands, reports, what survives, and servers of other programs driven by it."""
import json
import os
import re
import signal
import socket
import stat
import subprocess
import time

import pytest

from weirtest import SLOW, shadowsocks, socks
from weirtest.peers import Outbound
from weirtest.proc import children, free_port, listens, wait_until
from weirtest.shadowsocks import counted_by_others
from weirtest.sockets import fast_open
from weirtest.ss_manager import Client, Manager
from weirtest.steady import Flow, Packets, Pace
from weirtest.traffic import download, echo, packets, short_connections, upload

METHOD = "aes-256-gcm"


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


def through(procs, port, password="secret", method=METHOD, kind="ss-local"):
    return shadowsocks.client(kind, procs, Outbound("shadowsocks", port, password, method=method))


def assert_ends(s):
    s.settimeout(10 * SLOW)
    try:
        assert s.recv(1) == b""
    except ConnectionResetError:
        pass


@pytest.mark.quick
def test_a_script_like_the_wikis(procs, talk, target, udp_target):
    """Connect, ping, add ports, use them, read what they have moved: all of it, and no more."""
    m = Manager(procs, method=METHOD)
    c = talk(m.socket)
    one, two = sorted((free_port(), free_port()))
    assert c.ask("ping") == "pong"
    assert c.add(one, "secret") == "ok"
    assert c.ask('add: {"server_port":"%d", "password":"p-two", "method":"chacha20-ietf-poly1305"}' % two) == "ok"
    way, other = through(procs, one), through(procs, two, "p-two", "chacha20-ietf-poly1305", "sslocal")
    moved = sum(upload(way, target, 3_000_000, 1)) + sum(download(way, target, 2_000_000, 2))
    second = sum(short_connections(other, target, 20, 4)) + sum(packets(other, udp_target, (1, 500, 1200)))
    assert c.collect(one, moved) == moved and c.collect(two, second) == second
    assert json.loads(c.ask("list")) == [
        {"server_port": one, "password": "secret", "method": METHOD},
        {"server_port": two, "password": "p-two", "method": "chacha20-ietf-poly1305"}]
    with way.open(target) as s:
        s.sendall(b"ECHO\nhello")
        assert socks.recv_exactly(s, 5) == b"hello"
        assert c.remove(one) == "ok"
        assert_ends(s)
    wait_until("the port to be closed", lambda: not listens(one))
    moved += 10 + 5
    assert c.collect(one, moved) == moved
    assert c.remove(two) == "ok"
    assert c.ask("list") == "[]"
    assert c.moved == {one: moved, two: second}


def test_timeout_and_fast_open_are_the_ports_own(procs, talk, target):
    m = Manager(procs, method=METHOD)
    c = talk(m.socket)
    brief, usual = free_port(), free_port()
    assert c.add(brief, "secret", timeout=3, fast_open=True) == "ok"
    assert c.add(usual, "secret") == "ok"
    pid = m.proc.pid
    assert fast_open(pid, brief) and all(fast_open(pid, brief))
    assert fast_open(pid, usual) and not any(fast_open(pid, usual))
    ways = [through(procs, port) for port in (brief, usual)]
    with ways[0].open(target) as one, ways[1].open(target) as other:
        for s in (one, other):
            s.sendall(b"ECHO\nhello")
            assert socks.recv_exactly(s, 5) == b"hello"
        assert_ends(one)
        other.sendall(b"still here")
        assert socks.recv_exactly(other, 10) == b"still here"


def test_a_word_to_a_manager_from_the_command_line(procs):
    """Each command in turn, over a unix socket and UDP; who types a word that nobody would answer is told at once."""
    def send(address, *commands):
        told = [part for command in commands for part in ("--send", command)]
        done = subprocess.run([os.environ["WEIR_BIN"], "ss-manager", "--manager-address", address, *told],
                              capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout, done.stderr

    udp = f"127.0.0.1:{free_port()}"
    for m in Manager(procs, method=METHOD), Manager(procs, method=METHOD, manager_address=udp, manager_reply_newline=True,
                                                    state_file=""):
        port = free_port()
        add = 'add: {"server_port":%d,"password":"of no matter"}' % port
        status, out, err = send(m.address, add, "list", "ping")
        assert (status, err) == (0, "")
        said = out.splitlines()
        assert said[0] == "ok" and json.loads(said[1])[0]["server_port"] == port and said[2:] == ["pong"]
        assert listens(port)
        assert send(m.address, 'remove: {"server_port":%d}' % port) == (0, "ok\n", "")
        assert send(m.address, "add: {}", "ping")[:2] == (1, "err\npong\n")
        status, out, err = send(m.address, "lst")
        assert (status, out) == (2, "") and "--send 'lst': expected ping, list" in err
        m.proc.stop()
        status, out, err = send(m.address, "ping")
        assert (status, out) == (1, "") and "no manager runs there" in err
    assert "localhost has no port" in send("localhost", "ping")[2]


def test_a_folder_that_is_not_ours_keeps_only_other_programs_from_being_run(procs):
    run = os.path.join(procs.folder, "manager.json.d", "run")
    os.mkdir(os.path.dirname(run))
    os.symlink(procs.folder, run)
    m = Manager(procs, method=METHOD)
    assert m.proc.alive()
    m.proc.stop()
    assert os.path.islink(run)
    with pytest.raises(AssertionError, match=f"the folder {run} is a link, or not ours alone"):
        Manager(procs, method=METHOD, server_mode="libev", executable=shadowsocks.program("ss-server"))


@pytest.mark.quick
def test_a_client_in_the_form_of_shadowsocks_rust(procs, talk, target, udp_target):
    """Totals in answer to a ping, answers that end in a newline, UDP beside TCP, and nothing unasked."""
    m = Manager(procs, method=METHOD, manager_dialect="libev", manager_reply_newline=True,
                manager_address="127.0.0.1", manager_port=free_port())
    c = talk(("127.0.0.1", int(json.load(open(m.command[3], encoding="utf-8"))["manager_port"])))
    ports = [free_port(), free_port()]
    for p, more in zip(ports, ("", ',"mode":"tcp_and_udp"')):
        c.send('add:{"server_port":%d,"password":"p-%d"%s}\n' % (p, p, more))
        assert c.s.recv(100) == b"ok\n"

    def totals():
        c.send("ping")
        data = c.s.recv(2000)
        assert data.startswith(b"stat: {") and data.endswith(b"}\n")
        return {int(p): n for p, n in json.loads(data[6:]).items()}

    assert totals() == {p: 0 for p in ports}
    ways = [through(procs, p, f"p-{p}", kind=kind) for p, kind in zip(ports, ("ss-local", "sslocal"))]
    moved = [sum(download(ways[0], target, 1_000_000, 3)), sum(packets(ways[1], udp_target, (4, 1000)))]
    wait_until("totals", lambda: totals() == dict(zip(ports, moved)))
    assert totals() == dict(zip(ports, moved))  # asking does not take it away
    c.s.settimeout(3)
    with pytest.raises(TimeoutError):
        c.s.recv(100)
    c.s.settimeout(5)
    c.send("list")
    data = c.s.recv(2000)
    assert data.startswith(b'[\n\t{"server_port":"')
    assert {e["server_port"]: e["password"] for e in json.loads(data)} == {str(p): f"p-{p}" for p in ports}


def test_what_cannot_be_is_refused_and_leaves_nothing_but_a_warning(procs, talk):
    m = Manager(procs, method=METHOD)
    c = talk(m.socket)
    port = free_port()

    def refused(command, answer="err"):
        """With a sentence of its own in the log, behind what was there."""
        before = len(m.proc.text())
        assert c.ask(command) == answer, command
        said = re.compile(r"warn +manager: %s: .*\w" % command.split(":")[0])
        wait_until(f"the reason why {command!r} is refused", lambda: said.search(m.proc.text()[before:]))

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        refused('add: {"server_port":%d,"password":"x"}' % port, "port is not available")
    for bad in ('{"server_port":0,"password":"x"}', '{"server_port":65536,"password":"x"}', '{"server_port":"-1"}',
                '{"server_port":%d}' % port, '{"server_port":%d,"password":""}' % port, "{}", '{"server_port', "",
                '{"server_port":%d,"password":"x","method":"rot13"}' % port,
                '{"server_port":%d,"password":"x","method":"rc4-md5"}' % port,
                '{"server_port":%d,"password":"short","method":"2022-blake3-aes-128-gcm"}' % port,
                '{"server_port":%d,"password":"x","mode":"both"}' % port,
                '{"server_port":%d,"password":"x","plugin":"/nowhere/at-all"}' % port,
                '{"server_port":%d,"password":"x","users":[{"name":"a","password":"k"}]}' % port):
        refused("add: " + bad)
        assert c.ask("list") == "[]"
    refused("remove: {")
    refused('remove: {"server_port":"x"}')
    assert c.ask('remove: {"server_port":1}') == "ok"  # it is not there, as was wanted
    assert c.ask('remove: {"server":"127.0.1.2"}') == "ok"
    assert c.silence("quit") and c.silence("ADD: {}") and c.silence("") and c.silence(b"\xff\xfe\x00")
    assert c.silence('stat: {"1":2}')
    assert c.ask(" ping \n") == "pong"
    assert c.ask(b"ping\0") == "pong"
    assert not listens(port)
    assert "rot13" in m.proc.text() and "no key" in m.proc.text()


def test_the_same_again_keeps_connections_and_another_password_ends_them(procs, talk, target):
    m = Manager(procs, method=METHOD)
    c = talk(m.socket)
    port = free_port()
    assert c.add(port, "secret") == "ok"
    way = through(procs, port)
    with way.open(target) as s:
        s.sendall(b"ECHO\n")
        assert c.add(port, "secret") == "ok"
        s.sendall(b"still there")
        assert s.recv(100)
        assert c.add(port, "another") == "ok"
        try:
            while s.recv(100):
                pass
        except ConnectionError:
            pass
    way = through(procs, port, "another")
    moved = sum(upload(way, target, 1000, 1))
    assert moved <= c.collect(port, moved + 1, 3) < moved + 200  # one account, over the change


def test_additions_and_removals_by_the_hundred_cost_no_connection(procs, talk, cert):
    """Fast ones, beside streams and packets on ports that stay, whose bill is exact."""
    m, pace = Manager(procs, method=METHOD), Pace(cert)
    c, stay = talk(m.socket), {free_port(): kind for kind in ("sslocal", "ss-local", "weir")}
    assert all(c.add(port, "secret") == "ok" for port in stay)
    flows = {port: [make(pace, way) for make in (Flow, Packets)]
             for port, kind in stay.items() for way in [through(procs, port, kind=kind)]}
    wait_until("all to have begun", lambda: pace.error or all(f.bounds()[2] for both in flows.values() for f in both))
    others, started = [free_port() for _ in range(150)], time.monotonic()
    for port in others:
        began = time.monotonic()
        assert c.add(port, "x") == "ok"
        time.sleep(max(0.0, began + 0.01 - time.monotonic()))
    assert all(c.remove(port) == "ok" for port in others)
    assert time.monotonic() - started < 20 * SLOW  # a busy machine's; a quiet one needs two
    assert not pace.stop()
    assert not pace.broken and all(f.whole() for both in flows.values() for f in both)
    pace.close()
    for port, both in flows.items():
        moved, lost = sum(sum(f.moved()) for f in both), sum(sum(f.perhaps) for f in both)
        assert moved <= c.collect(port, moved) <= moved + lost


def test_nothing_is_lost_or_doubled_over_kill_and_restart(procs, talk, target):
    """kill -9 with bytes that nobody has been told of, a normal end, no client at all: the sum is what it is."""
    m = Manager(procs, method=METHOD, stat_interval=2)
    c = talk(m.socket)
    port = free_port()
    assert c.add(port, "secret") == "ok"
    way = through(procs, port)
    moved = sum(upload(way, target, 700_000, 1))
    time.sleep(0.7)  # the port is in the state file within half a second
    m.proc.kill()
    m.start()
    assert json.loads(c.ask("list"))[0]["server_port"] == port
    moved += sum(download(way, target, 900_000, 2))
    m.proc.stop()
    m.start()
    moved += sum(upload(way, target, 300_000, 3))
    m.proc.kill()
    m.start()
    assert c.ask("ping") == "pong"
    assert c.collect(port, moved) == moved
    time.sleep(2.5)
    c.ask("ping")
    assert c.moved[port] == moved
    assert c.remove(port) == "ok"
    m.proc.stop()
    m.start()
    assert c.ask("list") == "[]"


def test_reports_wait_for_a_client_and_go_to_the_last(procs, talk, target):
    m = Manager(procs, method=METHOD)
    first, second = talk(m.socket), talk(m.socket)
    port = free_port()
    assert first.add(port, "secret") == "ok"
    way = through(procs, port)
    path = first.path
    first.s.close()
    os.unlink(path)
    moved = sum(upload(way, target, 400_000, 1))
    time.sleep(4)
    open(path, "w", encoding="ascii").close()  # for close()
    assert second.ask("ping") == "pong"
    assert second.collect(port, moved) == moved


def test_all_subscribers_have_their_own_account(procs, talk, target):
    m = Manager(procs, method=METHOD, stat_subscribers="all")
    clients = [talk(m.socket) for _ in range(3)]
    port = free_port()
    for c in clients:
        assert c.ask("ping") == "pong"
    assert clients[0].add(port, "secret") == "ok"
    moved = sum(upload(through(procs, port), target, 400_000, 1))
    for c in clients:
        assert c.collect(port, moved) == moved


def test_the_socket_is_ours_alone(procs, talk):
    m = Manager(procs, method=METHOD)
    assert stat.S_IMODE(os.stat(m.socket).st_mode) == 0o600
    again = subprocess.run(m.command, capture_output=True, timeout=20, check=False)
    assert again.returncode == 1
    assert talk(m.socket).ask("ping") == "pong"  # the first one is not disturbed
    m.proc.stop()
    assert not os.path.exists(m.socket)
    with open(m.socket, "w", encoding="ascii") as f:
        f.write("precious")
    assert subprocess.run(m.command, capture_output=True, timeout=20, check=False).returncode == 1
    with open(m.socket, encoding="ascii") as f:
        assert f.read() == "precious"
    out = subprocess.run([os.environ["WEIR_BIN"], "ss-manager", "--manager-address", "0.0.0.0:1", "--state-file",
                          os.path.join(procs.folder, "other.json")], capture_output=True, timeout=20, check=False)
    assert out.returncode == 1 and b"manager_allow_remote" in out.stderr


def test_ports_of_the_file_run_and_one_that_is_taken_is_tried_again(procs, talk, target):
    ports = [free_port() for _ in range(4)]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports[1]))
        taken.listen()
        m = Manager(procs, method=METHOD, port_password={str(ports[0]): "secret", str(ports[1]): 17, "x": "y"},
                    servers=[{"server": "127.0.0.1", "server_port": ports[2], "method": "chacha20-ietf-poly1305",
                              "password": "third"},
                             {"server_port": ports[3], "method": METHOD, "password": "no", "disabled": True}])
        c = talk(m.socket)
        listed = {e["server_port"]: e for e in json.loads(c.ask("list"))}
        assert set(listed) == set(ports[:3])
        assert listed[ports[2]]["method"] == "chacha20-ietf-poly1305"
        assert "cannot be served" in m.proc.text()
        echo(through(procs, ports[0]), target, b"hello")
    wait_until("the port to be taken up", lambda: listens(ports[1]), 40)
    echo(through(procs, ports[1], "17"), target, b"hello")
    echo(through(procs, ports[2], "third", "chacha20-ietf-poly1305"), target, b"hello")
    assert not listens(ports[3])


def test_several_users_on_one_port(procs, talk, target):
    m = Manager(procs)
    c = talk(m.socket)
    method, port = "2022-blake3-aes-128-gcm", free_port()
    server, users = shadowsocks.new_key(method), [shadowsocks.new_key(method) for _ in range(3)]
    assert c.add(port, server, method=method,
                 users=[{"name": f"u{i}", "password": k} for i, k in enumerate(users)]) == "ok"
    moved = 0
    for key in users[:2]:
        moved += sum(upload(through(procs, port, f"{server}:{key}", method, "sslocal"), target, 100_000, 1))
    assert c.collect(port, moved) == moved


@pytest.mark.parametrize("method,kind", [("aes-256-cfb", "ss-local"), ("none", "sslocal")])
def test_methods_without_integrity_are_for_who_names_them(procs, talk, target, udp_target, method, kind):
    """Over TCP and UDP, counted to the byte; what the file does not name is refused."""
    m = Manager(procs, insecure_methods=[method])
    c = talk(m.socket)
    port = free_port()
    assert c.add(port, "secret", method="rc4-md5") == "err"
    assert "rc4-md5 protects nothing" in m.proc.text()
    assert c.add(port, "secret", method=method) == "ok"
    way = through(procs, port, method=method, kind=kind)
    moved = sum(upload(way, target, 300_000, 1)) + sum(download(way, target, 500_000, 2))
    moved += sum(packets(way, udp_target, (1, 700, 1300), 1))
    assert c.collect(port, moved) == moved


def test_ss_server_processes_are_driven_and_their_totals_are_what_was_sent(procs, talk, target):
    """Through a kill, a removal and a stop of the whole, each right behind traffic but the kill: that takes with it what
    was not reported."""
    m = Manager(procs, method="aes-256-cfb", server_mode="libev", executable=shadowsocks.program("ss-server"))
    c = talk(m.socket)
    ports, awkward = [free_port(), free_port()], 'pä"ss\\wörd $(touch x) \'`;'
    for p in ports:
        assert c.add(p, awkward) == "ok"
    assert c.add(free_port(), "secret", method="rot13") == "err"
    assert c.add(free_port(), "secret", users=[{"name": "ada", "password": "hers"}]) == "err"
    assert len(children(m.proc.pid, "ss-server")) == 2
    ways = [through(procs, p, awkward, "aes-256-cfb") for p in ports]
    total = [counted_by_others(*upload(w, target, 500_000, i)) for i, w in enumerate(ways)]
    for p, n in zip(ports, total):
        assert c.collect(p, n) == n
    for pid in children(m.proc.pid, "ss-server"):
        os.kill(pid, signal.SIGKILL)
    wait_until("their end", lambda: not any(map(listens, ports)))
    wait_until("new processes", lambda: len(children(m.proc.pid, "ss-server")) == 2 and all(map(listens, ports)))
    run = os.path.join(procs.folder, "manager.json.d", "run")
    wait_until("no file left", lambda: not [f for f in os.listdir(run) if f.endswith(".json")])
    total[0] += counted_by_others(*download(ways[0], target, 400_000, 3))
    assert c.remove(ports[0]) == "ok"
    wait_until("one process less", lambda: len(children(m.proc.pid, "ss-server")) == 1)
    assert c.collect(ports[0], total[0]) == total[0]
    total[1] += counted_by_others(*download(ways[1], target, 300_000, 4))
    assert m.proc.stop() == 0
    assert c.collect(ports[1], total[1]) == total[1]
    m.start()  # the processes come again with the ports, and the count goes on
    wait_until("the port again", lambda: listens(ports[1]))
    aead = free_port()
    assert c.add(aead, "secret", method="chacha20-ietf-poly1305") == "ok"
    echo(through(procs, aead, method="chacha20-ietf-poly1305"), target, b"hello")
    total[1] += counted_by_others(*upload(ways[1], target, 200_000, 5))
    assert c.collect(ports[1], total[1]) == total[1] and c.collect(aead, 1) >= 15
    left = children(m.proc.pid, "ss-server")
    m.proc.kill()
    wait_until("no process left behind", lambda: len(left) == 2 and not any(os.path.exists(f"/proc/{pid}") for pid in left))


def test_the_python_server_is_driven_and_its_deltas_are_what_was_sent(procs, talk, target):
    program = shadowsocks.python_server(procs.folder)
    m = Manager(procs, method="aes-256-cfb", server_mode="python", executable=program)
    c = talk(m.socket)
    ports = [free_port(), free_port()]
    for p in ports:
        assert c.add(p, "secret") == "ok"
    ways = [through(procs, p, method="aes-256-cfb") for p in ports]
    total = [counted_by_others(*upload(w, target, 300_000, i)) for i, w in enumerate(ways)]
    assert c.remove(ports[1]) == "ok"  # what it has moved is reported all the same
    for p, n in zip(ports, total):
        assert c.collect(p, n, 25) == n
    assert c.add(ports[1], "other") == "ok"
    os.kill(children(m.proc.pid, "pyss.py")[0], signal.SIGKILL)
    wait_until("its end", lambda: not any(map(listens, ports)))
    wait_until("the ports again", lambda: all(map(listens, ports)), 60)
    total[0] += counted_by_others(*download(ways[0], target, 200_000, 1))
    assert m.proc.stop() == 0  # once it has reported
    assert c.collect(ports[0], total[0], 25) == total[0]
