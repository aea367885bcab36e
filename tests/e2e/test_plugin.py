"""SIP003 plugins of Debian on both ends: simple-obfs and v2ray-plugin, behind the server and before the client."""
import os
import signal
import subprocess
import time

import pytest
from weirtest import socks, traffic
from weirtest.proc import children, free_port, listens, wait_until
from weirtest.shadowsocks import client, libev_server
from weirtest.traffic import Way
from weirtest.yassp import FakePanel, Site, outbound, profile

# server's program and options, client's program and options
PLUGINS = {
    "obfs-http": ("obfs-server", "obfs=http", "obfs-local", "obfs=http;obfs-host=www.example.com"),
    "obfs-tls": ("obfs-server", "obfs=tls", "obfs-local", "obfs=tls;obfs-host=www.example.com"),
    "v2ray": ("ss-v2ray-plugin", "server;path=/a\\;b\\=c", "ss-v2ray-plugin", "path=/a\\;b\\=c"),
}


def server_of(kind):
    program, options, _, _ = PLUGINS[kind]
    return profile(plugin=program, plugin_opts=options)


def client_of(kind, p):
    _, _, program, options = PLUGINS[kind]
    return outbound(p, plugin=program, plugin_opts=options)


def site_of(procs, panel, **keys):
    return Site(procs, panel.url, panel.host, panel.psk, **dict({"plugin_allow": "obfs-server, ss-v2ray-plugin"}, **keys))


def first(way, target):
    """ss-local listens before its plugin does."""
    def try_it():
        try:
            return traffic.echo(way, target, b"are you there", 3)
        except (OSError, EOFError):
            return None
    return wait_until("the client's plugin", try_it, 10, 0.1)


@pytest.mark.parametrize("who", ["ss-local", "weir"])
@pytest.mark.parametrize("kind", PLUGINS)
def test_bytes_pass_and_are_billed(procs, target, kind, who):
    p = server_of(kind)
    panel = FakePanel([p])
    site_of(procs, panel).serves(p["port"])
    way = client(who, procs, client_of(kind, p))
    moved = sum(first(way, target))
    moved += sum(traffic.upload(way, target, 2_000_001, 1))
    moved += sum(traffic.download(way, target, 3_000_003, 2))
    moved += sum(traffic.echo(way, target, b"hello"))
    # Payload, not what the plugin makes of it.
    wait_until(f"{moved} bytes at the panel", lambda: panel.billed(p["port"]) == moved, 10)


@pytest.mark.parametrize("kind", PLUGINS)
def test_the_clients_plugin_fits_other_servers(procs, target, kind):
    p = server_of(kind)
    libev_server(procs, outbound(p, plugin=p["plugin"], plugin_opts=p["plugin_opts"]))
    way = client("weir", procs, client_of(kind, p))
    first(way, target)
    traffic.upload(way, target, 1_000_001, 1)
    traffic.download(way, target, 1_000_003, 2)


def test_a_plugin_that_dies_is_started_again_and_nobody_else_notices(procs, target):
    plugged, plain = server_of("obfs-http"), profile()
    panel = FakePanel([plugged, plain])
    site = site_of(procs, panel).serves(plugged["port"], plain["port"])
    way = client("ss-local", procs, client_of("obfs-http", plugged))
    first(way, target)
    other = client("ss-local", procs, outbound(plain))
    with other.open(target) as s:
        s.sendall(b"ECHO\n1")
        assert socks.recv_exactly(s, 1) == b"1"
        for n in range(2):
            traffic.echo(way, target, b"hello")
            (pid,) = children(site.proc.pid)
            os.kill(pid, signal.SIGKILL)
            wait_until("its end", lambda: not os.path.exists(f"/proc/{pid}"))
            wait_until("its return", lambda: listens(plugged["port"]), 10)
            assert site.proc.text().count("was killed by SIGKILL") == n + 1
        traffic.echo(way, target, b"hello again")
        s.sendall(b"2")
        assert socks.recv_exactly(s, 1) == b"2"


def test_no_plugin_outlives_us(procs):
    profiles = [server_of("obfs-http") for _ in range(5)]
    panel = FakePanel(profiles)
    site = site_of(procs, panel).serves(*[p["port"] for p in profiles])
    pids = children(site.proc.pid)
    assert len(pids) == 5
    site.proc.kill()
    wait_until("all to end", lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids))
    site.start()
    site.serves(*[p["port"] for p in profiles])
    pids = children(site.proc.pid)
    panel.profiles = profiles[:2]
    wait_until("three to end", lambda: len(children(site.proc.pid)) == 2, 15)
    assert not listens(profiles[4]["port"])
    assert site.proc.stop() == 0
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)


def test_a_panel_may_name_only_what_the_operator_allows(procs, tmp_path):
    mark = tmp_path / "mark"
    script = tmp_path / "evil"
    script.write_text(f"#!/bin/sh\ntouch {mark}\nsleep 100\n")
    script.chmod(0o700)
    fine = profile()
    panel = FakePanel([fine, profile(plugin=str(script)), profile(plugin="ss-v2ray-plugin", plugin_opts="server"),
                       profile(plugin="obfs-server", plugin_opts="obfs=http\nx")])
    site = site_of(procs, panel, plugin_allow="obfs-server").serves(fine["port"])
    time.sleep(1)
    assert not mark.exists() and not children(site.proc.pid)
    assert site.proc.text().count("is not allowed") >= 2


def test_a_changed_option_restarts_the_plugin(procs, target):
    p = server_of("obfs-http")
    panel = FakePanel([p])
    site = site_of(procs, panel).serves(p["port"])
    before = set(children(site.proc.pid))
    panel.profiles = [dict(p, plugin_opts="obfs=tls")]
    wait_until("another process", lambda: set(children(site.proc.pid)) and not before & set(children(site.proc.pid)), 15)
    wait_until("it to listen", lambda: listens(p["port"]), 10)
    first(client("ss-local", procs, client_of("obfs-tls", p)), target)


def connect(*args):
    return subprocess.run([os.environ["WEIR_BIN"], "connect", "--listen", "127.0.0.1:0", *args], capture_output=True, text=True,
                          timeout=30, check=False)


LINK = "ss://YWVzLTEyOC1nY206cA@127.0.0.1:9/?plugin="


@pytest.mark.parametrize("name", ["false", "%2Fbin%2Ffalse", ".%2Fobfs-local", "obfs-loca", "obfs-local2%3Bobfs%3Dtls", "%3Bobfs%3Dtls"])
def test_a_link_runs_no_program_but_plugins_that_are_known(name):
    done = connect(LINK + name)
    assert done.returncode == 78 and "--plugin" in done.stderr


def test_a_client_ends_with_its_plugin(procs):
    link = LINK
    done = connect(link + "x", "--plugin", "no-such-plugin")
    assert done.returncode == 1 and "cannot be started" in done.stderr
    done = connect(link + "x", "--plugin", "false")
    assert done.returncode == 1 and "exited with status 1" in done.stderr
    port = free_port()
    proc = procs.start("connect", [os.environ["WEIR_BIN"], "connect", link + "x%3Bobfs%3Dtls", "--plugin", "/usr/bin/obfs-local",
                                   "--listen", f"127.0.0.1:{port}"]).wait_listening(port)
    assert Way(port)
    (pid,) = children(proc.pid)
    os.kill(pid, signal.SIGKILL)
    assert proc.popen.wait(10) == 1
    assert "was killed by SIGKILL" in proc.text()
