"""SIP003u: what carries packets as well as streams, on both ends, behind a manager's port and before a client."""
import os
import pathlib
import subprocess

import pytest
from weirtest import traffic
from weirtest.peers import Outbound, link, write
from weirtest.proc import free_port, listens, wait_until
from weirtest.shadowsocks import listening_udp, program
from weirtest.ss_manager import Client, Manager
from weirtest.traffic import Way

RELAY = str(pathlib.Path(__file__).parent / "weirtest" / "relay_plugin.py")
METHOD, PASSWORD = "aes-256-gcm", "p"
# plugin_mode: the plugin's own word for it, and what it is to see
MODES = {"tcp_only": ("tcp", 1, 0), "tcp_and_udp": ("", 1, 1), "udp_only": ("udp", 0, 1)}


def opts(mode, *more):
    return ";".join([MODES[mode][0] or "all", *more])


def weir_client(procs, server, port, mode):
    o = Outbound("shadowsocks", server, PASSWORD, method=METHOD, plugin="named-by-the-link", plugin_opts=opts(mode, "client"))
    return procs.start("connect", [os.environ["WEIR_BIN"], "connect", link(o), "--plugin", RELAY, "--plugin-mode", mode,
                                   "--listen", f"127.0.0.1:{port}"])


def rust_client(procs, server, port, mode):
    config = {"server": "127.0.0.1", "server_port": server, "password": PASSWORD, "method": METHOD, "mode": "tcp_and_udp",
              "local_address": "127.0.0.1", "local_port": port, "plugin": RELAY, "plugin_opts": opts(mode, "client"),
              "plugin_mode": mode}
    return procs.start("sslocal", [program("sslocal"), "-c", write(procs, "sslocal", config)])


def assert_saw(proc, mode):
    """What its plugin has printed becomes lines of its log soon."""
    def seen():
        return tuple(int(what in proc.text()) for what in ("a connection", "a source of packets"))
    wait_until("what the plugin saw", lambda: sum(seen()) >= sum(MODES[mode][1:]))
    assert seen() == MODES[mode][1:]


def until_ready(proc, mode):
    _, streams, packets = MODES[mode]
    wait_until("its plugin", lambda: proc.text().count(" may come") == streams + packets)


def talk(way, target, udp_target):
    """Both kinds pass; how many bytes of payload that were."""
    moved = sum(traffic.upload(way, target, 300_001, 1)) + sum(traffic.download(way, target, 500_003, 2))
    moved += sum(traffic.packets(way, udp_target, (1, 500, 1200), 1))
    return moved


@pytest.mark.parametrize("client", [weir_client, rust_client])
@pytest.mark.parametrize("mode", MODES)
def test_each_mode_behind_a_managers_port_and_before_a_client(procs, target, udp_target, mode, client):
    manager = Manager(procs)
    script = Client(manager.socket, procs.folder)
    port, near = free_port(), free_port()
    assert script.add(port, PASSWORD, method=METHOD, plugin=RELAY, plugin_opts=opts(mode), plugin_mode=mode) == "ok"
    until_ready(manager.proc, mode)
    assert listens(port) and listening_udp(port)
    proc = client(procs, port, near, mode).wait_listening(near)
    until_ready(proc, mode)
    moved = talk(Way(near), target, udp_target)
    assert_saw(manager.proc, mode)
    assert_saw(proc, mode)
    assert script.collect(port, moved) == moved
    script.close()


def test_a_client_of_ours_before_a_server_of_others(procs, target, udp_target):
    port, near = free_port(), free_port()
    config = {"servers": [{"server": "127.0.0.1", "server_port": port, "password": PASSWORD, "method": METHOD,
                           "mode": "tcp_and_udp", "plugin": RELAY, "plugin_opts": opts("tcp_and_udp"),
                           "plugin_mode": "tcp_and_udp"}]}
    server = procs.start("ssserver", [program("ssserver"), "-c", write(procs, "ssserver", config)])
    until_ready(server, "tcp_and_udp")
    proc = weir_client(procs, port, near, "tcp_and_udp").wait_listening(near)
    talk(Way(near), target, udp_target)
    assert_saw(server, "tcp_and_udp")
    assert_saw(proc, "tcp_and_udp")


def test_a_mode_that_is_none_is_refused():
    done = subprocess.run([os.environ["WEIR_BIN"], "connect", "ss://YWVzLTEyOC1nY206cA@127.0.0.1:9", "--plugin-mode", "both"],
                          capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2 and "--plugin-mode" in done.stderr
