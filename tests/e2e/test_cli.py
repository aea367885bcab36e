"""The small commands: what they print, where, and with which status (config.md G.11, G.14)."""
import base64
import contextlib
import hashlib
import json
import os
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from weirtest.panel import Panel
from weirtest.proc import free_port

pytestmark = [pytest.mark.quick, pytest.mark.one_thread]

NODE = {"ApiHost": "https://panel.test/node", "ApiKey": "a-very-long-secret", "NodeID": 7}


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)


@pytest.fixture
def config(tmp_path):
    """Writes a configuration, of a dict or as text, and gives its path."""

    def write(content, name="weir.json", mode=0o600):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        os.chmod(path, mode)
        return str(path)

    return write


def test_check_says_good_on_standard_output_with_status_0(weir_bin, config):
    path = config({"Nodes": [NODE]})
    done = run(weir_bin, "check", "-c", path)
    assert done.returncode == 0
    assert done.stdout == f"{path}: good: 1 node, 0 warnings\n"
    assert done.stderr == ""


@pytest.mark.parametrize("form", [["-c"], ["--config"]])
def test_options_take_their_value_in_every_form(weir_bin, config, form):
    path = config({"Nodes": [NODE]})
    joined = form[0] + ("=" if form[0].startswith("--") else "") + path
    for arguments in [*form, path], [joined]:
        assert run(weir_bin, "check", *arguments).returncode == 0
        assert run(weir_bin, "config", "validate", *arguments).returncode == 0


class Documents(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/slow":
            # Never silent for long, never done: only a limit on the whole ends it.
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            with contextlib.suppress(OSError):
                for _ in range(150):
                    self.wfile.write(b" ")
                    time.sleep(0.2)
            return
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/one?key=secret")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = {"/one?key=secret": json.dumps([NODE, dict(NODE, NodeID=8)]).encode(),
                "/huge": b" " * (1 << 20) + b"[]"}.get(self.path)
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_):
        pass


@pytest.fixture
def documents():
    server = ThreadingHTTPServer(("127.0.0.1", free_port()), Documents)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_an_include_may_be_an_address(weir_bin, config, documents):
    path = config({"AllowHttpInclude": True, "Nodes": [{"Include": f"{documents}/moved"}]})
    done = run(weir_bin, "check", "-c", path)
    assert (done.returncode, done.stdout) == (0, f"{path}: good: 2 nodes, 0 warnings\n")


@pytest.mark.parametrize("document, why", [("none", "the server says 404"), ("huge", "larger than the limit"),
                                           ("slow", "deadline passed")])
def test_an_address_that_cannot_be_included_is_told(weir_bin, config, documents, document, why):
    path = config({"AllowHttpInclude": True, "Nodes": [{"Include": f"{documents}/{document}"}]})
    began = time.monotonic()
    done = run(weir_bin, "check", "-c", path)
    assert done.returncode == 78
    if document == "none":
        # Whoever starts the node again may find it there.
        assert run(weir_bin, "run", "-c", path).returncode == 1
    assert f'Nodes[0].Include: cannot read "{documents}/{document}": {why}' in done.stderr
    assert time.monotonic() - began < 20


def test_check_tells_all_problems_at_once_with_status_78(weir_bin, config):
    path = config('{\n  "Nodes": [\n    { "ApiKey": ["s3cret"], "NodeID": 0, "Timout": 3 },\n  ],\n  "Workers": "many"\n}')
    done = run(weir_bin, "check", "-c", path)
    assert done.returncode == 78
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert f"{path}:3:42: Nodes[0].Timout: warning: unknown key, ignored; did you mean Timeout?" in lines
    assert f"{path}:5:14: Workers: expected a whole number, found \"many\"" in lines
    assert any(":3:17: Nodes[0].ApiKey: expected text" in line for line in lines)
    assert any("Nodes[0].NodeID: \"0\" is out of bounds" in line for line in lines)
    assert "s3cret" not in done.stderr
    run_it = run(weir_bin, "run", "-c", path)
    assert run_it.returncode == 78 and run_it.stderr == done.stderr


def test_the_form_of_the_user_list_is_json(weir_bin, config):
    """Another program's word for another form is taken with a warning; a word of nobody's is not."""
    done = run(weir_bin, "check", "-c", config({"Nodes": [dict(NODE, UserListFormat="json")]}))
    assert done.returncode == 0 and "0 warnings" in done.stdout
    done = run(weir_bin, "check", "-c", config({"Nodes": [dict(NODE, UserListFormat="msgpack")]}))
    assert done.returncode == 0 and "1 warning" in done.stdout
    assert 'Nodes[0].UserListFormat: warning: ' in done.stderr and "msgpack" in done.stderr
    done = run(weir_bin, "check", "-c", config({"Nodes": [dict(NODE, UserListFormat="xml")]}))
    assert done.returncode == 78 and "msgpack" in done.stderr and "json" in done.stderr


def test_a_certificate_that_cannot_be_read_is_warned_of(weir_bin, config, cert):
    files = {"CertMode": "file", "CertFile": "/nowhere/cert.pem", "KeyFile": cert.key}
    done = run(weir_bin, "check", "-c", config({"Nodes": [dict(NODE, CertConfig=files)]}))
    assert done.returncode == 0 and "good: 1 node, 1 warning" in done.stdout
    assert "Nodes[0].CertConfig.CertFile: warning: /nowhere/cert.pem cannot be read: No such file" in done.stderr


def test_every_class_of_failure_has_its_status(weir_bin, config, tmp_path):
    assert run(weir_bin, "check", "-c", str(tmp_path / "missing")).returncode == 78
    assert run(weir_bin, "check", "-c", config("")).returncode == 78
    assert run(weir_bin, "check", "-c", config("[" * 100)).returncode == 78
    assert run(weir_bin, "check", "--nonsense").returncode == 2
    assert run(weir_bin, "check", "-c").returncode == 2
    assert run(weir_bin, "config", "fly").returncode == 2
    assert run(weir_bin, "link", "show", "ss://x").returncode == 1
    for command in ["check"], ["config"], ["config", "show"], ["x25519"], ["reality"], ["uuid"], ["vlessenc"], ["link"], ["link", "show"]:
        done = run(weir_bin, *command, "-h")
        assert done.returncode == 0
        assert done.stdout.startswith("usage: weir " + command[0])
        assert done.stderr == ""


def test_a_file_open_to_others_is_warned_of(weir_bin, config):
    done = run(weir_bin, "check", "-c", config({"Nodes": [NODE]}, mode=0o644))
    assert done.returncode == 0
    assert "chmod 600" in done.stderr


def test_show_masks_every_secret_and_resolves_includes(weir_bin, config):
    config([{**NODE, "CertConfig": {"DNSEnv": {"TOKEN": "short"}}}], name="nodes.json")
    done = run(weir_bin, "config", "show", "-c", config({"Nodes": [{"Include": "nodes.json"}]}))
    assert done.returncode == 0
    node = json.loads(done.stdout)["Nodes"][0]
    assert node["ApiKey"] == "a-ve***cret"
    assert node["CertConfig"]["DNSEnv"] == {"TOKEN": "***"}
    assert "IdleTimeout" not in node
    done = run(weir_bin, "config", "show", "-a", "-c", config({"Nodes": [NODE]}))
    assert json.loads(done.stdout)["Nodes"][0]["IdleTimeout"] == 300


def test_the_environment_holds_keys(weir_bin, config):
    path = config({"Nodes": [{**NODE, "ApiKey": "${WEIR_TEST_KEY}"}]})
    assert run(weir_bin, "check", "-c", path, env={"WEIR_TEST_KEY": "k"}).returncode == 0
    done = run(weir_bin, "check", "-c", path, env={})
    assert done.returncode == 78
    assert "the environment has no WEIR_TEST_KEY" in done.stderr


def keys(text):
    pairs = dict(line.split(": ") for line in text.splitlines())
    return pairs["Private key"], pairs["Public key"]


def test_x25519_prints_a_new_pair_that_belongs_together(weir_bin):
    first, second = run(weir_bin, "x25519"), run(weir_bin, "x25519")
    assert first.stdout != second.stdout
    private, public = keys(first.stdout)
    raw = base64.urlsafe_b64decode(private + "=")
    assert len(raw) == 32 and raw[0] & 7 == 0 and raw[31] & 0xC0 == 0x40
    assert keys(run(weir_bin, "x25519", "-i", private).stdout) == (private, public)


def test_vlessenc_prints_two_halves_that_belong_together(weir_bin):
    done = run(weir_bin, "vlessenc", "-m", "xorpub", "-k", "mlkem768", "-t", "0s", "-p", "100-50-60")
    server, client = (dict(line.split(": ") for line in done.stdout.splitlines())[k] for k in ("decryption", "encryption"))
    assert server.startswith("mlkem768x25519plus.xorpub.0s.100-50-60.")
    assert len(base64.urlsafe_b64decode(server.rsplit(".", 1)[1] + "==")) == 64
    assert client.startswith("mlkem768x25519plus.xorpub.1rtt.")
    assert len(base64.urlsafe_b64decode(client.rsplit(".", 1)[1] + "=")) == 1184
    assert run(weir_bin, "vlessenc", "-d", server).stdout == done.stdout
    assert run(weir_bin, "vlessenc", "-m", "plain").returncode == 2


def test_reality_derives_the_pair_of_a_node(weir_bin):
    done = run(weir_bin, "reality", "--node-id", "7", "--node-type=VLESS", "--token", "Abc")
    raw = bytearray(hashlib.sha256(b"7vlessAbc").digest())
    raw[0] &= 248
    raw[31] = raw[31] & 127 | 64
    assert keys(done.stdout)[0] == base64.urlsafe_b64encode(raw).decode().rstrip("=")
    assert run(weir_bin, "reality").stdout != run(weir_bin, "reality").stdout
    assert run(weir_bin, "reality", "--node-id", "7").returncode == 2
    assert run(weir_bin, "reality", "--node-id", "0", "--node-type", "a", "--token", "b").returncode == 2


def test_uuids_are_random_or_of_a_text(weir_bin):
    ids = run(weir_bin, "uuid", "-n", "100").stdout.split()
    assert len(set(ids)) == 100 and all(i[14] == "4" and i[19] in "89ab" for i in ids)
    assert run(weir_bin, "uuid", "example").stdout == "feb54431-301b-52bb-a6dd-e1e93e81bb9e\n"
    assert run(weir_bin, "uuid", "我爱🍉老师1314").stdout == "5783a3e7-e373-51cd-8642-c83782b807c5\n"
    assert run(weir_bin, "uuid", "x" * 31).returncode == 2


def test_links_are_taken_apart(weir_bin):
    done = run(weir_bin, "link", "show", "vless://alice@[2001:db8::1]:443?security=tls&type=ws&path=%2Fa&what=1#My%20node")
    assert done.returncode == 0
    assert json.loads(done.stdout) == {
        "protocol": "vless", "name": "My node", "host": "2001:db8::1", "port": 443, "uuid": "alice",
        "encryption": "none", "security": "tls", "network": "ws", "path": "/a"}
    assert "unknown parameter what" in done.stderr
    assert "█" in run(weir_bin, "link", "show", "--qr", "trojan://p@h:1").stdout


@pytest.fixture
def panel(procs):
    return Panel(procs)


def test_init_asks_the_panel_and_writes_a_configuration_that_is_good(weir_bin, panel, tmp_path):
    node = panel.add_node("trojan", 8443, tls_settings={"server_name": "t.example.com"})
    out = str(tmp_path / "weir.json")
    command = [weir_bin, "config", "init", "--url", panel.url, "--key", node["token"], f"--node={node['id']}", "--out", out]
    done = run(*command)
    assert done.returncode == 0, done.stderr
    assert os.stat(out).st_mode & 0o777 == 0o600
    written = json.load(open(out))["Nodes"][0]
    assert written["NodeType"] == "trojan"
    assert written["CertConfig"] == {"CertMode": "self", "CertDomain": "t.example.com"}
    assert run(weir_bin, "check", "-c", out).returncode == 0
    assert run(*command).returncode == 0
    assert len(list(tmp_path.glob("weir.json.bak.*"))) == 1


def test_init_asks_nobody_anything_also_when_told_to(weir_bin, panel, tmp_path):
    node = panel.add_node("vless", 8443, tls=0)
    written = []
    for i, more in enumerate(([], ["-i"], ["--interactive"])):
        out = tmp_path / f"{i}.json"
        done = run(weir_bin, "config", "init", "--url", panel.url, "--key", node["token"], "--node", str(node["id"]), "--out", str(out),
                   *more, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stderr
        written.append(out.read_text())
    assert written[0] == written[1] == written[2]


def test_init_takes_a_token_for_each_node(weir_bin, panel, tmp_path):
    nodes = [panel.add_node("vless", 8443 + i, tls=0) for i in range(2)]
    out = str(tmp_path / "weir.json")
    command = [weir_bin, "config", "init", "--url", panel.url, "--out", out]
    for node in nodes:
        command += ["--node", str(node["id"]), "--key", node["token"]]
    done = run(*command)
    assert done.returncode == 0, done.stderr
    assert [n["ApiKey"] for n in json.load(open(out))["Nodes"]] == [n["token"] for n in nodes]
    assert run(*command, "--node", "9").returncode == 2  # two tokens for three nodes


class Board(BaseHTTPRequestHandler):
    """Knows a node by V2board's path alone."""

    def do_GET(self):
        says = {"config": {"server_port": 8443, "host": "t.example.com", "server_name": "t.example.com"},
                "user": {"users": [{"id": 41, "uuid": "5d7e5e1a-6a52-4d4b-9b8b-0c6a3c1c9a11"}]}}
        said = next((v for k, v in says.items()
                     if self.path.startswith(f"/api/v1/server/UniProxy/{k}?node_type=trojan&node_id=3&")), None)
        self.send_response(200 if said else 404)
        self.end_headers()
        if said:
            self.wfile.write(json.dumps(said).encode())

    def log_message(self, *args):
        pass


def test_init_asks_a_panel_of_another_dialect(weir_bin, tmp_path):
    out = str(tmp_path / "weir.json")
    with ThreadingHTTPServer(("127.0.0.1", 0), Board) as board:
        threading.Thread(target=board.serve_forever, daemon=True).start()
        command = [weir_bin, "config", "init", "--url", f"http://127.0.0.1:{board.server_port}", "--key", "k" * 16, "--node", "3",
                   "--out", out]
        assert "the panel says 404" in run(*command).stderr
        done = run(*command, "--api-type", "xboard", "--type", "trojan")
        assert done.returncode == 0, done.stderr
        assert 'write one of v2sp, uniproxy' in run(*command, "--api-type", "whatever").stderr
        board.shutdown()
    assert json.load(open(out))["Nodes"][0]["ApiType"] == "xboard"
    assert "warning" not in run(weir_bin, "check", "-c", out).stderr


def test_init_writes_nothing_when_the_panel_says_no(weir_bin, panel, tmp_path):
    out = tmp_path / "weir.json"
    done = run(weir_bin, "config", "init", "--url", panel.url, "--key", "s3cret", "--node", "1", "--out", str(out))
    assert done.returncode == 1
    assert "the panel says 401" in done.stderr
    assert "s3cret" not in done.stderr
    assert not out.exists()


def test_make_gives_the_link_of_a_user(weir_bin, panel, config):
    user = panel.add_user(name="alice")
    node = panel.add_node("vless", 443, tls=2, flow="xtls-rprx-vision", tls_settings={"server_name": "www.example.com"})
    path = config({"Nodes": [{"ApiHost": panel.url, "ApiKey": node["token"], "NodeID": node["id"]}]})
    by_id = run(weir_bin, "link", "make", "-c", path, str(node["id"]), str(user["id"]), "--host", "n.example.com")
    assert by_id.returncode == 0, by_id.stderr
    assert run(weir_bin, "link", "make", "-c", path, str(node["id"]), user["uuid"], "--host=n.example.com").stdout == by_id.stdout
    parts = json.loads(run(weir_bin, "link", "show", by_id.stdout.strip()).stdout)
    assert parts["uuid"] == user["uuid"] and parts["host"] == "n.example.com" and parts["port"] == 443
    assert parts["security"] == "reality" and parts["flow"] == "xtls-rprx-vision"
    assert parts["server_name"] == "www.example.com" and len(parts["public_key"]) == 43
    assert run(weir_bin, "link", "make", "-c", path, str(node["id"]), "99").returncode == 1
    assert run(weir_bin, "link", "make", "-c", path, "9", "1").returncode == 1


@pytest.mark.parametrize("name,says", [("ss-manager", "usage: weir ss-manager"), ("ssmanager", "daemonize-pid"),
                                       ("ssserver", "usage: weir ss-manager"), ("yassp-server", "usage: weir yassp CONFIG")])
def test_called_like_a_program_that_it_stands_in_for_it_is_that(weir_bin, tmp_path, name, says):
    link = tmp_path / name
    link.symlink_to(weir_bin)
    done = run(link, "-h")
    assert done.returncode == 0 and says in done.stdout
    assert run(weir_bin, name, "-h").stdout == done.stdout
    assert run(link, "--no-such-option").returncode != 0


def test_called_v2bx_it_is_server_and_asks_uniproxy_panels(weir_bin, tmp_path):
    link, config = tmp_path / "V2bX", tmp_path / "config.json"
    link.symlink_to(weir_bin)
    config.write_text(json.dumps({"State": {"Dir": "/dev/null/none"}, "Nodes": [{"ApiHost": "http://127.0.0.1:1", "ApiKey": "k", "NodeID": 1}]}))
    word = "most uniproxy panels want it"  # the one dialect that does
    assert word in run(link, "server", "-c", config).stderr
    assert word not in run(weir_bin, "server", "-c", config).stderr
    if not any(map(os.path.exists, ("/etc/V2bX/config.json", "/etc/weir/config.json"))):  # it would run
        assert "/etc/V2bX/config.json" in run(link, "server").stderr and "V2bX/" not in run(weir_bin, "server").stderr
    assert word in run(link, "check", "-c", config).stderr and word not in run(weir_bin, "check", "-c", config).stderr
    assert word in run(link, "config", "show", "-c", config).stderr
    assert "/etc/V2bX/config.json" in run(link, "check").stderr
    assert "x25519" in run(link, "-h").stdout and run(link, "run").returncode == 2
    assert run(link, "-V").stdout == run(weir_bin, "version").stdout


def test_what_v2bx_serves_its_links_are_made_of(weir_bin, tmp_path):
    link, config = tmp_path / "V2bX", tmp_path / "config.json"
    link.symlink_to(weir_bin)
    with ThreadingHTTPServer(("127.0.0.1", 0), Board) as board:
        threading.Thread(target=board.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{board.server_port}"
        config.write_text(json.dumps({"Nodes": [{"ApiHost": url, "ApiKey": "k" * 16, "NodeID": 3, "NodeType": "trojan"}]}))
        done = run(link, "link", "make", "-c", config, "3", "41")
        other = run(weir_bin, "link", "make", "-c", config, "3", "41")
        made = run(link, "config", "init", "--url", url, "--key", "k" * 16, "--node", "3", "--type", "trojan", "--out", "-")
        board.shutdown()
    assert done.stdout.startswith("trojan://5d7e5e1a-6a52-4d4b-9b8b-0c6a3c1c9a11@"), done.stderr
    assert other.returncode == 1
    assert json.loads(made.stdout)["Nodes"][0]["ApiType"] == "uniproxy", made.stderr
