"""The harness against itself: the peers talking to each other and to our client, before they talk to our node."""
import time

import pytest
from weirtest import fakepanel, traffic
from weirtest.lab import KINDS
from weirtest.peers import CLIENTS, Outbound, random_credential, singbox_server, start_client, xray_server
from weirtest.proc import free_port, wait_until

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
