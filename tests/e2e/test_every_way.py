"""What test_carry.py shows of VLESS and Trojan, for the ways that came later: many short connections (a thousand over
two of them) with the clients of others, and half-closes in both directions with ours (theirs end both soon after the first)."""
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from weirtest import socks, traffic
from weirtest.site import MODES, Case, Site

MIB = 1 << 20
SHORT, FEW = 1000, 150
NODES = ("vless-reality", "trojan-reality", "vless-tls-vision", "vless-reality-vision", "vmess-raw", "vmess-tls")
CROWDED = [Case(node, c) for node in NODES for c in ("xray", "sing-box")]
CROWDED += [Case("vless-random", "xray"), Case("vless-native-vision", "xray")]
MANY = ("vless-reality-vision", "vmess-raw")  # the others' are few, that it takes no longer than it teaches
HALVES = [Case(node, "weir") for node in (*NODES, *(f"vless-{mode}" for mode in MODES), "vless-xorpub-vision",
                                          "aes-128-gcm", "2022-blake3-aes-128-gcm")]
HALVES += [Case(node, "weir", multiplex=m) for node, m in (("vless-reality", "h2mux"), ("vmess-raw", "yamux"))]


@pytest.fixture(scope="module")
def paths(module_procs, cert, target):
    """{case: (user, way)}"""
    cases = CROWDED + HALVES
    site = Site(module_procs, cert, cases)
    with ThreadPoolExecutor(8) as pool:
        ways = list(pool.map(lambda user, way: site.until_served(way, target, user), site.users, site.ways()))
    return {str(case): each for case, *each in zip(cases, site.users, ways)}


def test_a_client_may_wait_for_the_server_to_speak_first(paths, target):
    """Clients ask without it then, each in its way; Xray's of VMess with an empty chunk, which is no end."""
    held = []
    for name, (_, way) in paths.items():
        held.append((name, way.open(target)))
    time.sleep(0.5)
    for name, s in held:
        with s:
            s.sendall(b"ECHO\nafter you")
            assert socks.recv_exactly(s, 9) == b"after you", name
            paths[name][0].moved((14, 9))


@pytest.mark.parametrize("case", CROWDED, ids=str)
def test_many_short_connections(paths, target, case):
    user, way = paths[str(case)]
    user.moved(traffic.short_connections(way, target, SHORT if case.node in MANY else FEW, 16))
    user.assert_billed()


@pytest.mark.parametrize("case", HALVES, ids=str)
def test_half_closes_are_carried(paths, target, case):
    user, way = paths[str(case)]
    user.moved(traffic.half_close_up(way, target, MIB + 1, 3))
    user.moved(traffic.half_close_by_target(way, target, MIB + 1))
    user.assert_billed()
