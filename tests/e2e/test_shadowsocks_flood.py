"""Strangers by the thousand a second at an AEAD port of thousands of users, whose keys all might be theirs."""
import os
import pathlib
import statistics
import sys
import time

import pytest
from weirtest import SLOW, SOAK, peers, shadowsocks, socks, traffic
from weirtest.fakepanel import FakePanel
from weirtest.node import Node, entry
from weirtest.proc import free_port, wait_until

METHOD = "aes-128-gcm"
FLOOD = str(pathlib.Path(__file__).parent / "weirtest" / "flood.py")
TICK = os.sysconf("SC_CLK_TCK")


def cpu_of(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def node_of(procs, users):
    known, port = [peers.random_credential() for _ in range(users)], free_port()
    panel = FakePanel("shadowsocks", port, [{"id": i + 1, "uuid": u} for i, u in enumerate(known)], cipher=METHOD)
    node = Node(procs, [entry(panel.url, panel.as_node())], [port], Log={"Level": "warn"})
    return node, peers.Outbound("shadowsocks", port, known[users // 2], method=METHOD)


def ask_udp(u, udp_target):
    """How long an answer took.  The kernel drops packets where so many arrive: they are sent again."""
    began = time.monotonic()
    for _ in range(20):
        u.sendto(b"x" * 1000, udp_target.addresses[0])
        try:
            while u.recvfrom()[0] != b"0:" + b"x" * 1000:
                pass
            return time.monotonic() - began
        except TimeoutError:
            pass
    raise AssertionError("twenty packets without an answer")


def conversations(way, target, udp_target, seconds):
    """How long each took, of TCP and of UDP, one after the other for so long."""
    tcp, udp, end = [], [], time.monotonic() + seconds
    with socks.Udp(way.port, timeout=1) as u:
        while time.monotonic() < end:
            began = time.monotonic()
            traffic.echo(way, target, b"x" * 1000)
            tcp.append(time.monotonic() - began)
            udp.append(ask_udp(u, udp_target))
            time.sleep(0.005)
    return tcp, udp


def measure(procs, target, udp_target, users, rates, floods, seconds):
    node, o = node_of(procs, users)
    way = shadowsocks.client("sslocal", procs, o)
    wait_until("the node to know its users", lambda: answers(way, target), 20, 0.2)
    calm = conversations(way, target, udp_target, seconds / 4)
    strangers = [procs.start("flood", [sys.executable, FLOOD, o.port, *rates]) for _ in range(floods)]
    wait_until("the strangers", lambda: all(any(line[0].isdigit() for line in p.text().splitlines() if line)
                                            for p in strangers))
    pid, began = node.proc.popen.pid, time.monotonic()
    cpu = cpu_of(pid)
    time.sleep(seconds / 2)  # strangers alone
    cores = (cpu_of(pid) - cpu) / (time.monotonic() - began)
    flooded = conversations(way, target, udp_target, seconds)
    began = time.monotonic()
    traffic.download(way, target, 32 << 20, 1)
    rate = (32 << 20) / (time.monotonic() - began) / 1e6
    came = [sum(int(p.text().splitlines()[-1].split()[i]) for p in strangers) for i in (0, 1)]
    for p in strangers:
        p.kill()
    return cores, calm, flooded, rate, came


def answers(way, target):
    try:
        return traffic.echo(way, target, b"hello", 3)
    except (OSError, EOFError):
        return None


def assert_unharmed(cores, flooded):
    assert cores < 1.0, f"the strangers take {cores:.2f} cores"
    for what, times in zip(("TCP", "UDP"), flooded):
        assert len(times) > 20, f"{what}: {len(times)} conversations"
        # Milliseconds; a neighbour of the machine's may take its time, a starved user waits for seconds.
        assert statistics.median(times) < 0.25 * SLOW, f"{what}: {statistics.median(times):.3f} s"


@pytest.mark.soak
@pytest.mark.alone
def test_strangers_cost_less_than_a_core_and_keep_nobody_waiting(procs, target, udp_target, capsys):
    """The long form: five thousand connections and as many packets a second, at ten thousand users."""
    users, rates, floods, seconds = (10000, (2500, 2500), 2, 20) if SOAK else (2000, (500, 2500), 1, 2)
    cores, calm, flooded, rate, came = measure(procs, target, udp_target, users, rates, floods, seconds)
    assert came[0] > 200 and came[1] > 1000, "there was no flood to speak of"
    if SOAK:
        with capsys.disabled():
            tell(cores, calm, flooded, rate, came)
    assert_unharmed(cores, flooded)


def tell(cores, calm, flooded, rate, came):
    print(f"\n{came[0]} connections and {came[1]} packets of strangers: {cores:.2f} cores; 32 MiB at {rate:.0f} MB/s")
    for what, before, after in zip(("TCP", "UDP"), calm, flooded):
        print(f"{what}: {statistics.median(before) * 1e3:.2f} ms before, {statistics.median(after) * 1e3:.2f} ms among "
              f"them, 99 %: {sorted(after)[len(after) * 99 // 100] * 1e3:.2f} ms")
