"""`weir run` with a node, a Manager and YaSSP sites in one file: each serves and is billed to the byte, over reloads, an end and
kill -9; and the examples of the manual's pages on the manager and on YaSSP, as they stand."""
import configparser
import http.client
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import urllib.parse

import pytest
from weirtest import SLOW, fakepanel, socks, traffic
from weirtest.node import Node, entry
from weirtest.peers import Outbound, random_credential, start_client
from weirtest.proc import free_port, listens, wait_until
from weirtest.ss_manager import Client, Manager
from weirtest.yassp import FakePanel, Site, outbound, profile

METHOD = "aes-256-gcm"
MANUAL = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "manual")


class Three:
    """A node of a v2sp panel, a manager with one port of its own, and a site with one port; and a way through each."""

    def __init__(self, procs, **manager):
        self.procs = procs
        self.credential, self.port, self.managed = random_credential(), free_port(), free_port()
        self.panel = fakepanel.FakePanel("vless", self.port, [{"id": 1, "uuid": self.credential}])
        self.sites = FakePanel([profile()])
        self.sited = self.sites.profiles[0]["port"]
        self.site = self.make_site("site", self.sites)
        self.socket = os.path.join(procs.folder, "m.sock")
        self.node = Node(procs, [entry(self.panel.url, self.panel.as_node(), Timeout=5)], [self.port], Manager=dict({
            "manager_address": self.socket, "server": "127.0.0.1", "method": METHOD, "allow_private": True, "stat_interval": 1,
            "port_password": {str(self.managed): "secret"}}, **manager),
            Yassp=[{"Config": self.site.file, "Section": "site"}])
        self.client, self.clients = None, ()
        self.moved = [0, 0, 0]

    def make_site(self, name, panel, **keys):
        site = Site(self.procs, panel.url, panel.host, panel.psk, name=name, start=False, **keys)
        del site.keys["state file"]  # below State.Dir
        site.write()
        return site

    def serves(self):
        for port in self.port, self.managed, self.sited:
            self.node.proc.wait_listening(port)
        return self

    def ways(self, target):
        """A way through each, once all of them serve."""
        if not self.clients:
            outbounds = (Outbound("vless", self.port, self.credential), outbound(self.sites.profiles[0]),
                         Outbound("shadowsocks", self.managed, "secret", method=METHOD))
            node, site, manager = [start_client("weir", self.procs, o) for o in outbounds]
            self.clients = node, manager, site

        def known():
            # A node listens before it has heard of its user.
            try:
                return traffic.echo(self.clients[0], target, b"known?", 2)
            except (OSError, EOFError):
                return None

        self.moved[0] += sum(wait_until("the node to know its user", known, 20, 0.1))
        return self.clients

    def move(self, target, size):
        for i, way in enumerate(self.ways(target)):
            moved = traffic.upload(way, target, size + i, 1), traffic.download(way, target, size + 7 * i, 2)
            self.moved[i] += sum(map(sum, moved))

    def hear(self):
        """A client of the manager, to whom reports go."""
        self.client = Client(self.socket, self.procs.folder)
        assert self.client.ask("ping") == "pong"
        return self.client

    def billed(self):
        # All that has come, without waiting for more.
        self.client.s.settimeout(0.01)
        try:
            while True:
                self.client.take()
        except TimeoutError:
            self.client.s.settimeout(5)
        return [sum(self.panel.traffic(1)), self.client.moved.get(self.managed, 0), self.sites.billed(self.sited)]

    def settles(self):
        try:
            wait_until("the bills", lambda: self.billed() == self.moved, 20)
        except AssertionError as e:
            raise AssertionError(f"{e}; billed {self.billed()}, moved {self.moved}") from None

    def write(self):
        self.node.write()
        self.node.reload()

    def said(self, text, times=1):
        wait_until(f"{times} of \"{text}\"", lambda: self.node.proc.text().count(text) >= times, 15)


@pytest.fixture
def three(procs):
    three = Three(procs).serves()
    yield three
    if three.client:
        three.client.close()
    three.panel.stop()
    three.sites.stop()


class Talk:
    """A conversation that must go on."""

    def __init__(self, way, target):
        self.s, self.n = way.open(target), 0
        self.s.sendall(b"ECHO\n")
        self.beat()

    def beat(self):
        self.n += 1
        word = b"%08d" % self.n
        self.s.sendall(word)
        assert socks.recv_exactly(self.s, 8) == word

    def ended(self):
        """The other side closes, in whatever way."""
        self.s.settimeout(15)
        try:
            return self.s.recv(1) == b""
        except ConnectionResetError:
            return True


@pytest.mark.quick
def test_all_three_are_served_and_billed_and_end_with_their_last_report(three, target):
    three.hear()
    three.move(target, 300_000)
    three.settles()
    # What came by command is there after a restart; what moved just before the end is reported by it.
    added = free_port()
    assert three.client.add(added, "another", method=METHOD) == "ok"
    three.move(target, 50_000)
    three.node.stop()
    assert not any(map(listens, (three.port, three.managed, three.sited, added)))
    assert three.billed() == three.moved
    three.node.start()
    three.serves().node.proc.wait_listening(added)
    assert os.stat(three.socket).st_mode & 0o777 == 0o600
    # In one folder, and with one set of threads.
    state = os.listdir(os.path.join(three.node.folder, "state"))
    assert sorted(n.split("-")[0] for n in state if os.path.isdir(os.path.join(three.node.folder, "state", n))) == [
        "snapshots", "ss", "yassp"]
    names = [open(f"/proc/{three.node.proc.pid}/task/{t}/comm", encoding="ascii").read().strip()
             for t in os.listdir(f"/proc/{three.node.proc.pid}/task")]
    assert sorted(n for n in names if re.fullmatch(r"weir-\d+", n)) == ["weir-0", "weir-1"]


def test_kill_9_loses_nothing_of_any(three, target):
    """Nobody has heard of anything when it dies."""
    three.panel.always["push"] = three.sites.always["traffics"] = lambda r: r.drop()
    for _ in range(2):
        three.move(target, 100_000)
        three.node.proc.kill()
        three.node.start()
        three.serves()
    three.panel.always.clear()
    three.sites.always.clear()
    three.hear()
    three.settles()


def test_a_reload_touches_what_has_changed_and_nothing_else(three, target):
    node, managed, sited = [Talk(w, target) for w in three.ways(target)]
    three.node.text["Log"]["Level"] = "info"
    three.write()
    three.said("reloaded")
    three.node.text["Log"]["Level"] = "debug"
    three.write()
    three.said("reloaded", 2)
    for t in node, managed, sited:
        t.beat()
    # A manager with one port more: it starts anew, and the others do not notice.
    more = free_port()
    three.node.text["Manager"]["port_password"][str(more)] = "more"
    three.write()
    assert managed.ended()
    three.node.proc.wait_listening(more)
    three.node.proc.wait_listening(three.managed)
    # A site's own file is part of the configuration, and is watched.
    managed = Talk(three.clients[1], target)
    three.site.keys["pull interval"] = "2"
    three.site.write()
    assert sited.ended()
    three.node.proc.wait_listening(three.sited)
    first, sited = sited, Talk(three.clients[2], target)
    # A file with mistakes, whichever it is, changes nothing.
    three.site.keys["ss daemon type"] = "klingon"
    three.site.write()
    three.node.reload()
    three.said("sites.cfg:")
    three.said("not reloaded")
    for t in node, managed, sited:
        t.beat()
    three.site.keys["ss daemon type"] = "builtin"
    three.site.write()
    # What is taken out drains, while what comes in is served.
    other = FakePanel([profile()])
    site = three.make_site("other", other)
    three.node.text["Yassp"] = [{"Config": site.file, "Section": "site"}]
    three.node.text["DrainTimeout"] = int(3 * SLOW)
    del three.node.text["Manager"]
    three.write()
    three.said("no longer configured, draining", 2)
    managed.beat()
    sited.beat()
    three.node.proc.wait_listening(other.profiles[0]["port"])
    wait_until("the rest to be gone", lambda: not any(map(listens, (three.managed, more, three.sited))), 15)
    assert managed.ended() and sited.ended()
    node.beat()
    wait_until("the socket to be gone", lambda: not os.path.exists(three.socket), 15)
    wait_until("the last report", lambda: three.sites.billed(three.sited) == 2 * 5 + 2 * 8 * (first.n + sited.n), 15)
    other.stop()


def test_addresses_of_what_drains_are_free_at_once(three, target):
    """A manager's socket and a push server's port, while those who are connected go on; and each still reports."""
    three.node.stop()
    push = free_port()
    three.site.keys.update({"push server enable": "yes", "push bind address": "127.0.0.1", "push bind port": str(push), "push token": "t"})
    three.site.write()
    three.node.start()
    three.serves().node.proc.wait_listening(push)
    three.hear()
    managed, sited = [Talk(w, target) for w in three.ways(target)[1:]]
    del three.node.text["Manager"], three.node.text["Yassp"]
    three.node.text["DrainTimeout"] = 600
    three.write()
    three.said("reloaded")
    assert not os.path.exists(three.socket) and not listens(push)
    other = free_port()
    with socket.create_server(("127.0.0.1", push)):
        heir = Manager(three.procs, manager_address=three.socket, method=METHOD, port_password={str(other): "heir"})
        heir.proc.wait_listening(other)
        client = Client(three.socket, three.procs.folder)
        assert client.ask("ping") == "pong"
        managed.beat()
        sited.beat()
    three.node.stop()
    assert managed.ended() and sited.ended()
    assert three.billed()[1:] == [5 + 2 * 8 * t.n for t in (managed, sited)]
    assert client.ask("ping") == "pong" and os.path.exists(three.socket)
    client.close()
    assert heir.proc.stop() == 0


def test_one_that_cannot_start_stops_nobody_and_is_tried_again(procs, target):
    """A manager's socket that somebody has, and a push server's port."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as taken, socket.create_server(("127.0.0.1", 0)) as busy:
        taken.bind(os.path.join(procs.folder, "m.sock"))
        three = Three(procs)
        pushed = FakePanel([profile()])
        site = three.make_site("pushed", pushed, push_server_enable="yes", push_bind_port=busy.getsockname()[1], push_token="t")
        three.node.text["Yassp"].append({"Config": site.file, "Section": "site"})
        three.node.stop()
        three.node.write()
        three.node.start()
        three.node.proc.wait_listening(three.sited)
        three.said("Manager is not served")
        three.said("the push server cannot listen")
        assert not listens(three.managed)
        ways = three.ways(target)
        traffic.echo(ways[2], target, b"site")
    os.unlink(three.socket)
    three.node.reload()  # tries at once what would be tried soon
    three.serves().node.proc.wait_listening(pushed.profiles[0]["port"])
    traffic.echo(ways[1], target, b"manager")
    three.node.stop()
    for p in three.panel, three.sites, pushed:
        p.stop()


def test_a_node_that_cannot_start_ends_nobody_else(procs, target):
    three = Three(procs)
    three.node.stop()
    three.node.text["Nodes"][0]["ApiType"] = "sspanel"
    three.node.write()
    three.node.ports = [three.managed, three.sited]
    three.node.start()
    three.said("ApiType sspanel is not in this build")
    three.node.stop()
    three.panel.stop()
    three.sites.stop()


def test_who_asks_twice_waits_for_no_panel(three, target):
    three.sites.always["traffics"] = three.panel.always["push"] = fakepanel.slow(30)
    three.hear()
    three.move(target, 20_000)
    three.node.proc.popen.terminate()
    three.said("stopping")
    three.node.proc.popen.terminate()
    assert three.node.proc.popen.wait(5 * SLOW) == 0  # the panels have ten seconds
    three.sites.always.clear()
    three.panel.always.clear()
    three.node.start()
    three.serves()
    three.settles()


def test_check_tells_all_that_is_wrong_with_its_place(weir_bin, tmp_path):
    def check(text):
        (tmp_path / "c.json").write_text(text, encoding="utf-8")
        (tmp_path / "c.json").chmod(0o600)
        done = subprocess.run([weir_bin, "check", "-c", str(tmp_path / "c.json")], capture_output=True, text=True, timeout=30, check=False)
        return done.returncode, (done.stdout + done.stderr).replace(str(tmp_path) + "/", "")

    ini = tmp_path / "sites.cfg"
    ini.write_text("[DEFAULT]\nyassp url = http://p.test/\nyassp psk = k\n[a]\nyassp hostname = h\n[b]\npull interval = often\n", encoding="utf-8")
    ini.chmod(0o600)
    status, said = check('{"Nodes": [{"NodeID": 0}],\n "Manager": {"stat_interval": "x", "manager_adress": "/m",\n'
                         '  "servers": 5, "workers": 2},\n "Yassp": [{"Config": "sites.cfg", "Section": "b"}, {"Config": "no.cfg"},\n'
                         ' {"Config": "sites.cfg", "Section": "a"}, {"Config": "sites.cfg", "Section": "a"}]}')
    assert status == 78
    for line in ("c.json:1:12: Nodes[0].ApiKey: is missing", "c.json:2:31: Manager.stat_interval: expected a whole number",
                 "c.json:2:36: Manager.manager_adress: warning: unknown key, ignored; did you mean manager_address?",
                 "c.json:3:14: Manager.servers: expected an array", "c.json:3:17: Manager.workers: warning: has no effect here",
                 "c.json:2:13: Manager.manager_address: is missing",
                 "sites.cfg:7:1: pull interval: expected a whole number", "sites.cfg:6:1: yassp hostname: is missing",
                 'Yassp[1].Config: cannot read "no.cfg": No such file', "c.json:5:43: Yassp[3]: the same site again"):
        assert line in said, said
    status, said = check('{"Manager": {}, "Yassp": [{"Config": "sites.cfg", "Section": "a"}]}')
    assert status == 78 and "c.json:1:13: Manager.manager_address: is missing" in said
    status, said = check('{"Manager": {"manager_address": "@m"}, "Yassp": {"Config": "sites.cfg", "Section": "a"}}')
    assert status == 0 and "good: 0 nodes, a manager, 1 YaSSP site, 0 warnings" in said
    assert check('{"Yassp": []}')[0] == 78


def recipe(page, lib):
    """Its steps from a service's state folder to a section's; systemd and root are not here."""
    for line in next(b for b in blocks(page, "sh") if "\nmv " in b).splitlines():
        if line.startswith("mv "):
            subprocess.run(line.replace("/var/lib/", f"{lib}/"), shell=True, check=True)


def test_what_is_owed_moves_from_the_services_to_the_sections(weir_bin, procs, target, tmp_path):
    """As both pages of the manual say."""
    three = Three(procs)
    three.node.stop()
    text = three.node.text
    (tmp_path / "weir").mkdir(mode=0o700)
    (tmp_path / "m.json").write_text(json.dumps(dict(text["Manager"], stat_interval=3600)), encoding="utf-8")
    manager = procs.start("ss-manager", [weir_bin, "ss-manager", "-c", str(tmp_path / "m.json")],
                          env={"STATE_DIRECTORY": str(tmp_path / "weir-ss-manager")})
    three.sites.always["traffics"] = lambda r: r.drop()
    site = procs.start("yassp", [weir_bin, "yassp", three.site.file, "site"], env={"STATE_DIRECTORY": str(tmp_path / "weir-yassp-site-1")})
    ways = []
    for i, p, port, o in ((1, manager, three.managed, Outbound("shadowsocks", three.managed, "secret", method=METHOD)),
                          (2, site, three.sited, outbound(three.sites.profiles[0]))):
        p.wait_listening(port)
        ways.append(start_client("weir", procs, o))
        three.moved[i] += sum(traffic.upload(ways[-1], target, 10_000 + i, 1)) + sum(traffic.download(ways[-1], target, 20_000, 2))
    added = free_port()
    client = Client(three.socket, procs.folder)
    assert client.add(added, "another", method=METHOD) == "ok"
    client.close()
    assert manager.stop() == 0
    site.kill()
    recipe("ss-manager.md", tmp_path)
    recipe("yassp.md", tmp_path)
    three.sites.always.clear()
    text["State"]["Dir"] = str(tmp_path / "weir")
    text["Manager"]["state_file"] = str(tmp_path / "weir" / "ssm")
    three.site.keys["state file"] = str(tmp_path / "weir" / "site-1")
    three.site.write()
    three.node.write()
    three.node.start()
    three.serves().node.proc.wait_listening(added)
    three.hear()
    three.settles()
    three.node.stop()
    three.client.close()
    three.panel.stop()
    three.sites.stop()


# --- the manual's examples -----------------------------------------------------------------------

def blocks(page, kind):
    with open(os.path.join(MANUAL, page), encoding="utf-8") as f:
        return re.findall(rf"```{kind}\n(.*?)```", f.read(), re.S)


@pytest.mark.one_thread
def test_the_examples_of_the_managers_page(weir_bin, procs, tmp_path):
    there, text = str(tmp_path / "ssm.sock"), {"HOME": str(tmp_path), "STATE_DIRECTORY": str(tmp_path / "state")}
    script, config = blocks("ss-manager.md", "sh")[0], [json.loads(b) for b in blocks("ss-manager.md", "json")]
    start, add = script.splitlines()
    own, other = free_port(), free_port()

    def here(line, port):
        return line.replace("/run/ssm.sock", there).replace('"server_port":8001', f'"server_port":{port}')

    def words(line):
        return [weir_bin if w == "weir" else w for w in shlex.split(here(line, own), comments=True)]

    m = procs.start("ss-manager", words(start), env=text)
    wait_until("the socket", lambda: os.path.exists(there))
    said = subprocess.run(words(add), capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()
    assert said[0] == "ok" and json.loads(said[1])[0]["server_port"] == own
    m.wait_listening(own)
    client = procs.start("client", [sys.executable, "-c", here(blocks("ss-manager.md", "python")[0], other)])
    m.wait_listening(other)
    client.kill()
    assert m.stop() == 0
    # Its file, alone and as a section.
    ports = [free_port(), free_port()]
    for n, c in enumerate(config):
        own = c.get("Manager", c)
        assert own["server"] == ["0.0.0.0", "::"]
        own.update(manager_address=there, server="127.0.0.1", port_password=dict(zip(map(str, ports), own["port_password"].values())))
        file = tmp_path / f"{n}.json"
        file.write_text(json.dumps(c if own is c else dict(c, State={"Dir": str(tmp_path / "s")})), encoding="utf-8")
        file.chmod(0o600)
        m = procs.start("by-file", [weir_bin] + (["ss-manager"] if own is c else ["run"]) + ["-c", str(file)], env=text)
        for p in ports:
            m.wait_listening(p)
        assert m.stop() == 0
    assert [("Manager" in c) for c in config] == [False, True]


@pytest.mark.one_thread
def test_the_examples_of_the_page_on_yassp(weir_bin, procs, tmp_path):
    panel = FakePanel([profile()])
    panel.host, panel.psk = "host-1", "the key of that host"
    push, token = free_port(), "a long random word"
    text = blocks("yassp.md", "ini")[0]
    for was, now in (("https://panel.example.net/yassp", panel.url), ("= 8888", f"= {push}"), ("= 0.0.0.0", "= 127.0.0.1")):
        assert text.count(was) == 1
        text = text.replace(was, now)
    parsed = configparser.ConfigParser()
    parsed.read_string(text)
    assert parsed.sections() == ["site-1"]
    ini = tmp_path / "sites.cfg"
    ini.write_text(text + "ss-server bind = 127.0.0.1\n", encoding="utf-8")
    ini.chmod(0o600)
    config = json.loads(blocks("yassp.md", "json")[0])
    (tmp_path / "c.json").write_text(json.dumps(dict(config, State={"Dir": str(tmp_path / "s")})), encoding="utf-8")
    (tmp_path / "c.json").chmod(0o600)

    def ask(method, path, body=None):
        c = http.client.HTTPConnection("127.0.0.1", push, timeout=20)
        c.request(method, f"{path}?token={urllib.parse.quote(token)}", body)
        r = c.getresponse()
        return r.status, r.read()

    for command in (["yassp", str(ini), "site-1"], ["run", "-c", str(tmp_path / "c.json")]):
        p = procs.start("site", [weir_bin] + command, env={"STATE_DIRECTORY": str(tmp_path / "state")})
        p.wait_listening(panel.profiles[0]["port"])
        assert ask("GET", "/") == (200, b"It works.")
        pushed = profile()
        assert ask("POST", "/instances", json.dumps([pushed])) == (204, b"")
        p.wait_listening(pushed["port"])
        assert p.stop() == 0
    panel.stop()
