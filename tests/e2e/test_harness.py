"""The harness against itself: the peers talking to each other and to our client, before they talk to our node."""
import hashlib
import time

import pytest
from weirtest import fakepanel, secrecy, traffic
from weirtest.lab import KINDS
from weirtest.peers import CLIENTS, Outbound, random_credential, singbox_server, start_client, xray_server
from weirtest.proc import Procs, free_port, wait_until

MIB = 1 << 20


@pytest.fixture(scope="module", params=[f"{k}-{s}" for k in KINDS for s in ("xray", "singbox")])
def server(request, module_procs, cert):
    protocol, security, kind = request.param.split("-")
    o = Outbound(protocol, free_port(), random_credential(), cert if security == "tls" else None)
    {"xray": xray_server, "singbox": singbox_server}[kind](module_procs, o)
    return o


@pytest.mark.parametrize("client", CLIENTS)
def test_peers_carry_what_they_are_given(server, client, procs, target, udp_target):
    way = start_client(client, procs, server)
    before = target.received, target.sent
    moved = [traffic.upload(way, target, 4 * MIB, 1), traffic.download(way, target, 4 * MIB, 2),
             traffic.short_connections(way, target, 50)]
    wait_until("the target to have counted the same", lambda: (
        target.received - before[0], target.sent - before[1]) == tuple(map(sum, zip(*moved))))
    traffic.packets(way, udp_target)


def says(folder, since, weir_bin, text, program="weir"):
    """What is wrong with a process that has this in its log."""
    procs = Procs(folder)
    procs.mark = since
    words = ["sh", "-c", "echo a line; echo \"$1\"", weir_bin if program == "weir" else "other", text]
    procs.start(program, words).popen.wait(20)
    return procs.stop_all()


def test_a_secret_in_a_log_of_ours_is_found(weir_bin, tmp_path_factory):
    since = secrecy.mark()
    user, server, key = random_credential(), "fd4b+Zm/9xDgvjd8Tm8a0Q==", "q0Zc1zXIFVvEXk1bq1SzfA=="
    secrecy.issue(f"{server}:{key}")
    secrecy.issue_all({"users": [{"id": 1, "uuid": "4a0fe2a2-2f6e-49c8-8f5c-8a0b0b6a3c11"}], "settings": {
        "tls_settings": {"private_key": "a private key of ours"}}})
    secrets = [user, user.upper(), user.replace("-", ""), hashlib.sha224(user.encode()).hexdigest(), server, key,
               "4a0fe2a2-2f6e-49c8-8f5c-8a0b0b6a3c11", "a private key of ours"]
    for secret in secrets:
        wrong = says(tmp_path_factory.mktemp("log"), since, weir_bin, f"session: ended user={secret} err=OK")
        assert len(wrong) == 1 and wrong[0].startswith("weir") and secret in wrong[0], (secret, wrong)
    # Another's log may say it, and so may the line of the command.
    assert says(tmp_path_factory.mktemp("log"), since, weir_bin, user, "other") == []
    assert says(tmp_path_factory.mktemp("log"), since, weir_bin, "session: ended user=7 err=AUTH") == []


def test_fake_panel_does_as_told(procs):
    import http.client

    panel = fakepanel.FakePanel("vless", 443, [{"id": 1, "uuid": "x"}])

    def ask(action, body=None, **headers):
        c = http.client.HTTPConnection("127.0.0.1", panel.port, timeout=10)
        c.request("POST" if body else "GET", f"/node?action={action}&node_id=7&token=a-node-token", body, headers)
        r = c.getresponse()
        return r.status, r.read(), r.headers.get("ETag")

    code, body, etag = ask("user")
    assert code == 200 and b'"uuid": "x"' in body
    assert ask("user", **{"If-None-Match": etag})[0] == 304
    panel.faults["user"] = [fakepanel.status(500), fakepanel.not_modified, fakepanel.html]
    assert [ask("user")[0] for _ in range(4)] == [500, 304, 200, 200]
    panel.faults["user"] = [fakepanel.hang_up]
    with pytest.raises((OSError, http.client.HTTPException)):
        ask("user")
    panel.faults["push"] = [fakepanel.commit_then_hang(0.1)]
    with pytest.raises((OSError, http.client.HTTPException)):
        ask("push", b'{"1":[2,3]}', **{"Idempotency-Key": "k"})
    ask("push", b'{"1":[2,3]}', **{"Idempotency-Key": "k"})
    assert panel.traffic(1) == (2, 3) and len(panel.pushes) == 2
    panel.stop()
    with pytest.raises(ConnectionRefusedError):
        ask("user")
    panel.start()
    assert ask("config")[0] == 200
    assert panel.asked("config", time.monotonic() - 5) == 1
