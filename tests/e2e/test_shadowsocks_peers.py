"""The harness against itself: the Shadowsocks peers talk to each other before they talk to our node."""
import pytest
from weirtest import shadowsocks, traffic

MIB = 1 << 20

PAIRS = (("ssserver", "ss-local", "aes-256-gcm", False), ("ss-server", "sslocal", "chacha20-ietf-poly1305", False),
         ("ssserver", "xray", "2022-blake3-aes-128-gcm", True), ("xray", "sslocal", "2022-blake3-aes-256-gcm", True),
         ("sing-box", "sslocal", "2022-blake3-chacha20-poly1305", False),
         ("ss-server", "sing-box", "aes-192-gcm", False))


@pytest.mark.parametrize("server, client, method, multi", PAIRS, ids=["-".join(p[:3]) for p in PAIRS])
def test_peers_carry_what_they_are_given(server, client, method, multi, procs, target, udp_target):
    way = shadowsocks.client(client, procs, shadowsocks.server(server, procs, method, multi))
    traffic.upload(way, target, MIB, 1)
    traffic.download(way, target, MIB, 2)
    traffic.short_connections(way, target, 20)
    traffic.packets(way, udp_target)
