"""A change of a thousand users among five thousand, at the panel: whoever is not among them notices nothing."""
import re
import time

import pytest
from weirtest import SLOW
from weirtest.proc import wait_until
from weirtest.site import Case, Site, start_lanes
from weirtest.steady import Pace

PEOPLE = 5000 if SLOW == 1 else 1000
PART = PEOPLE // 10  # so many come and so many go in a change
CASES = [Case("vless-raw", "weir", spliced=True), Case("trojan-tls", "sing-box"), Case("vmess-raw", "xray"),
         Case("vless-reality-vision", "xray", spliced=True), Case("vless-reality-vision", "weir", spliced=True),
         Case("aes-128-gcm", "sslocal"), Case("2022-blake3-aes-128-gcm", "sslocal", "udp"),
         Case("vless-raw", "xray", "udp"), Case("trojan-tls", "weir", "udp"), Case("vless-raw", "xray", mux=8)]

pytestmark = [pytest.mark.quick]


def watched(lanes, work):
    """The longest silence of each while it went on."""
    for lane in lanes:
        for f in lane.flows:
            f.forget_gap()
    work()
    return {str(lane.case): max(f.gap for f in lane.flows) for lane in lanes}


def changes(site):
    """(added, removed, kept) of every list that a node of the site has applied, over all its inbounds."""
    return [tuple(map(int, n)) for n in re.findall(
        r"users: (\d+) added, (\d+) removed, 0 re-keyed, 0 changed, (\d+) kept", site.node.proc.text())]


@pytest.fixture
def running(procs, cert, target):
    """A site with a crowd, and lanes that are under way."""
    site, pace = Site(procs, cert, CASES, PEOPLE), Pace(cert)
    lanes = start_lanes(site, pace, target)
    yield site, pace, lanes
    pace.close()


def assert_unbroken(pace, lanes):
    """They end in order, whole, and are billed exactly."""
    pace.stop()
    assert not pace.broken and all(f.whole() for lane in lanes for f in lane.flows)
    pace.close()
    for lane in lanes:
        for f in lane.flows:
            assert lane.case.what == "tcp" or len(f.sources) == 1
            lane.moved(f)
    for lane in lanes:
        lane.user.assert_billed()


def change(site):
    """So many come for some seconds; when they go, others come."""
    at_first, inbounds = len(changes(site)), len(site.rows)
    ends = int(time.time()) + 2
    site.panel.admin("POST", "/users", [{"expire": ends}] * PART)
    wait_until("their time to be over", lambda: time.time() > ends, 4)
    site.panel.admin("POST", "/users", [{}] * PART)

    def done():
        seen = changes(site)[at_first:]
        return [sum(n) for n in zip(*seen)][:2] == [2 * PART * inbounds, PART * inbounds]

    wait_until("every inbound to have them", done, 20)


def test_a_change_of_many_users_is_not_felt_by_the_others(running):
    site, pace, lanes = running
    calm = watched(lanes, lambda: time.sleep(1))
    felt = watched(lanes, lambda: change(site))
    # Between two bytes lies a tick; a busy machine makes more of it, with a change and without.
    late = {name: (calm[name], gap) for name, gap in felt.items() if gap > calm[name] + 1.0 * SLOW}
    assert not late, late
    for _ in range(3):
        site.node.reload_with(LimitConfig={"SpeedLimit": 500})
        time.sleep(0.3)
    assert_unbroken(pace, lanes)


def test_whoever_is_taken_out_is_cut_off_whatever_he_speaks(running):
    site, pace, lanes = running
    *gone, stays = lanes
    for lane in gone:
        site.panel.remove_user(lane.user.id)
    told = time.monotonic()
    streams = {f for lane in gone for f in lane.flows if lane.case.what == "tcp"}
    # The node asks once a second, and has a second.
    wait_until("their streams to end", lambda: streams <= set(pace.broken), 5)
    packets = [f for lane in gone for f in lane.flows if lane.case.what == "udp"]
    wait_until("their packets to end", lambda: all(time.monotonic() - f.last > 0.5 for f in packets), 5)
    assert all(f.last - told < 3 * SLOW for f in packets)
    assert not set(stays.flows) & set(pace.broken)
    had = stays.bounds()[2]
    wait_until("who stays to go on", lambda: stays.bounds()[2] > had + 100000)
