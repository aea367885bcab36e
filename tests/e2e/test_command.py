"""The command line itself (config.md G.14: exit 0 done, 1 failed, 2 usage, 78 configuration)."""
import json
import os
import re
import signal
import socket
import subprocess

import pytest
from weirtest import socks
from weirtest.fakepanel import FakePanel
from weirtest.lab import Lab
from weirtest.node import Node, entry
from weirtest.panel import Panel
from weirtest.peers import link, random_credential, start_client
from weirtest.proc import free_port, listens, wait_until

pytestmark = [pytest.mark.quick, pytest.mark.one_thread]


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_version_names_the_program_on_standard_output(weir_bin):
    done = run(weir_bin, "version")
    assert done.returncode == 0
    assert done.stdout.startswith("weir ")
    assert done.stderr == ""
    for line in "build", "protocols", "panels", "AEAD", "libraries":
        assert f"\n{line} " in done.stdout
    for spelling in "-V", "--version":
        assert run(weir_bin, spelling).stdout == done.stdout


def test_help_is_no_error(weir_bin):
    for command in [], ["panel"], ["panel", "node"], ["panel", "user"], ["panel", "user", "link"], ["config"], ["link"], \
            ["run"], ["connect"], ["version"]:
        done = run(weir_bin, *command, "-h")
        assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("usage: weir")


def test_help_of_a_command_is_what_the_command_says_of_itself(weir_bin):
    for command in ["connect"], ["panel"], ["panel", "node"], ["panel", "node", "add"], ["config", "init"]:
        done = run(weir_bin, "help", *command)
        assert (done.returncode, done.stderr, done.stdout) == (0, "", run(weir_bin, *command, "-h").stdout)
    done = run(weir_bin, "help", "fly")
    assert done.returncode == 2 and "no command 'fly'" in done.stderr


def test_a_second_node_in_the_same_state_folder_does_not_start(weir_bin, procs, cert):
    lab = Lab(procs, cert, kinds=["vless-raw"])
    done = run(weir_bin, "run", "-c", lab.node.config)
    assert done.returncode == 1
    assert "is in use by another weir" in done.stdout + done.stderr
    lab.node.proc.kill()  # the lock goes with its holder, however he ends
    lab.node.start()


def test_a_state_folder_that_cannot_be_made_is_named_with_its_option(weir_bin, tmp_path):
    file = tmp_path / "weir.json"
    file.write_text(json.dumps({"State": {"Dir": "/proc/none"}, "Nodes": [{"ApiHost": "http://127.0.0.1:1", "NodeID": 1, "ApiKey": "k"}]}))
    done = run(weir_bin, "run", "-c", str(file))
    assert done.returncode == 1
    assert "cannot use State.Dir /proc/none: No such file or directory" in done.stdout + done.stderr


def test_a_client_says_why_nothing_comes_back(weir_bin, procs, cert, target):
    lab = Lab(procs, cert, kinds=["trojan-tls"])
    port = free_port()
    client = procs.start("connect", [weir_bin, "connect", link(lab.outbound("trojan-tls", "any")), "-l", f"127.0.0.1:{port}"])
    client.wait_listening(port)
    with pytest.raises((OSError, EOFError)):
        s = socks.connect(port, "127.0.0.1", target.port)
        s.sendall(b"x")
        socks.recv_exactly(s, 1)
    wait_until("the client to complain", lambda: "wants --pin, --ca or --insecure" in client.text())


def test_a_client_that_was_told_whom_to_believe_is_not_told_to_say_so(weir_bin, procs, cert, target):
    lab = Lab(procs, cert, kinds=["trojan-tls"])
    for option, said in ((["--pin", "00" * 32], "not the pinned one"), (["--ca", cert.crt], None)):
        port = free_port()
        client = procs.start("connect", [weir_bin, "connect", link(lab.outbound("trojan-tls", "any")), "-l", f"127.0.0.1:{port}", *option])
        client.wait_listening(port)
        with pytest.raises((OSError, EOFError)):
            s = socks.connect(port, "127.0.0.1", target.port)
            s.sendall(b"x")
            socks.recv_exactly(s, 1)
        wait_until("the client to complain", lambda client=client: "weir connect: 127.0.0.1" in client.text())
        assert said in client.text() if said else "--pin, --ca" not in client.text()


def test_a_client_names_the_usual_cause_when_a_private_target_is_refused(weir_bin, procs, cert, target):
    lab = Lab(procs, cert, kinds=["vless-raw"], AllowPrivate=False)
    user = lab.user()
    wait_until("the user", lambda: "1 added" in lab.node.proc.text())
    way = lab.client("vless-raw", "weir", user)
    with pytest.raises((OSError, EOFError)):
        s = way.open(target)
        s.sendall(b"x")
        socks.recv_exactly(s, 1)
    client = next(p for p in procs.all if p.name.startswith("weir") or "connect" in p.command)
    wait_until("the client to say it", lambda: "private destinations want AllowPrivate" in client.text())


def test_server_is_run_under_its_older_name(weir_bin, tmp_path):
    for name in "run", "server":
        done = run(weir_bin, name, "-c", str(tmp_path / "none.json"))
        assert done.returncode == 78 and "none.json: cannot be read" in done.stdout + done.stderr
    # Without -c it looks where v2sp's file is.
    assert "/etc/v2sp/config.json" in run(weir_bin, "server", "-h").stdout


def test_no_command_and_an_unknown_one_are_usage_errors(weir_bin):
    for arguments in [], ["fly"]:
        done = run(weir_bin, *arguments)
        assert done.returncode == 2
        assert "usage: weir" in done.stderr
        assert done.stdout == ""


def hopeless(cert, name):
    """A panel that nobody here speaks to."""
    return {"Name": name, "ApiHost": "http://127.0.0.1:1", "ApiKey": "k", "NodeID": 1, "NodeType": "vless",
            "ApiType": "sspanel", "CertConfig": {"CertMode": "file", "CertFile": cert.crt, "KeyFile": cert.key}}


def test_when_no_node_can_ever_start_the_status_is_78(weir_bin, cert, tmp_path):
    config = tmp_path / "config.json"
    nodes = [hopeless(cert, "a"), dict(hopeless(cert, "b"), NodeID=2)]
    config.write_text(json.dumps({"State": {"Dir": str(tmp_path / "state")}, "Nodes": nodes}))
    done = run(weir_bin, "run", "-c", str(config))
    assert done.returncode == 78
    assert "a: cannot start" in done.stdout + done.stderr and "b: cannot start" in done.stdout + done.stderr


def test_a_node_that_can_never_start_does_not_keep_the_others(weir_bin, procs, cert, target):
    lab = Lab(procs, cert, kinds=["vless-raw"])
    lab.node.text["Nodes"].append(hopeless(cert, "never"))
    lab.node.write()
    lab.node.stop()
    lab.node.start()
    assert "never: cannot start" in lab.node.proc.text()
    lab.until_served(lab.client("vless-raw", "weir", lab.user()), target)


NOWHERE = "vless://a3482e88-686a-4a58-8126-99c9df64b7bf@127.0.0.1:1?type=tcp&security=none&encryption=none"


@pytest.mark.parametrize("options", [["-l", "1080"], ["-l", "localhost:1080"], ["-l", "0.0.0.0"],
                                     ["-l", "127.0.0.1:0", "--tcp", "nonsense=127.0.0.1:1"],
                                     ["-l", "127.0.0.1:0", "--tcp", "5"],
                                     ["-l", "127.0.0.1:0", "--udp", "127.0.0.1:0=nonsense"]], ids=" ".join)
def test_an_address_to_listen_at_that_does_not_parse_is_told(weir_bin, options):
    done = run(weir_bin, "connect", NOWHERE, *options)
    assert done.returncode == 1, done
    if options[0] == options[-2]:
        assert f"{options[-1]}: expected ADDRESS:PORT" in done.stderr
    else:
        assert f"{options[-2]} {options[-1]}: expected LISTEN=DEST" in done.stderr


def test_a_server_that_does_not_answer_is_named_and_not_the_target(weir_bin, procs):
    port = free_port()
    client = procs.start("connect", [weir_bin, "connect", NOWHERE, "-l", f"127.0.0.1:{port}"])
    client.wait_listening(port)
    with pytest.raises((OSError, EOFError)):
        s = socks.connect(port, "192.0.2.7", 7000)
        s.sendall(b"x")
        socks.recv_exactly(s, 1)
    wait_until("the client to complain", lambda: "the server 127.0.0.1:1: Connection refused" in client.text())
    assert "192.0.2.7" not in client.text()
    # Who only looked whether somebody listens has asked for nothing: nothing is said of it.
    assert "cut short" not in client.text()
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(b"GET / HTTP/1.1\r\n\r\n")
        wait_until("the client to complain", lambda: "a local program does not speak SOCKS5" in client.text())


DEAF = """#!/usr/bin/env python3
import os, socket, time
s = socket.create_server((os.environ["SS_LOCAL_HOST"], int(os.environ["SS_LOCAL_PORT"])))
s.accept()
s.close()
time.sleep(600)
"""


def test_a_plugin_that_refuses_is_named_and_not_the_server_behind_it(weir_bin, procs):
    """It listens until it has been looked for."""
    plugin, port = f"{procs.folder}/deaf", free_port()
    with open(plugin, "w", encoding="ascii") as f:
        f.write(DEAF)
    os.chmod(plugin, 0o700)
    client = procs.start("connect", [weir_bin, "connect", "ss://YWVzLTEyOC1nY206cA@192.0.2.9:9/?plugin=deaf", "--plugin", plugin,
                                     "-l", f"127.0.0.1:{port}"]).wait_listening(port)

    def refused():
        with pytest.raises((OSError, EOFError)):  # it may not have closed its port yet
            s = socks.connect(port, "192.0.2.7", 7000)
            s.sendall(b"x")
            socks.recv_exactly(s, 1)
        return re.search(r"the plugin at 127\.0\.0\.1:\d+: Connection refused", client.text())

    wait_until("the client to complain", refused)
    assert "the server" not in client.text()


def test_a_node_that_answers_nothing_has_a_hint(procs, cert, target):
    lab = Lab(procs, cert, kinds=["vless-raw"])
    way = start_client("weir", procs, lab.outbound("vless-raw", random_credential()))
    with pytest.raises((OSError, EOFError)):
        s = way.open(target)
        s.sendall(b"x")
        socks.recv_exactly(s, 1)
    client = next(p for p in procs.all if "connect" in p.command)
    wait_until("the client to say it", lambda: f"127.0.0.1:{target.port}: the stream was cut short; a node that does not know the "
               "credential" in client.text())


def test_the_panel_says_what_is_not_there(weir_bin, tmp_path):
    def told(*words):
        done = run(weir_bin, "panel", *words)
        assert done.returncode == 1, done
        return done.stderr

    db = str(tmp_path / "panel.db")
    for words in ["user", "list"], ["node", "list"], ["node", "show", "1"], ["user", "link", "1", "1"], ["user", "set", "1", "name=a"]:
        assert f"{db}: No such file or directory; --db FILE" in told(*words, "--db", db)
    assert not os.path.exists(db)
    assert run(weir_bin, "panel", "user", "add", "--db", db, "--name", "ada").returncode == 0
    assert "weir panel: user 9: not there" in told("user", "link", "--db", db, "9", "1")
    assert "weir panel: node 7: not there" in told("user", "link", "--db", db, "1", "7")
    assert "weir panel: node 7: not there" in told("node", "rm", "--db", db, "7")
    for words, said in ((["--type", "vless", "network=ws"], "network ws"), (["--type", "hysteria2"], "node type hysteria2"),
                        (["--type", "vless", "decryption=nonsense"], "decryption: it is not mlkem768x25519plus"),
                        (["--type", "shadowsocks", "cipher=rot13"], "cipher rot13"), (["--type", "shadowsocks"], None)):
        done = run(weir_bin, "panel", "node", "add", "--db", db, "--port", "443", *words)
        assert done.returncode == 0 and "token: " in done.stdout
        assert f"weir run does not serve this: {said}" in done.stderr if said else not done.stderr
    assert "/nonexistent/p.db: No such file or directory" in told("serve", "--db", "/nonexistent/p.db", "--listen", "127.0.0.1:0")


def test_roots_that_are_not_there_are_named(weir_bin):
    done = run(weir_bin, "connect", NOWHERE, "--ca", "/nonexistent/roots.pem")
    assert done.returncode == 78
    assert "--ca: /nonexistent/roots.pem: No such file or directory" in done.stderr


def test_what_a_node_does_not_do_of_the_panels_words_is_told_once(procs, cert):
    """Blocks of the panel that do not block, and a type of node that there is not."""
    lab = Lab(procs, cert, kinds=["vless-raw"], settings={"routes": [
        {"id": 1, "match": ["protocol:bittorrent"], "action": "block"}, {"id": 2, "match": ["ads.example"], "action": "block"}]})
    row = lab.panel.add_node("hysteria2", free_port())
    lab.node.text["Nodes"].append(entry(lab.panel.url, row, cert, Name="quick"))
    lab.node.write()
    lab.node.proc.signal(signal.SIGHUP)
    wait_until("the node to name the type", lambda: "quick: cannot serve this configuration: node type hysteria2 is not in "
               "this build" in lab.node.proc.text())
    lab.user()
    wait_until("the user", lambda: "1 added" in lab.node.proc.text())
    told = lab.node.proc.text()
    assert told.count("vless-raw: not in this build yet: 2 routes of the panel are not applied") == 1
    assert "a feature we do not offer" not in told


def test_the_panel_s_listen_ip_is_for_who_believes_it(procs):
    ports = free_port(), free_port()
    users = [{"id": 1, "uuid": random_credential()}]
    panels = [FakePanel("vless", p, users, listen_ip="127.0.0.2") for p in ports]
    entries = [entry(p.url, p.as_node(), Name=f"n{i}", AcceptPanelListenIP=not i) for i, p in enumerate(panels)]
    for e in entries:
        del e["ListenIP"]
    node = Node(procs, entries, [])
    wait_until("both to listen", lambda: all(listens(p, "127.0.0.2") for p in ports))
    assert not listens(ports[0]) and listens(ports[1])
    entries[0]["ListenIP"] = "127.0.0.3"  # the operator's own word comes first
    node.write()
    node.reload()
    wait_until("the other address", lambda: listens(ports[0], "127.0.0.3"))
    wait_until("the panel's to be left", lambda: not listens(ports[0], "127.0.0.2"))


def test_the_log_says_what_protects_a_node_and_not_what_was_asked_for(procs, cert):
    """CertMode none serves in clear what the panel calls TLS; encryption of the protocol's own is no "none"."""
    panel, entries = Panel(procs), []
    secret = subprocess.run([os.environ["WEIR_BIN"], "vlessenc"], check=True, capture_output=True, text=True).stdout
    decryption = re.search(r"decryption: (\S+)", secret)[1]
    for kind, own, settings, said in (
            ("trojan", None, {"tls": 1}, "trojan on port {}, tcp, none"), ("trojan", cert, {"tls": 1}, "trojan on port {}, tcp, tls"),
            ("vless", None, {"tls": 0}, "vless on port {}, tcp, none"),
            ("vless", None, {"tls": 0, "decryption": decryption}, "vless on port {}, tcp, VLESS Encryption"),
            ("shadowsocks", None, {"cipher": "2022-blake3-aes-128-gcm"}, "shadowsocks on port {}, tcp, 2022-blake3-aes-128-gcm"),
            ("vmess", None, {"tls": 0}, "vmess on port {}, tcp, VMess encryption")):
        port = free_port()
        entries.append((entry(panel.url, panel.add_node(kind, port, **settings), own, Name=f"n{port}"), f"n{port}: {said.format(port)}\n"))
    node = Node(procs, [e for e, _ in entries], [])
    for _, line in entries:
        wait_until(line, lambda line=line: line in node.proc.text())


def test_a_hint_about_a_node_says_what_is_accepted_and_comes_with_every_change(weir_bin, tmp_path):
    panel, db = [weir_bin, "panel", "node"], ["--db", str(tmp_path / "panel.db")]
    for kind in "shadowsocks", "vless":
        assert run(*panel, "add", *db, "--type", kind, "--port", "443").stderr == ""
    for node, setting, said in (
            ("1", "cipher=aes-128-gmc", "cipher aes-128-gmc; it knows aes-128-gcm, aes-192-gcm, "),
            ("1", "cipher=aes-128-gcm", ""),
            ("2", "decryption=mlkem768x25519plus.plain.600s.key", "the mode is none of native, xorpub, random"),
            ("2", "decryption=mlkem768x25519plus.native.600s.", "a padding is not like 100-111-1111"),
            ("2", "encryption=mlkem768x25519plus", "a padding is not"), ("2", "decryption=", "needs encryption_settings.private_key"),
            ("2", "encryption=none", "")):
        done = run(*panel, "set", node, *db, setting)
        assert done.returncode == 0 and (said in done.stderr if said else not done.stderr), (setting, done)


def test_two_nodes_in_one_place_are_warned_of(weir_bin, tmp_path):
    panel, db = [weir_bin, "panel", "node"], ["--db", str(tmp_path / "panel.db")]

    def place(kind, host, port, *more):
        done = run(*panel, "add", *db, "--type", kind, "--host", host, "--port", port, *more)
        assert done.returncode == 0, done
        return [line for line in done.stderr.splitlines() if "warning" in line]

    assert place("vless", "h.test", "443") == place("vless", "h.test", "444") == place("vless", "i.test", "443") == []
    assert place("hysteria2", "h.test", "443") == []  # UDP
    assert place("trojan", "H.test", "443") == ["weir panel: node 5: warning: H.test:443 is the place of node 1, too; "
                                                "one of them wants another port"]
    assert place("vless", "h.test", "444", "enabled=false") == []
    assert "h.test:444 is the place of node 2, too" in run(*panel, "set", "6", *db, "enabled=true").stderr
    assert "warning" not in run(*panel, "set", "5", *db, "port=445").stderr
