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
CASES = [Case("vless-raw", "weir"), Case("trojan-tls", "sing-box"), Case("vmess-raw", "xray"),
         Case("vless-reality-vision", "xray"), Case("vless-reality-vision", "weir"),
         Case("aes-128-gcm", "sslocal"), Case("2022-blake3-aes-128-gcm", "sslocal", "udp"),
         Case("vless-raw", "xray", "udp"), Case("trojan-tls", "weir", "udp"), Case("vless-raw", "xray", mux=8)]

pytestmark = [pytest.mark.quick, pytest.mark.alone]


def watched(pace, lanes, work):
    """The longest silence of each while it went on, and what of it may be their own thread's."""
    pace.late = 0.0
    for lane in lanes:
        for f in lane.flows:
            f.forget_gap()
    work()
    return {str(lane.case): max(f.gap for f in lane.flows) for lane in lanes}, pace.late


def changes(site):
    """(added, removed, kept) of every list that a node of the site has applied, over all its inbounds."""
    return [tuple(map(int, n)) for n in re.findall(
        r"users: (\d+) added, (\d+) removed, 0 re-keyed, 0 changed, (\d+) kept", site.node.proc.text())]


@pytest.fixture
def running(procs, cert, target):
    """A site with a crowd, and lanes that are under way."""
    site, pace = Site(procs, cert, CASES, PEOPLE), Pace(cert)
    lanes = start_lanes(site, pace, target)
    assert not any(lane.error for lane in lanes), {str(lane.case): lane.error for lane in lanes}
    yield site, pace, lanes
    pace.close()


def assert_unbroken(pace, lanes):
    """They end in order, whole, and are billed as much as they moved."""
    assert not pace.stop()
    assert not pace.broken and all(f.whole() for lane in lanes for f in lane.flows)
    pace.close()
    for lane in lanes:
        for f in lane.flows:
            assert lane.case.what == "tcp" or len(f.sources) == 1
            lane.moved(f)
    for lane in lanes:
        lane.user.assert_billed()


def change(site):
    """So many come; when they go, others come."""
    at_first, inbounds = len(changes(site)), len(site.rows)

    def until(added, removed):
        def done():
            seen = changes(site)[at_first:]
            return [sum(n) for n in zip(*seen)][:2] == [added * PART * inbounds, removed * PART * inbounds]

        wait_until("every inbound to have them", done, 20)

    made = site.panel.admin("POST", "/users", [{}] * PART)["users"]
    until(1, 0)
    for user in made:
        site.panel.remove_user(user["id"])
    site.panel.admin("POST", "/users", [{}] * PART)
    until(2, 1)


def test_a_change_of_many_users_is_not_felt_by_the_others(running):
    site, pace, lanes = running
    calm, _ = watched(pace, lanes, lambda: time.sleep(3))
    felt, own = watched(pace, lanes, lambda: change(site))
    # Between two bytes lies a tick; a busy machine makes more of it, with a change and without.
    late = {name: (calm[name], gap) for name, gap in felt.items() if gap > calm[name] + own + 1.0 * SLOW}
    assert not late, (late, own)
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
    # So long that they have asked again, and again.
    wait_until("their packets to end", lambda: all(time.monotonic() - f.stirred > 2.5 * SLOW for f in packets), 10)
    assert all(f.stirred - told < 5 * SLOW for f in packets)
    assert not set(stays.flows) & set(pace.broken)
    had = stays.bounds()[2]
    wait_until("who stays to go on", lambda: stays.bounds()[2] > had + 100000)
