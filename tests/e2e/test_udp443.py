"""`xudpProxyUDP443` of a client's mux: what becomes of packets to port 443, which browsers use for QUIC.  Xray's client
in each of its values, and ours with the same outbound: whether they arrive, and in whose connection."""
import os
import re
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from weirtest import socks
from weirtest.lab import Lab
from weirtest.peers import start_clients, write, xray_mux, xray_outbound
from weirtest.proc import free_port
from weirtest.traffic import Way

SAID = ("allow", "skip", "reject", "")  # the last: nothing is said, which is to reject
QUIC = ("127.0.0.1", 443)


def ask(u, to, text):
    u.sendto(text, to)
    data, source = u.recvfrom()
    assert data == b"0:" + text and source == to
    return len(text), len(data)


def outbound(lab, user, said):
    o = lab.outbound("vless-raw", user.credential)
    o.mux, o.quic = 8, said
    return o


def talk_with_xray(user, way, said, to):
    """Two associations, of which one begins with such a packet."""
    with socks.Udp(way.port) as beside, socks.Udp(way.port) as u:
        user.moved(ask(beside, to, b"beside"))
        u.sendto(b"quic", QUIC)
        if said in ("allow", "skip"):
            user.moved((4, 0))
        if said == "allow":
            user.moved(ask(u, to, b"in the same association"))
        user.moved(ask(beside, to, b"and again"))
        user.assert_billed()


def talk_with_ours(user, way, said, to):
    """The same, where a forward's begins with it, and one meets it on its way."""
    with socks.Udp(way.port) as beside, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as u:
        user.moved(ask(beside, to, b"beside"))
        u.sendto(b"quic", ("127.0.0.1", way.forward))
        beside.sendto(b"quic", QUIC)
        if said in ("allow", "skip"):
            user.moved((8, 0))
        user.moved(ask(beside, to, b"and again"))
        user.assert_billed()


def start_ours(procs, o):
    way = Way(free_port())
    way.forward = free_port()
    config = write(procs, "outbound", dict(xray_outbound(o), mux=xray_mux(o)))
    way.process = procs.start("connect", [
        os.environ["WEIR_BIN"], "connect", "-o", config, "-l", f"127.0.0.1:{way.port}", "--udp",
        f"127.0.0.1:{way.forward}=127.0.0.1:443"])
    way.process.wait_listening(way.port)
    return way


@pytest.fixture(scope="module")
def over(module_procs, cert, target, udp_target):
    """All have talked and are gone: {(who, said): user}, and the target of what is no QUIC."""
    lab, to = Lab(module_procs, cert, ("vless-raw",), top={"Workers": 1}), udp_target.addresses[0]
    users = {(who, said): lab.user() for who in ("xray", "weir") for said in SAID}
    outbounds = {key: outbound(lab, user, key[1]) for key, user in users.items()}
    ways = {("xray", said): way for said, way in zip(SAID, start_clients(
        "xray", module_procs, [outbounds["xray", said] for said in SAID]))}
    ways.update({("weir", said): start_ours(module_procs, outbounds["weir", said]) for said in SAID})

    def talk(key):
        lab.until_served(ways[key], target, users[key])
        (talk_with_xray if key[0] == "xray" else talk_with_ours)(users[key], ways[key], key[1], to)

    with ThreadPoolExecutor(len(users)) as pool:
        for done in [pool.submit(talk, key) for key in users]:
            done.result()
    # Associations outlive their connections: the node's end is theirs.
    lab.node.stop()
    return users, to


def told(user, to):
    """The connections that associations with this target came in, of those that have ended."""
    text = user.lab.node.proc.text()
    return set(re.findall(rf" peer=(\S+) user={user.id} net=udp dest={re.escape('%s:%d' % to)} ", text))


@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("who", ["xray", "weir"])
def test_packets_to_port_443_go_where_that_is_said(over, who, said):
    """What was billed is known; the log says in which connection each association came."""
    users, to = over
    user = users[who, said]
    others, found = told(user, to), told(user, QUIC)
    assert others
    if said == "allow":
        assert found == others
    elif said == "skip":
        assert found and not found & others
    else:
        assert not found
