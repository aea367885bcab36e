"""`weir connect` with the Shadowsocks servers of others: every method, users of 2022 ports, UDP."""

import pytest
from weirtest import shadowsocks, traffic
from weirtest.shadowsocks import EIH, SPEAKERS

MIB = 1 << 20
SERVER_OF = {"sslocal": "ssserver", "ss-local": "ss-server"}
PAIRS = [(SERVER_OF.get(c, c), m) for m, who in SPEAKERS.items() for c in who if c != "weir"]


@pytest.mark.parametrize("server, method", PAIRS)
def test_our_client_with_the_servers_of_others(server, method, procs, target, udp_target):
    multi = method in EIH
    way = shadowsocks.client("weir", procs, shadowsocks.server(server, procs, method, multi))
    traffic.upload(way, target, 2 * MIB, 1)
    traffic.download(way, target, 2 * MIB, 2)
    traffic.short_connections(way, target, 50)
    traffic.packets(way, udp_target)


@pytest.mark.parametrize("method", ("aes-128-gcm", "2022-blake3-aes-128-gcm"))
def test_half_close_with_shadowsocks_rust(method, procs, target):
    way = shadowsocks.client("weir", procs, shadowsocks.server("ssserver", procs, method))
    traffic.half_close_up(way, target, MIB + 1, 3)
    traffic.half_close_by_target(way, target, MIB + 1)


@pytest.mark.parametrize("method", ("aes-256-gcm", "2022-blake3-aes-256-gcm"))
def test_a_server_with_another_key_is_an_error_and_not_a_hang(method, procs, target):
    o = shadowsocks.server("ss-server" if method == "aes-256-gcm" else "ssserver", procs, method)
    o.credential = shadowsocks.new_key(method)
    way = shadowsocks.client("weir", procs, o)
    with pytest.raises((OSError, EOFError)):
        traffic.echo(way, target, b"hello", 5)
