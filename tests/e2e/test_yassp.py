"""weir yassp: against our panel and one with faults; byte-exact over outages, crashes and ends."""
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time

import pytest
from weirtest import SOAK, fakepanel, socks, traffic
from weirtest.load import Load
from weirtest.panel import Panel
from weirtest.proc import free_port, listens, wait_until
from weirtest.shadowsocks import client, counted_by_others, python_server
from weirtest.targets import HashServer
from weirtest.yassp import FakePanel, Site, outbound, profile


def site_of(procs, panel, **keys):
    return Site(procs, panel.url, panel.host, panel.psk, **keys)


def settle(panel, port, expected, seconds=15):
    """What was billed becomes exactly that, and stays so."""
    wait_until(f"{expected} bytes on port {port}; billed {panel.billed(port)}",
               lambda: panel.billed(port) == expected, seconds)
    time.sleep(1.5)
    assert panel.billed(port) == expected


# --- our panel -----------------------------------------------------------------------------------

@pytest.mark.quick
def test_a_panel_lists_and_bills_exactly(procs, target):
    panel = Panel(procs)
    base = free_port() - 1
    panel.admin("POST", "/nodes", {"type": "shadowsocks", "port": base, "host": "127.0.0.1", "settings": {
        "cipher": "chacha20-ietf-poly1305", "yassp_host": "h1", "yassp_psk": "p"}})
    user = panel.add_user(uuid="secret-of-one")
    site = Site(procs, panel.url + "/yassp", "h1", "p").serves(base + user["id"])
    p = {"port": base + user["id"], "method": "chacha20-ietf-poly1305", "password": "secret-of-one"}
    moved = 0
    for kind in "weir", "ss-local":
        way = client(kind, procs, outbound(p))
        moved += sum(traffic.upload(way, target, 3_000_001, 1))
        moved += sum(traffic.download(way, target, 5_000_003, 2))
        moved += sum(traffic.echo(way, target, b"hello"))
    wait_until(f"{moved} bytes at the panel", lambda: sum(panel.traffic(user["id"])) == moved, 10)
    assert site.proc.stop() == 0
    assert sum(panel.traffic(user["id"])) == moved


@pytest.mark.parametrize("who", ["weir", "ss-local"])
def test_packets_are_billed_exactly(procs, udp_target, who):
    p = profile()
    panel = FakePanel([p])
    site_of(procs, panel).serves(p["port"])
    moved = sum(traffic.packets(client(who, procs, outbound(p)), udp_target, (1, 100, 1200)))
    settle(panel, p["port"], moved)


@pytest.mark.parametrize("kind", ["libev", "python"])
def test_external_servers_serve_and_are_billed(procs, target, tmp_path, kind):
    """To the byte, as they count: also what a port and the whole had moved just before they were stopped."""
    path = shutil.which("ss-server") if kind == "libev" else python_server(tmp_path)
    ports = [profile(method="aes-256-cfb"), profile(method="aes-256-cfb")]
    panel = FakePanel(ports)
    site = site_of(procs, panel, ss_daemon_type=kind, **{"ss-server_path": path}).serves(*[p["port"] for p in ports])
    ways = [client("ss-local", procs, outbound(p)) for p in ports]
    total = [counted_by_others(*traffic.upload(w, target, 1_000_001, 1)) for w in ways]
    panel.profiles = [ports[0]]
    wait_until("one to close", lambda: not listens(ports[1]["port"]), 15)
    assert listens(ports[0]["port"])
    total[0] += counted_by_others(*traffic.download(ways[0], target, 700_001, 2))
    assert site.proc.stop() == 0
    assert [panel.billed(p["port"]) for p in ports] == total
    assert not listens(ports[0]["port"])


def test_the_panel_pushes_to_the_site(procs):
    panel = Panel(procs)
    base = free_port() - 1
    site = Site(procs, panel.url + "/yassp", "h1", "p", pull_interval=3600, push_server_enable="yes", push_bind_port=free_port(),
                push_token="t&o")
    node = panel.admin("POST", "/nodes", {"type": "shadowsocks", "port": base, "host": "127.0.0.1", "settings": {
        "cipher": "aes-128-gcm", "yassp_host": "h1", "yassp_psk": "p",
        "yassp_push": f"http://127.0.0.1:{site.push_port()}/instances?token=t%26o"}})
    assert node
    time.sleep(2)  # what a node has when the panel first sees it is not pushed
    user = panel.add_user(uuid="abc")
    site.serves(base + user["id"])
    panel.remove_user(user["id"])
    wait_until("the port to close", lambda: not listens(base + user["id"]), 10)


# --- a panel with faults -------------------------------------------------------------------------

def test_lists_change_what_they_change_and_no_more(procs, target):
    stays, changes, goes, bad = profile(), profile(), profile(), profile(method="no-such-cipher")
    panel = FakePanel([stays, changes, goes, bad, {"port": 1}, 7])
    site = site_of(procs, panel).serves(stays["port"], changes["port"], goes["port"])
    ways = [client("ss-local", procs, outbound(p)) for p in (stays, changes, goes)]
    socket_of = [way.open(target) for way in ways]
    for s in socket_of:
        s.sendall(b"ECHO\nbefore")
        assert socks.recv_exactly(s, 6) == b"before"
    panel.profiles = [bad, dict(stays), dict(changes, password="another"), profile()]
    site.serves(panel.profiles[3]["port"])
    wait_until("the port to close", lambda: not listens(goes["port"]))
    socket_of[0].sendall(b"after")
    assert socks.recv_exactly(socket_of[0], 5) == b"after"
    for s in socket_of[1:]:
        s.settimeout(10)
        with pytest.raises((OSError, EOFError)):
            while s.send(b"x" * 1000):
                time.sleep(0.05)
    traffic.echo(client("ss-local", procs, outbound(panel.profiles[2])), target, b"new secret")
    panel.profiles = []
    wait_until("all ports to close", lambda: not listens(stays["port"]))
    assert "no-such-cipher" in site.proc.text() or str(bad["port"]) in site.proc.text()


def test_a_broken_panel_leaves_the_ports_as_they_are(procs, target):
    p = profile()
    panel = FakePanel([p])
    site = site_of(procs, panel).serves(p["port"])
    way = client("ss-local", procs, outbound(p))
    with way.open(target) as s:
        s.sendall(b"ECHO\nx")
        assert socks.recv_exactly(s, 1) == b"x"
        for fault in (fakepanel.hang_up, fakepanel.html, fakepanel.not_json, fakepanel.truncated, fakepanel.not_modified,
                      fakepanel.status(500), fakepanel.status(401), fakepanel.status(404, b"[]"), fakepanel.status(200, b"{}"),
                      fakepanel.status(200, b""), fakepanel.status(200, b'[{"port":1}]')):
            panel.faults["services"] = [fault] * 3
            before = panel.asked("services")
            wait_until("some questions", lambda: panel.asked("services") >= before + 3, 30)
            s.sendall(b"y")
            assert socks.recv_exactly(s, 1) == b"y"
        panel.stop()
        time.sleep(2.5)
        s.sendall(b"z")
        assert socks.recv_exactly(s, 1) == b"z"
        panel.start()
        panel.profiles.append(profile())
        site.serves(panel.profiles[1]["port"])
    # What was applied last is what the questions are about; an error's tag is never sent.
    assert all(tag not in ('"html"', '"bad"', '"none"') for tag, action, _ in panel.log if action == "services")


def test_no_report_is_lost_or_doubled(procs, target):
    p = profile()
    panel = FakePanel([p])
    site = site_of(procs, panel).serves(p["port"])
    way = client("ss-local", procs, outbound(p))
    moved = 0
    for fault in (fakepanel.hang_up, fakepanel.status(500), fakepanel.commit_then_hang(1), fakepanel.status(503),
                  fakepanel.status(403), fakepanel.commit_then_hang(12)):
        panel.faults["traffics"] = [fault]
        moved += sum(traffic.upload(way, target, 100_000 + moved % 7, 3))
        wait_until("the faults to be used up", lambda: not panel.faults["traffics"], 60)
    settle(panel, p["port"], moved, 40)
    panel.stop()
    moved += sum(traffic.download(way, target, 300_000, 3))
    time.sleep(2)
    panel.start()
    settle(panel, p["port"], moved, 40)
    assert site.proc.stop() == 0


def test_answers_of_any_shape_will_do_for_a_report(procs, target):
    p = profile()
    panel = FakePanel([p])

    def taken(code, body):
        def answer(r):
            panel.take_push(r)
            r.answer(code, body)
        return answer

    panel.faults["traffics"] = [taken(200, b"not json"), taken(201, b""), taken(200, b"[]"), taken(304, b"")]
    site_of(procs, panel).serves(p["port"])
    way = client("ss-local", procs, outbound(p))
    moved = 0
    while panel.faults["traffics"]:
        left = len(panel.faults["traffics"])
        moved += sum(traffic.echo(way, target, b"some bytes"))
        wait_until("a report", lambda: len(panel.faults["traffics"]) < left, 15)
    settle(panel, p["port"], moved)
    assert len(panel.pushes) == 4


def test_a_removed_port_is_billed_to_its_last_byte(procs, target):
    p = profile()
    panel = FakePanel([p])
    site_of(procs, panel, traffic_sync_threshold=10**9, traffic_sync_timeout=1800).serves(p["port"])
    moved = sum(traffic.upload(client("ss-local", procs, outbound(p)), target, 50_000, 4))
    time.sleep(2)
    assert panel.billed(p["port"]) == 0
    changed = dict(p, password="another")
    panel.profiles = [changed]
    wait_until("what the old secret has left", lambda: panel.billed(p["port"]) == moved)
    moved += sum(traffic.upload(client("ss-local", procs, outbound(changed)), target, 50_000, 4))
    panel.profiles = []
    wait_until("what the new one has left", lambda: panel.billed(p["port"]) == moved)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stop_reports_everything(procs, target, sig):
    p = profile()
    panel = FakePanel([p])
    site = site_of(procs, panel, traffic_sync_threshold=10**9, traffic_sync_timeout=1800).serves(p["port"])
    moved = sum(traffic.upload(client("ss-local", procs, outbound(p)), target, 50_000, 4))
    site.proc.signal(sig)
    assert site.proc.popen.wait(15) == 0
    assert panel.billed(p["port"]) == moved


def test_a_stop_without_panel_keeps_everything_for_the_next_start(procs, target):
    p = profile()
    panel = FakePanel([p])
    site = site_of(procs, panel, traffic_sync_threshold=10**9, traffic_sync_timeout=1800).serves(p["port"])
    moved = sum(traffic.upload(client("ss-local", procs, outbound(p)), target, 50_000, 4))
    panel.stop()
    assert site.proc.stop() == 0
    site.start()
    site.serves(p["port"])  # from what was applied last
    moved += sum(traffic.upload(client("ss-local", procs, outbound(p)), target, 50_000, 5))
    panel.start()
    assert site.proc.stop() == 0
    assert panel.billed(p["port"]) == moved


def test_a_second_signal_ends_it_at_once(procs, target):
    p = profile()
    panel = FakePanel([p])
    site = site_of(procs, panel, traffic_sync_threshold=10**9, traffic_sync_timeout=1800).serves(p["port"])
    moved = sum(traffic.upload(client("ss-local", procs, outbound(p)), target, 50_000, 4))
    panel.always["traffics"] = fakepanel.slow(60)
    site.proc.signal(signal.SIGTERM)
    wait_until("the last report", lambda: panel.asked("traffics") == 1)
    site.proc.signal(signal.SIGTERM)
    assert site.proc.popen.wait(3) == 1
    panel.always.clear()
    site.start()
    settle(panel, p["port"], moved)


@pytest.mark.soak
def test_kill_9_neither_loses_nor_doubles(procs):
    target = HashServer()
    p = profile(method="aes-128-gcm")
    panel = FakePanel([p])
    site = site_of(procs, panel).serves(p["port"])
    load = Load(client("ss-local", procs, outbound(p)), target)
    for _ in range(30 if SOAK else 5):
        time.sleep(random.uniform(0.3, 2.0))
        site.proc.kill()
        site.start()
        site.serves(p["port"])
    time.sleep(1)
    load.stop()
    assert site.proc.stop() == 0
    billed = panel.billed(p["port"])
    # client-received <= billed down <= target-sent, target-received <= billed up <= client-sent
    assert load.received + target.received <= billed <= target.sent + load.sent
    target.close()


def test_validators_are_sent_back(procs):
    panel = FakePanel([profile()])
    site_of(procs, panel).serves(panel.profiles[0]["port"])
    wait_until("a few questions", lambda: panel.asked("services") >= 4)
    tags = [tag for tag, action, _ in panel.log if action == "services"]
    assert tags[0] is None and tags[1] and set(tags[1:]) == {tags[1]}


def test_a_busy_port_is_tried_again_and_the_others_run(procs, target):
    busy, free = profile(), profile()
    with socket.socket() as s:
        s.bind(("127.0.0.1", busy["port"]))
        s.listen()
        panel = FakePanel([busy, free])
        more = {} if SOAK else {"port_retry_interval": 1}  # else every 30 s
        site = site_of(procs, panel, **more).serves(free["port"])
        wait_until("the complaint", lambda: f"port {busy['port']}" in site.proc.text() and "in use" in site.proc.text())
    # the socket above has been closed: whoever listens now is the site
    wait_until("the next try", lambda: listens(busy["port"]), 40)
    traffic.echo(client("ss-local", procs, outbound(busy)), target, b"hello")


def test_two_sections_run_side_by_side(procs, target):
    panels = [FakePanel([profile()]), FakePanel([profile()])]
    folder = procs.folder
    with open(f"{folder}/two.cfg", "w", encoding="utf-8") as f:
        f.write("[DEFAULT]\nallow private = yes\npull interval = 1\ntraffic sync threshold = 1\ntraffic sync timeout = 1\n"
                "ss-server bind = 127.0.0.1\nyassp psk = k;e%%y\nyassp hostname = host-1\n")
        for i, panel in enumerate(panels):
            f.write(f"[s{i}]\nyassp url: {panel.url}\n")
    os.chmod(f"{folder}/two.cfg", 0o644)
    env = {"STATE_DIRECTORY": f"{folder}/states"}
    runs = [procs.start("yassp", [os.environ["WEIR_BIN"], "yassp", f"{folder}/two.cfg", f"s{i}"], env=env) for i in range(2)]
    for run, panel in zip(runs, panels):
        run.wait_listening(panel.profiles[0]["port"])
        moved = sum(traffic.echo(client("ss-local", procs, outbound(panel.profiles[0])), target, b"hello"))
        settle(panel, panel.profiles[0]["port"], moved)
    third = subprocess.run([os.environ["WEIR_BIN"], "yassp", f"{folder}/two.cfg", "s0"], env=dict(os.environ, **env),
                           capture_output=True, text=True, timeout=20, check=False)
    assert third.returncode == 1 and "another process" in third.stderr
    assert "two.cfg: warning: holds secrets and is open to others (mode 0644); chmod 600" in runs[0].text()


# --- push ----------------------------------------------------------------------------------------

def push(port, body, query="token=tok", method="POST", path="/instances"):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        c.request(method, f"{path}?{query}", body)
        answer = c.getresponse()
        return answer.status, answer.read()
    finally:
        c.close()


def test_a_push_is_served_before_it_is_answered(procs, target):
    pulled, pushed = profile(), profile()
    panel = FakePanel([pulled])
    site = site_of(procs, panel, pull_interval=5, push_server_enable="yes", push_bind_port=0, push_token="tok").serves(pulled["port"])
    at = site.push_port()
    assert push(at, json.dumps([pulled, pushed])) == (204, b"")
    traffic.echo(client("ss-local", procs, outbound(pushed)), target, b"hello")
    for wrong in b"", b"{", b"{}", b'"[]"', b'[{"port":1}]':
        assert push(at, wrong)[0] == 400
    assert push(at, b"[]", "token=wrong")[0] == 401
    assert push(at, b"[]", "")[0] == 401
    assert push(at, None, method="GET", path="/") == (200, b"It works.")
    assert push(at, b"[]", path="/else")[0] == 404
    assert push(at, b"[]", method="PUT")[0] == 405
    assert listens(pushed["port"])
    # The panel stays authoritative: the next pull gets the whole list.
    wait_until("the next pull", lambda: not listens(pushed["port"]), 15)
    assert listens(pulled["port"])


# --- the file ------------------------------------------------------------------------------------

def run(*args):
    return subprocess.run([os.environ["WEIR_BIN"], "yassp", *map(str, args)], capture_output=True, text=True, timeout=20, check=False)


def test_whatever_is_wrong_with_the_file_is_told_at_once(procs, tmp_path):
    f = tmp_path / "sites.cfg"
    f.write_text("[DEFAULT]\npull interval = 0\nss daemon type = go\n[a]\nyassp url = nowhere\npsuh token = x\nwords\n"
                 "[a]\nlog level = 20\nlog level = 10\n")
    done = run(f, "a")
    assert done.returncode == 1
    for place in ":2:", ":3:", ":5:", ":6:", ":7:", ":8:", ":10:":
        assert f"sites.cfg{place}" in done.stderr, done.stderr
    assert run().returncode == 1
    assert run(f, "a", "b").returncode == 1
    assert run(tmp_path / "none").returncode == 1
    f.write_text("[DEFAULT]\nyassp url = http://127.0.0.1:1/\nyassp hostname = h\nyassp psk = k\n")
    done = run(f, "site-9")
    assert done.returncode == 1 and "no such section" in done.stderr


def test_a_busy_push_port_ends_it(procs):
    panel = FakePanel([])
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        site = site_of(procs, panel, push_server_enable="yes", push_bind_port=s.getsockname()[1], push_token="t")
        assert site.proc.popen.wait(20) == 1
    assert "push server cannot listen" in site.proc.text()


def test_a_missing_server_ends_it_unless_there_is_a_fallback(procs):
    p = profile()
    panel = FakePanel([p])
    missing = {"ss_daemon_type": "libev", "ss-server_path": "/nonexistent/ss-server"}
    assert site_of(procs, panel, **missing).proc.popen.wait(20) == 1
    site_of(procs, panel, name="b", ss_daemon_fallback="yes", **missing).serves(p["port"])
