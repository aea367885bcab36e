"""A Shadowsocks node whose panel names a SIP003 plugin: the plugin has the public port, as long as that is so."""
import os
import pathlib
import signal

import pytest
from weirtest import socks, traffic
from weirtest.proc import children, listens, wait_until
from weirtest.shadowsocks import SsLab, listening_udp

METHOD = "aes-256-gcm"
RELAY = str(pathlib.Path(__file__).parent / "weirtest" / "relay_plugin.py")


def lab_of(procs, plugin=RELAY, opts="", allow=(RELAY,), **options):
    settings = {"plugin": plugin, "plugin_opts": opts} if plugin else {}
    return SsLab(procs, [METHOD], top={"Plugins": {"Allow": list(allow), "Path": []}}, settings=settings, **options)


def plugins(lab):
    return children(lab.node.proc.popen.pid)


def said(lab, what):
    return lab.node.proc.text().count(what)


def set_plugin(lab, **settings):
    row = lab.rows[METHOD]
    lab.panel.change_node(row["id"], settings=dict(row["settings"], **settings))


def talk(lab, way, target, udp_target, user):
    user.moved(traffic.upload(way, target, 300_001, 1))
    user.moved(traffic.download(way, target, 500_003, 2))
    with socks.Udp(way.port) as u:
        u.sendto(b"x" * 1000, udp_target.addresses[0])
        user.moved((1000, len(u.recvfrom()[0])))
    user.assert_billed()


@pytest.mark.quick
@pytest.mark.parametrize("mode,tcp,udp", [("tcp_only", 1, 0), ("tcp_and_udp", 1, 1), ("udp_only", 0, 1)])
def test_tcp_and_udp_go_where_the_mode_says(procs, target, udp_target, mode, tcp, udp):
    """SIP003, and SIP003u: what the plugin does not carry stays on the public port."""
    lab = lab_of(procs, opts={"tcp_only": "tcp", "udp_only": "udp"}.get(mode, ""), PluginMode=mode)
    user = lab.user()
    way = lab.until_served(lab.client(METHOD, "sslocal", user), target, user)
    talk(lab, way, target, udp_target, user)
    assert bool(said(lab, "a connection")) == tcp and bool(said(lab, "a source of packets")) == udp
    assert len(plugins(lab)) == 1


@pytest.mark.parametrize("server,opts,local,local_opts", [
    ("obfs-server", "obfs=tls", "obfs-local", "obfs=tls;obfs-host=www.example.com"),
    ("ss-v2ray-plugin", "server;path=/a", "ss-v2ray-plugin", "path=/a")])
def test_plugins_of_debian_on_both_ends(procs, target, udp_target, server, opts, local, local_opts):
    lab = lab_of(procs, server, opts, (server,))
    user = lab.user()
    way = lab.client(METHOD, "sslocal", user, plugin=local, plugin_opts=local_opts)
    talk(lab, lab.until_served(way, target, user), target, udp_target, user)


def test_its_life_is_the_nodes(procs, target):
    """Not touched by a reload, started again when it dies, another one for other options, none where there is none."""
    lab = lab_of(procs, opts="tcp")
    port, user = lab.ports[METHOD], lab.user()
    way = lab.until_served(lab.client(METHOD, "sslocal", user), target, user)
    (first,) = plugins(lab)
    # somebody is served over all of this but the plugin's own death
    lab.node.text["Nodes"][0]["HandshakeTimeout"] = 3
    lab.node.write()
    lab.node.reload()
    wait_until("the reload", lambda: said(lab, "HandshakeTimeout"))
    traffic.echo(way, target, b"as before")
    assert list(plugins(lab)) == [first]

    os.kill(first, signal.SIGKILL)
    wait_until("its return", lambda: plugins(lab) and first not in plugins(lab) and listens(port))
    traffic.echo(way, target, b"hello again")
    (second,) = plugins(lab)

    set_plugin(lab, plugin_opts="tcp;other")
    wait_until("another one", lambda: plugins(lab) and second not in plugins(lab) and listens(port))
    traffic.echo(way, target, b"hello again")

    set_plugin(lab, plugin=None, plugin_opts=None)
    wait_until("none", lambda: not plugins(lab) and listens(port) and listening_udp(port), 20)
    traffic.echo(way, target, b"without it")
    before = said(lab, "a connection")

    set_plugin(lab, plugin=RELAY, plugin_opts="tcp")
    wait_until("one", lambda: plugins(lab) and listens(port), 20)
    traffic.echo(way, target, b"with it")
    assert said(lab, "a connection") > before

    last = list(plugins(lab))
    lab.node.stop()
    assert not any(os.path.exists(f"/proc/{pid}") for pid in last)
    assert not listens(port)


def test_it_dies_with_a_node_that_is_killed(procs):
    lab = lab_of(procs, opts="tcp")
    wait_until("it to run", lambda: plugins(lab))
    pids = list(plugins(lab))
    lab.node.proc.kill()
    wait_until("its end", lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids))


def test_a_panel_may_name_only_what_the_operator_allows(procs, target, tmp_path):
    mark = tmp_path / "mark"
    evil = tmp_path / "evil"
    evil.write_text(f"#!/bin/sh\ntouch {mark}\nexec sleep 100\n")
    evil.chmod(0o700)
    lab = lab_of(procs, plugin=None)
    user = lab.user()
    way = lab.until_served(lab.client(METHOD, "weir", user), target, user)
    set_plugin(lab, plugin=str(evil), plugin_opts="")
    wait_until("the refusal", lambda: said(lab, "is not in Plugins.Allow"))
    assert not plugins(lab) and not mark.exists()
    traffic.echo(way, target, b"what ran runs on")

    lab.node.text["Plugins"]["Allow"].append(str(evil))
    lab.node.write()
    lab.node.reload()
    set_plugin(lab, plugin=str(evil), plugin_opts="now")
    wait_until("it to run", mark.exists, 20)


def test_devices_are_not_counted_where_nobody_sees_them(procs, target):
    """Behind a plugin all come from loopback (panel-apis D6)."""
    lab = lab_of(procs, opts="tcp")
    user = lab.user()
    way = lab.until_served(lab.client(METHOD, "sslocal", user), target, user)
    with way.open(target) as s:
        s.sendall(b"ECHO\n" + b"x" * 5000)
        socks.recv_exactly(s, 5000)
        user.moved((5005, 5000))
        user.assert_billed()
        assert lab.panel.admin("GET", f"/online/{user.id}")["devices"] == 0
