"""What a newcomer types first: the demonstration, and the commands of the README in their order."""
import functools
import json
import os
import re
import shlex
import subprocess
import urllib.parse

import pytest
from weirtest import traffic
from weirtest.proc import free_port, wait_until

pytestmark = [pytest.mark.one_thread]

README = os.path.join(os.path.dirname(__file__), "..", "..", "README.md")


def run(*command, cwd=None):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=cwd, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.quick
def test_the_demonstration_ends_with_equal_counts_and_leaves_nothing(weir_bin, tmp_path):
    env = dict(os.environ, TMPDIR=str(tmp_path))
    done = subprocess.run([weir_bin, "demo"], capture_output=True, text=True, timeout=120, env=env, check=False)
    assert done.returncode == 0, done.stderr
    sent, received = re.search(r"client +sent (\d+), received (\d+) bytes", done.stdout).groups()
    assert f"panel       counts {sent} up, {received} down: equal, to the byte" in done.stdout
    assert int(sent) > 0 and int(received) > 0
    assert "share link  vless://" in done.stdout and "\u2588" in done.stdout
    assert "weir demo --stay" in done.stdout
    assert not os.listdir(tmp_path)


def test_a_demonstration_that_stays_serves_its_link_until_it_is_told_to_stop(weir_bin, procs, target):
    demo = procs.start("demo", [weir_bin, "demo", "--stay"])
    wait_until("the demonstration to stay", lambda: "stop them with Ctrl-C" in demo.text(), 60)
    link = re.search(r"share link  (\S+)", demo.text())[1]
    port = free_port()
    procs.start("connect", [weir_bin, "connect", link, "-l", f"127.0.0.1:{port}"]).wait_listening(port)
    traffic.download(traffic.Way(port), target, 300000, 1)
    assert demo.stop() == 0


class Machine:
    """Runs lines of the README as they stand, with ports that are free here."""

    def __init__(self, procs, weir_bin):
        self.procs, self.folder = procs, procs.folder
        self.panel, self.port, self.socks = free_port(), free_port(), free_port()
        self.token = None
        self.words = {"weir": weir_bin, "--port": f"--port={self.port}", "443": None,
                      "node.example.net": "127.0.0.1", "127.0.0.1:8080": f"127.0.0.1:{self.panel}",
                      "http://127.0.0.1:8080": f"http://127.0.0.1:{self.panel}"}

    def command(self, line):
        words = [self.words.get(w, w) for w in shlex.split(line, comments=True)]
        return [self.token if w == "TOKEN" else w for w in words if w]

    def run(self, line):
        return run(*self.command(line), cwd=self.folder)

    def start(self, name, command):
        return self.procs.start(name, command, cwd=self.folder)


OPERATIONS = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "manual", "operations.md")


def test_the_nodes_of_the_manual_get_links_with_all_that_clients_need(weir_bin, tmp_path):
    """Its examples of REALITY with Vision and of VLESS Encryption, as they stand."""
    def do(line, **words):
        return run(weir_bin, *[functools.reduce(lambda w, k: w.replace(k, words[k]), words, w) for w in shlex.split(line)[1:]], cwd=tmp_path)

    def query(link):
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(link.strip()).query))

    with open(OPERATIONS, encoding="utf-8") as f:
        section = f.read().split("## REALITY, Vision, VLESS Encryption")[1].split("\n## ")[0]
    reality, sealed = [b.replace("\\\n", "").splitlines() for b in re.findall(r"```\n(.*?)```", section, re.S)]
    do("weir panel user add --db panel.db")
    do("weir panel node add --db panel.db --type vless --port 80 --host h")  # the manual's first
    do(reality[0])
    link = query(do(reality[1]))
    assert link["security"] == "reality" and link["flow"] == "xtls-rprx-vision" and link["sni"] == "www.example.com"
    assert link["pbk"] and link["sid"]
    pair = dict(line.split(": ") for line in do(sealed[0]).splitlines() if ": " in line)
    do(sealed[1], DECRYPTION=pair["decryption"])
    link = query(do(sealed[2]))
    assert link["encryption"] == pair["encryption"] and ".xorpub." in link["encryption"]


def readme_lines():
    with open(README, encoding="utf-8") as f:
        block = re.search(r"## Run it\n\n```\n(.*?)```", f.read(), re.S)[1]
    return [line for line in block.splitlines() if line]


def test_the_commands_of_the_readme_in_their_order(weir_bin, procs, target):
    m = Machine(procs, weir_bin)
    lines = readme_lines()
    assert [" ".join(line.split()[:3]) for line in lines] == [
        "weir panel serve", "weir panel node", "weir panel user", "weir config init", "weir check -c",
        "weir run -c", "weir connect \"$(weir", "curl -x socks5h://127.0.0.1:1080"]
    serve, node, user, init, check, serve_node, connect = lines[:7]

    m.start("panel", m.command(serve)).wait_listening(m.panel)
    m.token = re.search(r"token: (\S+)", m.run(node))[1]
    m.run(user)
    m.run(init)
    assert "good: 1 node, 0 warnings" in m.run(check)
    config = os.path.join(m.folder, "config.json")
    with open(config, encoding="utf-8") as f:
        text = json.load(f)
    # What the README says of one machine, and not the folder of a real node.
    text["Nodes"][0].update(AllowPrivate=True, ListenIP="127.0.0.1", PushInterval=1)
    text["State"] = {"Dir": os.path.join(m.folder, "state")}
    with open(config, "w", encoding="utf-8") as f:
        json.dump(text, f)
    m.start("node", m.command(serve_node)).wait_listening(m.port)
    link = m.run(re.search(r"\$\((.*?)\)", connect)[1]).strip()
    m.start("connect", [weir_bin, "connect", link, "-l", f"127.0.0.1:{m.socks}"]).wait_listening(m.socks)
    up, down = traffic.download(traffic.Way(m.socks), target, 300000, 1)
    row = rf"^1 .* {up} +{down} +ada$"
    wait_until("the traffic to be with the panel",
               lambda: re.search(row, m.run("weir panel user list --db panel.db"), re.M), 20, 0.3)
