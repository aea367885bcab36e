"""The reference panel: P1 to P9 of panel-apis.md A.13, the admin API and the command line."""
import base64
import concurrent.futures
import gzip
import http.client
import http.server
import json
import os
import random
import re
import socket
import sqlite3
import subprocess
import threading
import time
import urllib.parse

import pytest
from weirtest import SLOW, SOAK
from weirtest.panel import ADMIN, ApiError, Panel
from weirtest.proc import free_port, wait_until

pytestmark = [pytest.mark.quick, pytest.mark.one_thread]

MIB = 1 << 20
PATHS = ["/", "/api", "/api/v2sp", "/api/v2sp/", "/own/path"]


@pytest.fixture(scope="module")
def panel(module_procs):
    return Panel(module_procs, options=["--node-path", "/own/path", "--rate", 0])


class Node:
    """A node of the panel, as the node's side sees it."""

    def __init__(self, panel, kind="vless", port=443, **fields):
        self.panel = panel
        self.row = panel.admin("POST", "/nodes", {"type": kind, "port": port, **fields})
        self.id, self.token = self.row["id"], self.row["token"]

    def url(self, action, path="/", **query):
        q = {"action": action, "node_id": self.id, "token": self.token, **query}
        return path + "?" + urllib.parse.urlencode({k: v for k, v in q.items() if v is not None},
                                                   quote_via=urllib.parse.quote)

    def ask(self, action, method="GET", body=None, headers=None, path="/", **query):
        return self.panel.call(method, self.url(action, path, **query), body, headers)

    def get(self, action, **query):
        status, _, data = self.ask(action, **query)
        assert status == 200, data
        return json.loads(data)

    def post(self, action, body, key=None):
        status, _, data = self.ask(action, "POST", body, {"Idempotency-Key": key} if key else {})
        return status, data


@pytest.fixture
def node(panel):
    n = Node(panel)
    yield n
    panel.admin("DELETE", f"/nodes/{n.id}")


@pytest.fixture
def user(panel):
    u = panel.add_user()
    yield u
    try:
        panel.remove_user(u["id"])
    except ApiError:
        pass  # the test has done it


def refused(answer, status):
    """The one form of all errors."""
    got, headers, data = answer
    assert got == status, data
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    body = json.loads(data)
    assert set(body) == {"message", "code", "details"} and body["message"] and body["code"] == status
    return headers


# --- P1, P2: who asks, for what ------------------------------------------------------------------

@pytest.mark.parametrize("path", PATHS)
def test_every_path_serves_the_five_actions(node, user, path):
    assert node.ask("config", path=path)[0] == 200
    assert node.ask("user", path=path)[0] == 200
    assert node.ask("alivelist", path=path)[0] == 200
    assert node.ask("push", "POST", {str(user["id"]): [1, 2]}, path=path)[0] == 200
    assert node.ask("alive", "POST", {str(user["id"]): ["192.0.2.1"]}, path=path)[0] == 200


def test_other_paths_actions_and_methods_are_refused(node):
    refused(node.ask("config", path="/elsewhere"), 404)
    refused(node.ask("config", path="/api/v2"), 404)
    refused(node.ask("fly"), 400)
    refused(node.ask(None), 400)
    refused(node.ask(""), 400)
    for action in "config", "user", "alivelist":
        for method in "POST", "PUT", "DELETE", "PATCH", "BREW":
            assert "GET" in refused(node.ask(action, method), 405)["Allow"]
    for action in "push", "alive":
        for method in "GET", "PUT", "DELETE":
            assert refused(node.ask(action, method), 405)["Allow"] == "POST"


def test_checks_come_in_order(panel, node):
    other = Node(panel)
    for action in "config", "push", "fly":
        method = "POST" if action == "push" else "GET"
        # The token before anything else.
        refused(node.ask(action, method, token=None), 401)
        refused(node.ask(action, method, token=""), 401)
        refused(node.ask(action, method, token="wrong", node_id="x", node_type="y"), 401)
        refused(node.ask(action, method, token=node.token[:-1], node_id=99999), 401)
        refused(node.ask(action, method, token=node.token + "\0"), 401)
        refused(node.ask(action, method, token=other.token), 401)
        for bad in None, "", "x", "-1", "1.0", "1 ", "0x1", "9" * 30:
            refused(node.ask(action, method, node_id=bad, node_type="y"), 400)
        refused(node.ask(action, method, node_id=99999, node_type="y"), 404)
    panel.change_node(node.id, enabled=False)
    refused(node.ask("fly", node_type="trojan"), 403)
    panel.change_node(node.id, enabled=True)
    refused(node.ask("config", node_type="trojan"), 400)
    refused(node.ask("config", node_type="x" * 100), 400)
    for right in "vless", "VLESS", " vless ", "":
        assert node.ask("config", node_type=right)[0] == 200


def test_type_names_of_other_panels_fit(panel):
    for kind, asked in [("vmess", "v2ray"), ("ss", "shadowsocks2022"), ("hy2", "hysteria"), ("socks", "socks5")]:
        assert Node(panel, kind).ask("config", node_type=asked)[0] == 200


def test_a_token_may_hold_any_character(panel):
    token = "a&b+c#d%e f/g?h=i"
    n = Node(panel, token=token)
    assert n.ask("config")[0] == 200
    refused(n.ask("config", token=token.replace("+", " ")), 401)


# --- P3: conditions ------------------------------------------------------------------------------

def test_config_and_user_are_conditional(node, user):
    for action in "config", "user":
        status, headers, data = node.ask(action)
        tag = headers["ETag"]
        assert re.fullmatch(r'"[0-9a-f]{16,}"', tag) and headers["Cache-Control"] == "no-store"
        for same in tag, "W/" + tag, tag.strip('"'), "*", f'"x", {tag}', f'"x",W/{tag} , "y"':
            status, headers, data = node.ask(action, headers={"If-None-Match": same})
            assert (status, data) == (304, b""), same
            assert headers["ETag"] == tag and headers["Cache-Control"] == "no-store"
        for other in '"x"', tag[:-2] + '"', tag.upper(), "", ",", '"', "W/":
            assert node.ask(action, headers={"If-None-Match": other})[0] == 200, other
    status, headers, _ = node.ask("alivelist", headers={"If-None-Match": "*"})
    assert status == 200 and headers["ETag"] is None


def test_the_tag_changes_with_every_byte(panel, node, user):
    seen = {node.ask("user")[1]["ETag"]}
    for change in {"speed_limit": 5}, {"device_limit": 2}, {"conn_limit": 3}, {"uuid": "another"}, {"enabled": False}:
        panel.change_user(user["id"], **change)
        tag = node.ask("user")[1]["ETag"]
        assert tag not in seen
        seen.add(tag)
    before = node.ask("config")[1]["ETag"]
    panel.change_node(node.id, settings={"flow": "xtls-rprx-vision"})
    assert node.ask("config")[1]["ETag"] != before
    panel.change_node(node.id, settings={"flow": None})
    assert node.ask("config")[1]["ETag"] == before


def test_head_is_get_without_the_body(panel, node):
    status, headers, data = node.ask("user", "HEAD")
    assert status == 200 and data == b"" and headers["ETag"] == node.ask("user")[1]["ETag"]


# --- P4: what nodes are told ---------------------------------------------------------------------

def test_config_is_the_superset(panel):
    n = Node(panel, "hysteria2", "20000-50000", host="h.example", settings={
        "obfs": "salamander", "obfs_password": "k7f2", "up_mbps": "100", "push_interval": 30, "server_name": "q.example",
        "routes": [{"id": 3, "match": ["regexp:x"], "action": "block"}],
        "options": {"ListenIP": "::", "LimitConfig": {"SpeedLimit": 50}}, "extra": {"new_field": True}})
    c = n.get("config")
    assert c["node_type"] == "hysteria2" and c["server_port"] == "20000-50000" and c["host"] == "h.example"
    assert c["obfs"] == "salamander" and c["obfs-password"] == c["obfs_password"] == "k7f2" and c["up_mbps"] == 100
    assert c["base_config"] == {"push_interval": 30, "pull_interval": 60} and c["new_field"] is True
    assert c["routes"] == [{"id": 3, "match": ["regexp:x"], "action": "block"}]
    assert isinstance(c["Log"], dict) and isinstance(c["Cores"], list)
    assert c["Nodes"] == [{"NodeID": n.id, "NodeType": "hysteria2", "ListenIP": "::", "LimitConfig": {"SpeedLimit": 50}}]
    plain = Node(panel).get("config")
    assert plain["server_port"] == 443 and plain["routes"] == []
    assert plain["network_settings"] == plain["networkSettings"] == {} == plain["tls_settings"]


def test_only_users_who_may_are_listed_in_order(panel, node):
    now = int(time.time())
    rows = [panel.add_user(), panel.add_user(enabled=False), panel.add_user(expire=now - 10),
            panel.add_user(quota=10, u=4, d=6), panel.add_user(expire=now + 1000), panel.add_user(quota=10, u=4, d=5)]
    listed = [u["id"] for u in node.get("user")["users"]]
    assert listed == sorted(listed)
    assert [u["id"] for u in rows if u["id"] in listed] == [rows[i]["id"] for i in (0, 4, 5)]
    # One more byte and the quota is reached.
    node.post("push", {str(rows[5]["id"]): [1, 0]})
    assert rows[5]["id"] not in [u["id"] for u in node.get("user")["users"]]
    panel.admin("DELETE", f"/traffic/{rows[5]['id']}")
    assert rows[5]["id"] in [u["id"] for u in node.get("user")["users"]]
    for row in rows:
        panel.remove_user(row["id"])


def test_a_user_leaves_the_list_when_his_time_is_over(panel, node):
    row = panel.add_user(expire=int(time.time()) + 1)
    assert row["id"] in [u["id"] for u in node.get("user")["users"]]
    wait_until("the user to expire", lambda: row["id"] not in [u["id"] for u in node.get("user")["users"]], 5)
    panel.remove_user(row["id"])


def test_user_fields_are_as_documented(panel, node):
    row = panel.add_user(uuid="correct-horse \"ä\\", speed_limit=0.5, device_limit=2, conn_limit=12)
    mine = next(u for u in node.get("user")["users"] if u["id"] == row["id"])
    assert mine == {"id": row["id"], "uuid": "correct-horse \"ä\\", "speed_limit": 0.5, "device_limit": 2, "conn_limit": 12}
    panel.change_node(node.id, settings={"user_usage": True})
    panel.change_user(row["id"], quota=1000, u=1, d=2)
    mine = next(u for u in node.get("user")["users"] if u["id"] == row["id"])
    assert (mine["u"], mine["d"], mine["transfer_enable"]) == (1, 2, 1000)
    panel.remove_user(row["id"])


# --- P5: push ------------------------------------------------------------------------------------

MALFORMED_PUSH = [
    b"", b"null", b"[]", b"{", b"x", b"{}{}", b'{"ID":[1,2],}', b'{"ID":[1]}', b'{"ID":[1,2,3]}', b'{"ID":[1,-2]}',
    b'{"ID":[1,2.5]}', b'{"ID":[1,"2"]}', b'{"ID":[1,null]}', b'{"ID":{"u":1}}', b'{"ID":7}', b'{"ID":null}',
    b'{"ID":[1,9223372036854775808]}', b'{"ID":[1e3,1]}', b'{"ID":[NaN,1]}', b'{"x":[1,2]}', b'{"-1":[1,2]}', b'{"":[1,2]}',
    b'{"ID":[1,2],"ID":[1,2]}', b"\xff\xfe", b'{"ID":[1,2]', b"[" * 10000, b'{"ID":' * 100, b"\0", b'<html>', b'data=1',
]


@pytest.mark.parametrize("wrong", MALFORMED_PUSH, ids=lambda b: b[:24].decode("latin1"))
def test_one_wrong_entry_and_nothing_is_applied(panel, node, user, wrong):
    uid = str(user["id"]).encode()
    body = wrong.replace(b"ID", uid)
    refused(node.ask("push", "POST", body), 400)
    if wrong.startswith(b'{"'):
        # A good entry before the wrong one, under a key: not applied, and the key not spent.
        good = b'{"%s":[1,1],' % str(user["id"] + 100000).encode() + body[1:]
        refused(node.ask("push", "POST", good, {"Idempotency-Key": "k"}), 400)
    assert panel.traffic(user["id"]) == (0, 0)
    assert node.post("push", {uid.decode(): [1, 2]}, "k")[0] == 200
    assert panel.traffic(user["id"]) == (1, 2)


def test_unknown_users_are_ignored_and_counted(panel, node, user):
    status, data = node.post("push", {str(user["id"]): [5, 6], "999999": [7, 8], "0": [1, 1]})
    assert status == 200 and json.loads(data)["ignored"] == 2
    assert panel.traffic(user["id"]) == (5, 6)
    row = panel.admin("GET", f"/nodes/{node.id}")
    assert (row["u"], row["d"], row["ignored"]) == (5, 6, 2)


def test_a_push_without_a_key_always_counts_and_one_with_a_key_once(panel, node, user):
    body = {str(user["id"]): [1, 10]}
    for _ in range(3):
        assert node.post("push", body)[0] == 200
    first = node.post("push", body, "a-key")
    for _ in range(3):
        assert node.post("push", body, "a-key") == first
    assert node.post("push", {str(user["id"]): [100, 100]}, "a-key") == first
    assert panel.traffic(user["id"]) == (4, 40)
    other = Node(panel)
    assert other.post("push", body, "a-key")[0] == 200  # keys are a node's own
    assert panel.traffic(user["id"]) == (5, 50)
    row = panel.admin("GET", f"/traffic/{user['id']}")
    assert row["nodes"] == [{"node": node.id, "u": 4, "d": 40}, {"node": other.id, "u": 1, "d": 10}]


def test_strange_keys_are_refused(node, user):
    for key in "x" * 256, "a b", "\x7f", "":
        refused(node.ask("push", "POST", {str(user["id"]): [1, 1]}, {"Idempotency-Key": key}), 400)
    assert node.ask("push", "POST", {}, {"Idempotency-Key": "x" * 255})[0] == 200


def test_of_repeats_at_the_same_time_one_counts(panel, node, user):
    body = {str(user["id"]): [1, 1]}
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda i: node.post("push", body, f"race-{i % 10}"), range(100)))
    assert {status for status, _ in answers} == {200}
    assert panel.traffic(user["id"]) == (10, 10)


def test_identical_pushes_without_a_key_can_be_ignored(procs):
    p = Panel(procs, options=["--ignore-repeats", 2])
    n, uid = Node(p), p.add_user()["id"]
    for _ in range(3):
        assert n.post("push", {str(uid): [1, 1]})[0] == 200
    assert n.post("push", {str(uid): [1, 2]})[0] == 200
    assert p.traffic(uid) == (2, 3)
    time.sleep(2.1)
    assert n.post("push", {str(uid): [1, 2]})[0] == 200
    assert p.traffic(uid) == (3, 5)


def test_a_push_that_could_not_be_stored_is_not_a_repeat(procs):
    p = Panel(procs, options=["--ignore-repeats", 60])
    n, uid = Node(p), p.add_user()["id"]
    body = {str(uid): [7, 70]}
    with sqlite3.connect(p.db, isolation_level=None) as db:
        db.execute("CREATE TRIGGER full BEFORE INSERT ON traffic BEGIN SELECT RAISE(ABORT, 'no room'); END")
        assert n.post("push", body)[0] >= 500
        db.execute("DROP TRIGGER full")
    assert n.post("push", body)[0] == 200
    assert p.traffic(uid) == (7, 70)
    assert n.post("push", body)[0] == 200
    assert p.traffic(uid) == (7, 70)


# --- P6, P7: online ------------------------------------------------------------------------------

def test_online_addresses_count_once_over_all_nodes(panel, node):
    limited, free = panel.add_user(device_limit=3), panel.add_user()
    a, b = str(limited["id"]), str(free["id"])
    other = Node(panel)
    assert a not in node.get("alivelist")["alive"]
    node.post("alive", {a: ["192.0.2.1", "192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"], b: ["192.0.2.3"], "999999": ["192.0.2.4"]})
    assert node.get("alivelist")["alive"] == {a: 2}
    other.post("alive", {a: ["192.0.2.2", "2001:db8::1"]})
    assert node.get("alivelist")["alive"] == {a: 3}
    node.post("alive", {a: ["192.0.2.9"]})  # replaces what this node said of that user
    assert other.get("alivelist")["alive"] == {a: 3}
    assert panel.admin("GET", f"/online/{b}")["devices"] == 1
    node.post("alive", {a: []})
    other.post("alive", {a: []})
    assert node.ask("alivelist")[2] == b'{"alive":{}}'
    panel.remove_user(limited["id"])
    panel.remove_user(free["id"])


@pytest.mark.parametrize("wrong", [
    b"", b"[]", b'{"ID":"192.0.2.1"}', b'{"ID":[1]}', b'{"ID":["192.0.2"]}', b'{"ID":["192.0.2.1:80"]}', b'{"ID":["[::1]"]}',
    b'{"ID":["fe80::1%eth0"]}', b'{"ID":[""]}', b'{"ID":["x"]}', b'{"x":["192.0.2.1"]}', b'{"ID":["192.0.2.1"]', b'{"ID":null}'])
def test_a_wrong_address_refuses_the_report(panel, node, wrong):
    row = panel.add_user(device_limit=1)
    uid = str(row["id"]).encode()
    body = wrong.replace(b"ID", uid)
    if body.startswith(b'{"'):
        body = b'{"%s":["192.0.2.7"],' % uid + body[1:]
    refused(node.ask("alive", "POST", body), 400)
    assert panel.admin("GET", f"/online/{row['id']}")["devices"] == 0
    panel.remove_user(row["id"])


def test_an_address_is_forgotten_after_its_time(procs):
    p = Panel(procs, options=["--alive-ttl", 1])
    n, uid = Node(p), p.add_user(device_limit=1)["id"]
    n.post("alive", {str(uid): ["192.0.2.1"]})
    assert n.get("alivelist")["alive"] == {str(uid): 1}
    wait_until("the address to be forgotten", lambda: n.get("alivelist")["alive"] == {}, 5)


# --- P8, P9: limits ------------------------------------------------------------------------------

def test_a_body_of_32_mib_is_fine_and_a_longer_one_is_not(panel, node, user):
    body = json.dumps({str(user["id"]): [1, 1]}).encode()
    assert node.ask("push", "POST", body + b" " * (32 * MIB - len(body)))[0] == 200
    assert panel.traffic(user["id"]) == (1, 1)
    c = http.client.HTTPConnection("127.0.0.1", panel.port, timeout=20 * SLOW)
    c.putrequest("POST", node.url("push"))
    c.putheader("Content-Length", str(32 * MIB + 1))
    c.endheaders()  # the refusal needs no byte of it
    answer = c.getresponse()
    refused((answer.status, answer.headers, answer.read()), 413)
    c.close()
    # Chunked, of unknown length.
    c = http.client.HTTPConnection("127.0.0.1", panel.port, timeout=60 * SLOW)
    c.request("POST", node.url("push"), iter([body] + [b" " * MIB] * 32), {"Transfer-Encoding": "chunked"}, encode_chunked=True)
    answer = c.getresponse()
    refused((answer.status, answer.headers, answer.read()), 413)
    c.close()
    assert panel.traffic(user["id"]) == (1, 1)


def test_a_chunked_body_is_a_body(panel, node, user):
    c = http.client.HTTPConnection("127.0.0.1", panel.port, timeout=20 * SLOW)
    c.request("POST", node.url("push"), iter([b'{"%d":' % user["id"], b"[1,", b"2]}"]), {"Transfer-Encoding": "chunked"},
              encode_chunked=True)
    assert c.getresponse().status == 200
    c.close()
    assert panel.traffic(user["id"]) == (1, 2)


def test_a_million_entries_are_judged_and_their_memory_given_back(panel, node, user):
    entries = ",".join(f'"{1000000 + i}":[0,0]' for i in range(1000000))
    body = f'{{{entries},"{user["id"]}":[3,4]}}'.encode()
    before = panel.proc.memory_kb()
    status, data = node.post("push", body)
    assert status == 200 and json.loads(data) == {"message": "ok", "applied": 1, "ignored": 1000000}
    assert panel.traffic(user["id"]) == (3, 4)
    assert panel.proc.memory_kb() - before < 300 * 1024 * SLOW


def test_many_large_bodies_at_once_do_not_fill_the_memory(panel, node):
    def large(i):
        try:
            return node.ask("push", "POST", b'{"999999":[0,0]}' + b" " * (30 * MIB))[0]
        except (ConnectionError, http.client.HTTPException):
            return 0  # refused while it was still sending

    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        statuses = set(pool.map(large, range(24)))
    assert statuses <= {200, 503, 0}
    assert panel.proc.memory_kb() < 600 * 1024 * SLOW
    assert node.ask("config")[0] == 200


def test_a_node_may_ask_a_hundred_times_a_second(procs):
    p = Panel(procs)
    n, other = Node(p), Node(p)
    c = http.client.HTTPConnection("127.0.0.1", p.port, timeout=20 * SLOW)
    start, answers = time.monotonic(), []
    while time.monotonic() - start < 3 and 429 not in answers:
        c.request("GET", n.url("alivelist"))
        r = c.getresponse()
        answers.append(r.status)
        last = r.headers, r.read()
    took = time.monotonic() - start
    assert answers.count(200) == 100 or took > 1
    assert int(refused((429, *last), 429)["Retry-After"]) >= 1
    assert other.ask("config")[0] == 200  # each node has its own
    time.sleep(1.1)
    assert n.ask("config")[0] == 200


def test_answers_are_compressed_when_asked(panel, node, user):
    for action in "config", "user", "alivelist":
        _, _, plain = node.ask(action)
        status, headers, data = node.ask(action, headers={"Accept-Encoding": "deflate, gzip;q=0.5"})
        assert status == 200 and headers["Content-Encoding"] == "gzip" and gzip.decompress(data) == plain
        status, headers, data = node.ask(action, headers={"Accept-Encoding": "gzip;q=0, *;q=0"})
        assert headers["Content-Encoding"] is None and data == plain
    status, headers, _ = node.ask("user", headers={"Accept-Encoding": "gzip"})
    assert node.ask("user", headers={"Accept-Encoding": "gzip", "If-None-Match": headers["ETag"]})[0] == 304


def test_totals_saturate(panel, node, user):
    top, uid = 2**63 - 1, str(user["id"])
    assert node.post("push", {uid: [top, top - 1]})[0] == 200
    for _ in range(3):
        assert node.post("push", {uid: [1, 1]})[0] == 200
    assert panel.traffic(user["id"]) == (top, top)
    assert node.post("push", {uid: [top, top]})[0] == 200
    assert panel.admin("GET", f"/traffic/{uid}")["nodes"] == [{"node": node.id, "u": top, "d": top}]


# --- kill -9 -------------------------------------------------------------------------------------

def push_until_dead(n, uid, done, sent, lock, stop):
    """Pushes one byte at a time under fresh keys; an answered one is done."""
    while not stop.is_set():
        key = f"{threading.get_ident()}-{random.getrandbits(64)}"
        with lock:
            sent.add(key)
        try:
            status, _ = n.post("push", {uid: [1, 2]}, key)
        except (OSError, http.client.HTTPException):
            return
        if status == 200:
            with lock:
                done.add(key)


def test_kill_9_neither_loses_nor_doubles(procs):
    p = Panel(procs, options=["--rate", 0])
    n, uid = Node(p), str(p.add_user()["id"])
    done, sent, lock = set(), set(), threading.Lock()
    for _ in range(30 if SOAK else 5):
        stop = threading.Event()
        threads = [threading.Thread(target=push_until_dead, args=(n, uid, done, sent, lock, stop)) for _ in range(4)]
        for t in threads:
            t.start()
        time.sleep(random.uniform(0.05, 0.4))
        p.proc.kill()
        stop.set()
        for t in threads:
            t.join()
        p.start()
        up, down = p.traffic(uid)
        assert len(done) <= up <= len(sent) and down == 2 * up
        # The node repeats what it has no answer to, and what it has, for good measure.
        for key in sent:
            assert n.post("push", {uid: [1, 2]}, key)[0] == 200
        done = set(sent)
        assert p.traffic(uid) == (len(sent), 2 * len(sent))
    assert len(sent) > 20


# --- a large panel -------------------------------------------------------------------------------

@pytest.mark.alone
def test_a_hundred_thousand_users_cost_little(procs, weir_bin):
    p = Panel(procs, options=["--rate", 0])
    n = Node(p)
    made = p.admin("POST", "/users", [{"name": f"user {i}", "device_limit": i % 3} for i in range(100000)])["users"]
    assert len(made) == 100000
    users = n.get("user")["users"]
    assert [u["id"] for u in users] == [u["id"] for u in made]
    assert [u["uuid"] for u in users] == [u["uuid"] for u in made]

    _, headers, plain = n.ask("user")
    _, _, packed = n.ask("user", headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(packed) == plain
    start = time.monotonic()
    for _ in range(200):
        assert n.ask("user", headers={"If-None-Match": headers["ETag"]})[0] == 304
    assert (time.monotonic() - start) / 200 < 0.01 * SLOW
    start = time.monotonic()
    for _ in range(10):
        assert n.ask("user")[2] == plain
    assert (time.monotonic() - start) / 10 < 0.1 * SLOW

    # Everybody has moved something and is online.
    start = time.monotonic()
    for first in range(0, 100000, 5000):
        batch = made[first:first + 5000]
        assert n.post("push", {str(u["id"]): [u["id"], 1] for u in batch}, f"batch-{first}")[0] == 200
    assert time.monotonic() - start < 20 * SLOW
    assert n.post("alive", {str(u["id"]): [f"10.{u['id'] >> 16}.{u['id'] >> 8 & 255}.{u['id'] & 255}"] for u in made})[0] == 200
    alive = n.get("alivelist")["alive"]
    assert len(alive) == sum(u["device_limit"] > 0 for u in made) and set(alive.values()) == {1}
    assert n.ask("user", headers={"If-None-Match": headers["ETag"]})[0] == 304  # traffic is no news to nodes

    # The command line changes one of them beside the running server.
    subprocess.run([weir_bin, "panel", "user", "set", str(made[500]["id"]), "speed=7", "--db", p.db], check=True)
    status, _, data = n.ask("user", headers={"If-None-Match": headers["ETag"]})
    assert status == 200 and json.loads(data)["users"][500]["speed_limit"] == 7
    # In pages of the admin API, each once.
    seen, after = [], 0
    while after is not None:
        page = p.admin("GET", f"/users?limit=1000&after={after}")
        seen += [u["id"] for u in page["users"]]
        after = page["next"]
    assert seen == [u["id"] for u in made]
    assert p.proc.memory_kb() < 700 * 1024 * SLOW


# --- malformed everything ------------------------------------------------------------------------

GARBAGE = [
    b"\n", b"\0" * 100, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET /?action=%zz&node_id=%00&token=%ff%fe HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
    b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n", b"POST /?action=push HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n",
    b"GET /admin/v1/users/../../x HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /admin/v1/users%00 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n" * 50, b"POST /?action=push HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
]


def test_garbage_on_the_wire_ends_its_connection_only(panel, node):
    for garbage in GARBAGE + [random.Random(i).randbytes(500) for i in range(50)]:
        with socket.create_connection(("127.0.0.1", panel.port), timeout=5) as s:
            try:
                s.sendall(garbage)
                s.shutdown(socket.SHUT_WR)
                s.settimeout(2)
                while s.recv(65536):
                    pass
            except OSError:
                pass
    assert panel.proc.alive()
    assert node.ask("config")[0] == 200


def test_requests_may_come_byte_by_byte(panel, node):
    request = f"GET {node.url('config')} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", panel.port), timeout=20) as s:
        for i in range(len(request)):
            s.sendall(request[i:i + 1])
        data = b""
        while chunk := s.recv(65536):
            data += chunk
    assert data.startswith(b"HTTP/1.1 200")


def test_an_encoded_body_is_refused(node):
    refused(node.ask("push", "POST", gzip.compress(b"{}"), {"Content-Encoding": "gzip"}), 415)


def test_a_browser_gets_a_page_and_a_program_an_error(panel):
    status, headers, data = panel.call("GET", "/", headers={"Accept": "text/html,*/*"})
    assert status == 200 and headers["Content-Type"].startswith("text/html") and b"panel" in data
    refused(panel.call("GET", "/", headers={"Accept": "*/*"}), 401)


# --- the admin API -------------------------------------------------------------------------------

def test_admin_needs_the_token(panel):
    for headers in {}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {ADMIN}"}, {"Authorization": "Bearer "}:
        answer = refused(panel.call("GET", "/admin/v1/users", headers=headers), 401)
        assert answer["WWW-Authenticate"] == "Bearer"
    refused(panel.call("DELETE", "/admin/v1/users/1", headers={}), 401)
    refused(panel.call("GET", "/admin/v1/nothing", headers={}), 401)


def admin(panel, method, path, body=None):
    return panel.call(method, "/admin/v1" + path, body, {"Authorization": f"Bearer {ADMIN}"})


def test_admin_paths_and_methods(panel, user):
    for path in "/nothing", "/users/x", "/users/-1", "/users/0", "/users/1/2", "/user", "/":
        refused(admin(panel, "GET", path), 404)
    for path in "/users/999999", "/nodes/999999", "/traffic/999999":
        refused(admin(panel, "GET", path), 404)
    for path in "/users/999999", "/nodes/999999":
        refused(admin(panel, "PATCH", path, {}), 404)
        refused(admin(panel, "DELETE", path), 404)
    assert refused(admin(panel, "POST", f"/users/{user['id']}", {}), 405)["Allow"] == "GET, HEAD, PATCH, DELETE"
    assert refused(admin(panel, "DELETE", "/users"), 405)["Allow"] == "GET, HEAD, POST"
    assert refused(admin(panel, "POST", "/traffic", {}), 405)["Allow"] == "GET, HEAD"
    for query in "after=x", "after=-1", "limit=0", "limit=1001", "limit=x":
        refused(admin(panel, "GET", "/users?" + query), 400)


@pytest.mark.parametrize("body", [
    b"", b"null", b"7", b"{", b"\xff", b'{"name":1}', b'{"name":"\\u0000"}', b'{"uuid":""}', b'{"speed_limit":-1}', b'{"speed_limit":1e99}',
    b'{"device_limit":"x"}', b'{"quota":99999999999999999999}', b'{"expire":"never"}', b'{"unknown":1}', b'{"id":0}', b'{"id":"x"}',
    b'[{"name":"ok"},{"uuid":""}]', b"[7]", b'{"name":"' + b"x" * 200 + b'"}', b'[' * 5000])
def test_admin_refuses_wrong_users(panel, body):
    before = len(panel.admin("GET", "/users?limit=1000")["users"])
    refused(admin(panel, "POST", "/users", body), 400)
    assert len(panel.admin("GET", "/users?limit=1000")["users"]) == before


def test_what_must_be_unique_conflicts(panel, user):
    refused(admin(panel, "POST", "/users", {"uuid": user["uuid"]}), 409)
    refused(admin(panel, "POST", "/users", {"id": user["id"]}), 409)
    row = panel.add_user()
    refused(admin(panel, "PATCH", f"/users/{row['id']}", {"uuid": user["uuid"]}), 409)
    panel.remove_user(row["id"])
    n = Node(panel, token="taken-token")
    refused(admin(panel, "POST", "/nodes", {"type": "vless", "port": 1, "token": "taken-token"}), 409)
    panel.admin("DELETE", f"/nodes/{n.id}")


def test_a_removed_users_id_is_not_given_again(panel):
    first = panel.add_user()["id"]
    panel.remove_user(first)
    second = panel.add_user()["id"]
    assert second > first
    panel.remove_user(second)


def test_changes_reach_nodes_at_once(panel, node, user):
    assert user["id"] in [u["id"] for u in node.get("user")["users"]]
    panel.remove_user(user["id"])
    assert user["id"] not in [u["id"] for u in node.get("user")["users"]]
    panel.change_node(node.id, port=8443, settings={"network": "ws", "network_settings": {"path": "/x"}})
    c = node.get("config")
    assert (c["server_port"], c["network"], c["networkSettings"]) == (8443, "ws", {"path": "/x"})
    panel.change_node(node.id, token="another-token")
    refused(node.ask("config"), 401)
    node.token = "another-token"
    assert node.ask("config")[0] == 200


# --- the command line ----------------------------------------------------------------------------

@pytest.fixture
def weir(weir_bin, tmp_path):
    def run(*arguments, status=0, stdin=None):
        done = subprocess.run([weir_bin, "panel", *map(str, arguments), "--db", str(tmp_path / "cli.db")], input=stdin,
                              capture_output=True, text=True, timeout=60 * SLOW)
        assert done.returncode == status, done
        said = [line for line in done.stderr.splitlines() if not re.search(": (weir run does not serve this|warning): ", line)]
        assert bool(said) == bool(status), done
        return done.stdout
    return run


def test_commands_beside_a_server_reach_it_and_outlive_it(procs, weir_bin):
    p = Panel(procs, options=["--rate", 0])

    def command(*words):
        done = subprocess.run([weir_bin, "panel", *words, "--db", p.db], capture_output=True, text=True, check=True)
        return dict(line.split(": ") for line in done.stdout.splitlines())

    nodes = [command("node", "add", "--type", "vless", "--port", str(443 + i)) for i in range(4)]
    user = command("user", "add")
    for n in nodes:  # each is known at the next request
        assert p.call("GET", f"/?action=config&node_id={n['id']}&token={n['token']}")[0] == 200
        assert p.call("POST", f"/?action=push&node_id={n['id']}&token={n['token']}", {user["id"]: [1, 2]})[0] == 200
    command("user", "add")  # the file is not taken away from under the server
    assert p.traffic(user["id"]) == (4, 8)
    p.proc.stop()
    p.start()
    assert p.traffic(user["id"]) == (4, 8)


def test_nodes_by_command(weir):
    out = weir("node", "add", "--type", "ss", "--port", 8388, "--host", "n.example", "--set", "cipher=aes-128-gcm", "up_mbps=5")
    fields = dict(line.split(": ") for line in out.splitlines())
    assert set(fields) == {"id", "token"}
    row = json.loads(weir("node", "show", fields["id"], "--json"))
    assert row["token"] == fields["token"] and row["type"] == "shadowsocks"
    assert row["settings"] == {"cipher": "aes-128-gcm", "up_mbps": 5}
    weir("node", "set", fields["id"], "port=9000", "tls_settings.server_name=x", "up_mbps=", "--name=first")
    row = json.loads(weir("node", "show", fields["id"], "--json"))
    assert row["port"] == 9000 and row["name"] == "first"
    assert row["settings"] == {"cipher": "aes-128-gcm", "tls_settings": {"server_name": "x"}}
    assert fields["id"] in weir("node", "list") and len(json.loads(weir("node", "list", "--json"))) == 1
    weir("node", "rm", fields["id"])
    weir("node", "show", fields["id"], status=1)
    assert json.loads(weir("node", "list", "--json")) == []


def test_a_node_from_a_file(weir, tmp_path):
    path = tmp_path / "node.json"
    path.write_text(json.dumps({"type": "trojan", "port": 443, "settings": {"network": "ws"}}))
    out = weir("node", "add", "--json", path, "--port", 444, "server_name=s.example")
    row = json.loads(weir("node", "show", out.splitlines()[0].split()[1], "--json"))
    assert row["port"] == 444 and row["settings"] == {"network": "ws", "server_name": "s.example"}


def test_users_by_command(weir):
    out = weir("user", "add", "--name", "Ann", "--speed", "0.5", "--devices", 3, "--quota", "10GB", "--expire", "2030-01-01")
    uid = dict(line.split(": ") for line in out.splitlines())["id"]
    row = json.loads(weir("user", "show", uid, "--json"))
    assert (row["name"], row["speed_limit"], row["device_limit"], row["quota"]) == ("Ann", 0.5, 3, 10**10)
    assert row["expire"] == 1893542399
    weir("user", "set", uid, "enabled=no", "speed=", "name=Bob")
    row = json.loads(weir("user", "show", uid, "--json"))
    assert (row["enabled"], row["speed_limit"], row["name"]) == (False, 0, "Bob")
    assert "disabled" in weir("user", "list")
    weir("user", "rm", uid)
    weir("user", "rm", uid, status=1)


def test_users_from_a_csv(weir, tmp_path):
    path = tmp_path / "users.csv"
    path.write_bytes(b'\xef\xbb\xbfname,uuid,speed,quota\r\n"Ann, ""A""",first,10,1GiB\r\n\r\nBob,,,\r\n')
    assert "2 users" in weir("user", "import", path)
    rows = json.loads(weir("user", "list", "--json"))
    assert [(r["name"], r["speed_limit"], r["quota"]) for r in rows] == [('Ann, "A"', 10, 1 << 30), ("Bob", 0, 0)]
    assert rows[0]["uuid"] == "first" and len(rows[1]["uuid"]) == 36
    path.write_text("name,uuid\nCid,new\nDan,first\n")  # taken: nobody is imported
    weir("user", "import", path, status=1)
    for wrong in "", "name,height\n", "name\na,b\n", 'name\n"open\n', "name,speed\nx,fast\n":
        path.write_text(wrong)
        weir("user", "import", path, status=1)
    assert len(json.loads(weir("user", "list", "--json"))) == 2


def test_usage_errors_are_2_and_failures_1(weir, weir_bin):
    weir("user", "add")
    for arguments in [], ["fly"], ["node"], ["user", "fly"], ["node", "show"], ["node", "show", "x"], ["user", "add", "--height", 5], \
            ["node", "add", "--port"], ["serve", "--threads", "0"], ["serve", "--listen", "nowhere"], ["serve", "more"]:
        weir(*arguments, status=2)
    for arguments in ["node", "add"], ["node", "add", "--type", "vless", "--port", 0], ["user", "add", "--speed", -1], ["user", "rm", 99]:
        weir(*arguments, status=1)
    done = subprocess.run([weir_bin, "panel", "-h"], capture_output=True, text=True)
    assert done.returncode == 0 and "example:" in done.stdout and done.stderr == ""


def test_serve_makes_a_token_once_and_says_where_it_listens(weir_bin, tmp_path):
    def serve():
        p = subprocess.Popen([weir_bin, "panel", "serve", "--listen", "127.0.0.1:0", "--db", str(tmp_path / "p.db")],
                             stdout=subprocess.PIPE, text=True)
        lines = []
        while not lines or not lines[-1].startswith("listening on 127.0.0.1:"):
            lines.append(p.stdout.readline())
            assert lines[-1], "it ended"
        return p, lines, int(lines[-1].rsplit(":", 1)[1])

    def users(port, token):
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=20 * SLOW)
        c.request("GET", "/admin/v1/users", headers={"Authorization": f"Bearer {token}"})
        return c.getresponse().status

    first, lines, port = serve()
    token = lines[0].split()[-1]
    assert len(lines) == 2 and users(port, token) == 200 and users(port, token[:-1]) == 401
    first.terminate()
    assert first.wait(20 * SLOW) == 0
    second, lines, port = serve()
    assert len(lines) == 1 and users(port, token) == 200
    second.terminate()
    assert second.wait(20 * SLOW) == 0
    assert os.stat(tmp_path / "p.db").st_mode & 0o777 == 0o600


def test_sigterm_lets_a_request_finish(procs):
    p = Panel(procs)
    n, uid = Node(p), p.add_user()["id"]
    body = json.dumps({str(uid): [1, 2]}).encode()
    c = http.client.HTTPConnection("127.0.0.1", p.port, timeout=20 * SLOW)
    c.putrequest("POST", n.url("push"))
    c.putheader("Content-Length", str(len(body)))
    c.endheaders()
    c.send(body[:5])
    time.sleep(0.2)
    p.proc.popen.terminate()
    time.sleep(0.2)
    c.send(body[5:])
    assert c.getresponse().status == 200
    assert p.proc.popen.wait(20 * SLOW) == 0
    p.start()
    assert p.traffic(uid) == (1, 2)


def test_a_busy_port_and_a_bad_file_are_failures(panel, weir, tmp_path):
    weir("serve", "--listen", f"127.0.0.1:{panel.port}", status=1)
    (tmp_path / "cli.db").unlink()
    (tmp_path / "cli.db").write_text("this is no database " * 100)
    weir("serve", "--listen", f"127.0.0.1:{free_port()}", status=1)
    weir("user", "list", status=1)


# --- YaSSP ---------------------------------------------------------------------------------------

class YasspHost:
    """A YaSSP server, as far as the panel meets it: Basic authentication, a list, totals by port."""

    def __init__(self, panel, name, cipher="aes-256-gcm", **settings):
        self.panel, self.name, self.psk = panel, name, "p%s:k" % name
        self.node = Node(panel, "shadowsocks", 9100, settings={"cipher": cipher, "yassp_host": name, "yassp_psk": self.psk, **settings})

    def ask(self, path, method="GET", body=None, headers=None, psk=None):
        basic = base64.b64encode(f"{self.name}:{psk or self.psk}".encode()).decode()
        return self.panel.call(method, "/yassp" + path, body, {"Authorization": "Basic " + basic, **(headers or {})})


@pytest.fixture
def small(procs):
    return Panel(procs, options=["--rate", 0])


def test_yassp_hosts_get_a_port_for_each_user(small):
    rows = [small.add_user(uuid=f"secret-{i}") for i in range(3)] + [small.add_user(enabled=False), small.add_user(id=60000)]
    host = YasspHost(small, "hôst")
    for path in "/services/", "/services":
        status, headers, data = host.ask(path)
        assert status == 200 and json.loads(data) == [
            {"port": 9100 + r["id"], "method": "aes-256-gcm", "password": r["uuid"]} for r in rows[:3]]
    tag, modified = headers["ETag"], headers["Last-Modified"]
    assert host.ask("/services/", headers={"If-None-Match": tag})[0] == 304
    assert host.ask("/services/", headers={"If-Modified-Since": modified})[0] == 304
    assert host.ask("/services/", headers={"If-Modified-Since": modified, "If-None-Match": '"x"'})[0] == 200
    assert host.ask("/services/", headers={"If-Modified-Since": "Thu, 01 Jan 2015 00:00:00 GMT"})[0] == 200
    assert host.ask("/services/", headers={"If-Modified-Since": "yesterday"})[0] == 200
    small.remove_user(rows[1]["id"])
    status, headers, data = host.ask("/services/", headers={"If-None-Match": tag})
    assert status == 200 and len(json.loads(data)) == 2


def test_yassp_refusals(small):
    host = YasspHost(small, "h")
    answer = refused(small.call("GET", "/yassp/services/"), 401)
    assert answer["WWW-Authenticate"] == 'Basic realm="yassp"'
    refused(small.call("GET", "/yassp/services/", headers={"Authorization": "Basic !!!"}), 401)
    refused(host.ask("/services/", psk="wrong"), 403)
    host.name = "other"
    refused(host.ask("/services/"), 403)
    host.name = "h"
    refused(host.ask("/services/", "POST", b"[]"), 405)
    refused(host.ask("/traffics/", "GET"), 405)
    refused(host.ask("/elsewhere/"), 404)
    for wrong in b"", b"[]", b'{"x":1}', b'{"0":1}', b'{"65536":1}', b'{"9101":-1}', b'{"9101":[1,2]}', b'{"9101":1.5}', b'{"9101":1,"9102":"2"}':
        refused(host.ask("/traffics/", "POST", wrong), 400)


def test_yassp_traffic_counts_once_for_a_key(small):
    uid = small.add_user()["id"]
    host = YasspHost(small, "h")
    for method in "POST", "PUT", "PUSH":
        status, headers, data = host.ask("/traffics/", method, {str(9100 + uid): 5, "80": 7, "9100": 8, "65535": 9})
        assert (status, data, headers["ETag"]) == (204, b"", None)
    for _ in range(3):
        assert host.ask("/traffics", "POST", {str(9100 + uid): 100}, {"Idempotency-Key": "k"})[0] == 204
    assert small.traffic(uid) == (0, 115)
    assert small.admin("GET", f"/nodes/{host.node.id}")["ignored"] == 9


def test_yassp_2022_passwords_are_keys(small):
    uid = small.add_user(uuid="0d3c7f1e-8f5b-4b53-9b8e-6f6a0c1d2e3f")["id"]
    small.add_user(uuid="too-short")
    host = YasspHost(small, "h", "2022-blake3-aes-128-gcm")
    assert json.loads(host.ask("/services/")[2]) == [
        {"port": 9100 + uid, "method": "2022-blake3-aes-128-gcm", "password": base64.b64encode(b"0d3c7f1e-8f5b-4b").decode()}]


def test_yassp_hosts_are_told_of_changes(small):
    told = []

    class Host(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            told.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(500 if len(told) == 1 else 204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Host)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        first = small.add_user()["id"]
        YasspHost(small, "h", yassp_push=f"http://127.0.0.1:{server.server_port}/instances?token=t")
        time.sleep(2.5)  # nothing has changed since it was there
        assert told == []
        small.add_user()
        wait_until("a second try", lambda: len(told) == 2, 20)
        assert told[0] == told[1] and told[0][0] == "/instances?token=t"
        assert [p["port"] for p in told[0][1]] == [9100 + first, 9101 + first]
    finally:
        server.shutdown()


# --- links ---------------------------------------------------------------------------------------

def link(weir, uid, nid):
    text = weir("user", "link", uid, nid).strip()
    assert json.loads(weir("user", "link", uid, nid, "--json")) == {"link": text}
    url = urllib.parse.urlsplit(text)
    return url, dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))


def test_links_lead_to_the_node(weir):
    weir("user", "add", "--uuid", "0d3c7f1e-8f5b-4b53-9b8e-6f6a0c1d2e3f")
    weir("user", "add", "--uuid", "pass word/ä")
    weir("node", "add", "--type", "vless", "--port", 443, "--host", "n.example", "--name", "a node", "--set", "tls=2",
         "tls_settings.server_name=www.example.com", "flow=xtls-rprx-vision")
    row = json.loads(weir("node", "show", 1, "--json"))["settings"]["tls_settings"]
    url, q = link(weir, 1, 1)
    assert url.scheme == "vless" and url.username == "0d3c7f1e-8f5b-4b53-9b8e-6f6a0c1d2e3f"
    assert (url.hostname, url.port, urllib.parse.unquote(url.fragment)) == ("n.example", 443, "a node")
    assert (q["security"], q["pbk"], q["sid"], q["sni"]) == ("reality", row["public_key"], row["short_id"], "www.example.com")
    assert (q["flow"], q["encryption"], q["type"], q["fp"]) == ("xtls-rprx-vision", "none", "tcp", "chrome")

    weir("node", "add", "--type", "trojan", "--port", 8443, "--host", "2001:db8::1", "--set", "network=ws",
         "network_settings.path=/live?x", "network_settings.headers.Host=cdn.example", "server_name=t.example")
    url, q = link(weir, 2, 2)
    assert url.scheme == "trojan" and urllib.parse.unquote(url.username) == "pass word/ä"
    assert (url.hostname, url.port) == ("2001:db8::1", 8443)
    assert (q["security"], q["type"], q["path"], q["host"], q["sni"]) == ("tls", "ws", "/live?x", "cdn.example", "t.example")


def test_a_link_to_a_yassp_host_has_the_users_port_and_key(weir):
    weir("user", "add", "--uuid", "0d3c7f1e-8f5b-4b53-9b8e-6f6a0c1d2e3f")
    weir("user", "add", "--uuid", "short")
    for nid, cipher in (1, "aes-256-gcm"), (2, "2022-blake3-aes-128-gcm"):
        weir("node", "add", "--type", "shadowsocks", "--port", 9100, "--host", "n.example", "--set", f"cipher={cipher}", f"yassp_host=h{nid}",
             "yassp_psk=p")
    url, _ = link(weir, 2, 1)
    assert url.port == 9102 and base64.urlsafe_b64decode(url.username + "=" * (-len(url.username) % 4)) == b"aes-256-gcm:short"
    url, _ = link(weir, 1, 2)
    assert url.port == 9101
    assert urllib.parse.unquote(url.username) == "2022-blake3-aes-128-gcm"
    assert urllib.parse.unquote(url.password) == base64.b64encode(b"0d3c7f1e-8f5b-4b").decode()
    weir("user", "link", 2, 2, status=1)  # his credential is no key: he has no port there
    weir("node", "set", 1, "port=65534")
    weir("user", "link", 2, 1, status=1)


def test_no_link_without_what_it_needs(weir):
    weir("user", "add")
    weir("node", "add", "--type", "vless", "--port", 443)
    weir("node", "add", "--type", "mieru", "--port", 443, "--host", "n.example")
    for uid, nid in (1, 1), (1, 2), (1, 9), (9, 1):
        weir("user", "link", uid, nid, status=1)
    weir("user", "link", 1, status=2)
    weir("user", "link", 1, "x", status=2)
