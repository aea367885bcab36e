"""REALITY beside its target: who is no client is shown what the target shows, ended as the target ends it, and when;
what a client is answered with has the lengths of the target's records."""
import contextlib
import dataclasses
import socket
import struct
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from weirtest import SLOW, traffic
from weirtest.certs import Cert
from weirtest.listener import Listener
from weirtest.looks import ANSWER, Script, differences, look_at, spread
from weirtest.node import HANDSHAKE, Node, entry
from weirtest.panel import Panel
from weirtest.peers import Outbound, Reality, random_credential, start_client
from weirtest.proc import free_port, wait_until
from weirtest.tlsprobe import Tap, hello, records, shares
from weirtest.tlstargets import KINDS, start_target

NAME = "weir.test"
# A target's patience, and the node's own, which nobody must notice: between a look's beginning and the target's end.
PATIENCE, OURS = 2, 1 if SLOW == 1 else int(2 * SLOW)
LANES = 12
EC = "nginx with ECDSA"
WORD = b"are you there"
GOODBYE = (23, 24)  # the record of an alert

# Where a deadline of a second runs, who is starved for one ends otherwise than his target.
pytestmark = [pytest.mark.alone]


class Gate(Tap):
    """Lets nobody in for as long as one waits whom it was told to keep: `keep()`, `kept`, `open()`."""

    def __init__(self, port):
        self._next, self._opened, self.kept = False, threading.Event(), threading.Event()
        super().__init__(port)

    def keep(self):
        """The next, and only him."""
        self._next = True

    def open(self):
        self._opened.set()

    def serve(self, s):
        if self._next:
            self._next = False
            self.kept.set()
            self._opened.wait(30 * SLOW)
        super().serve(s)


class Lab:
    """Nodes with one key, in front of real servers: `straight` there is nothing between, or a port that listens."""

    def __init__(self, procs, ec_cert):
        self.procs, self.panel, self.entries, self.tls = procs, Panel(procs), [], {"server_name": NAME}
        # An ECDSA signature has not the same length each time: what is compared between connections has RSA.
        cert = Cert(str(procs.folder), NAME, key=("rsa:2048",))
        self.targets = {kind: start_target(procs, kind, cert, PATIENCE) for kind in KINDS}
        self.targets[EC] = start_target(procs, "nginx", ec_cert, PATIENCE)
        self.straight = {kind: [self.lane(self.targets[kind])] for kind in ("nginx", "go")}
        self.straight["openssl"] = [self.lane(start_target(procs, "openssl", cert)) for _ in range(LANES)]
        self.gates = {kind: Gate(port) for kind, port in self.targets.items()}
        self.gated = {kind: self.add_node(gate.port, max(HANDSHAKE, OURS)) for kind, gate in self.gates.items()}
        self.node = Node(procs, self.entries, [int(e["Name"]) for e in self.entries])
        self.credential = random_credential()
        self.panel.add_user(uuid=self.credential)

    def add_node(self, target, patience=OURS):
        row = self.panel.add_node("vless", free_port(), tls=2,
                                  tls_settings=dict(self.tls, dest=f"127.0.0.1:{target}"))
        self.tls = row["settings"]["tls_settings"]
        self.entries.append(entry(self.panel.url, row, None, Name=str(row["port"]), HandshakeTimeout=patience))
        return row["port"]

    def lane(self, target):
        return target, self.add_node(target)

    def until_asked(self, port):
        """The node knows what this port's target says behind a handshake."""
        line = f"port {port}: the REALITY target answers as {NAME} with ALPN h2"
        wait_until("the target to have been asked", lambda: line in self.node.proc.text(), 30)

    def said_by(self, kind, target, **reality):
        """What a client of ours says, made to say it by a port in front of the node, and what it hears: of the last
        connection, which is the one that is served if any is."""
        tap = Tap(self.gated[kind])
        r = Reality(self.tls["public_key"], self.tls["short_id"], NAME)
        o = Outbound("vless", tap.port, self.credential, reality=dataclasses.replace(r, **reality))
        way = start_client("weir", self.procs, o)

        def served():
            try:
                return traffic.echo(way, target, WORD, (HANDSHAKE - 1) / SLOW)
            except (OSError, EOFError):
                return None

        if reality:
            assert not served()
        else:
            wait_until("the node to know the user", served, 20, 0.1)
        way.process.stop()
        tap.close()
        return bytes(tap.said[-1]), bytes(tap.heard[-1])


@pytest.fixture(scope="module")
def lab(module_procs, cert):
    return Lab(module_procs, cert)


# --- who is no client ------------------------------------------------------------------------------

def first_record(data):
    return data[:5 + int.from_bytes(data[3:5], "big")]


@pytest.fixture(scope="module")
def strangers(lab, target):
    """By name: the parts of what is sent."""
    ours = first_record(lab.said_by("nginx", target)[0])
    other = "bm90IHRoZSBrZXkgdGhhdCB0aGlzIHNlcnZlciBoYXM"  # base64 of 32 bytes that are some key's
    wrong = {"wrong key": {"public_key": other}, "wrong name": {"name": "other.test"},
             "wrong short id": {"short_id": "0123456789abcdef"}}
    made = {name: [first_record(lab.said_by("nginx", target, **how)[0])] for name, how in wrong.items()}
    plain = hello()
    lie = b"\x14\x03\x03\x00\x01\x01\x17\x03\x03\x00\x35" + bytes(0x35)
    return {
        "nothing": [],
        "http": [b"GET / HTTP/1.1\r\nHost: weir.test\r\n\r\n"],
        "garbage": [bytes(range(1, 250)) * 3],
        "zeroes": [bytes(600)],
        "an alert": [b"\x15\x03\x01\x00\x02\x01\x00"],
        "a hello": [plain],
        "no name": [hello(name="")],
        "another name": [hello(name="other.test")],
        "of TLS 1.2": [hello(versions=(0x0303,))],
        "asked again": [hello(shares=[])],
        "another group": [hello(shares=[(0x6a6a, b"\0")], groups=(23, 24))],
        "half a hello": [plain[:200]],
        "slow": [p for i in range(0, len(plain), 20) for p in (plain[i:i + 20], 0.005)],
        "a lie behind": [plain, ANSWER, lie],
        "repeated": [ours],
        "repeated and a lie": [ours, ANSWER, lie],
        "repeated and an alert": [ours, ANSWER, b"\x15\x03\x03\x00\x02\x02\x28"],
        "repeated and 40 changes": [ours, ANSWER, lie[:6] * 40],
        "repeated and http": [ours, ANSWER, b"GET / HTTP/1.1\r\n\r\n"],
        **made,
    }


def scripts(strangers, watch, **more):
    return {f"{name} and an end" if ends else name: Script(parts, ends, watch, **more)
            for name, parts in strangers.items() for ends in (False, True)}


def as_text(wrong):
    return f"{len(wrong)} differ:\n" + "\n".join(wrong.values())


@pytest.fixture(scope="module")
def unlike(lab, strangers):
    """What the nodes show otherwise than their targets, by kind: all looked at side by side."""
    def seen(kind):
        lanes = lab.straight[kind]
        if len(lanes) == 1:
            return differences(lanes, scripts(strangers, PATIENCE + 1.5))
        # s_server serves one after another, and waits for ever: several of them, so that it does not take long.  Behind
        # its end it takes what comes for half a second and resets from then on, so nobody goes on there.
        for _, port in lanes:
            lab.until_asked(port)
        return differences(lanes, scripts(strangers, OURS + 0.25, after=0), each=3, in_turn=True)

    with ThreadPoolExecutor(len(KINDS)) as pool:
        return dict(zip(KINDS, pool.map(seen, KINDS)))


@pytest.mark.parametrize("kind", KINDS)
def test_strangers_see_the_target(unlike, kind):
    """The same, ended in the same way at the same time: also by the target's patience, when ours has passed."""
    assert not unlike[kind], as_text(unlike[kind])


@pytest.mark.quick
def test_strangers_get_the_bytes_that_the_target_has_sent(lab, strangers):
    """To the byte, and the target theirs: who repeats a client's hello gets as many, of the node's own."""
    gate = lab.gates["nginx"]
    work = [(name, 0, script) for name, script in scripts(strangers, PATIENCE + 4.0).items()]
    seen = look_at([(lab.gated["nginx"],)], work)
    passed = list(zip(map(bytes, gate.said), map(bytes, gate.heard)))
    for (name, _), looks in seen.items():
        said = b"".join(p for p in strangers[name.removesuffix(" and an end")] if isinstance(p, bytes))
        got = b"".join(turn.got for turn in looks[0].turns)
        heard = [h for s, h in passed if s.startswith(said)]  # a look goes on behind an end
        if name.startswith("repeated"):
            assert heard, name
        else:
            assert got in heard, (name, got, heard)


# --- who is one ------------------------------------------------------------------------------------

# So many records each sends unasked behind its handshake, at least: tickets, and nginx the settings of HTTP/2.
UNASKED = {"nginx": 3, EC: 3, "openssl": 2, "go": 0}


def answers(port, n, unasked):
    """What clients of this server get, if they offer what ours does: the records of each."""
    straight = Tap(port)
    clients = [subprocess.Popen(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{straight.port}", "-servername", NAME, "-alpn", "h2,http/1.1",
         "-ciphersuites", "TLS_AES_128_GCM_SHA256"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL) for _ in range(n)]
    wait_until("the target's answers",
               lambda: len(straight.heard) == n and all(len(records(h)[0]) >= 6 + unasked for h in straight.heard))
    time.sleep(0.5)
    for client in clients:
        client.kill()
        client.wait()
    straight.close()
    return [[r for r in records(h)[0] if r != GOODBYE] for h in straight.heard]


@pytest.fixture(scope="module")
def straight(lab):
    """What clients of the targets themselves are answered: by kind, several times."""
    with ThreadPoolExecutor(len(lab.targets)) as pool:
        all_of_them = pool.map(lambda kind: answers(lab.targets[kind], 1 if kind == "openssl" else 3, UNASKED[kind]),
                               lab.targets)
        return dict(zip(lab.targets, all_of_them))


def other_bytes(a, b):
    return [i for i, (x, y) in enumerate(zip(a, b)) if x != y]


@pytest.mark.quick
@pytest.mark.parametrize("kind", [*KINDS, EC])
def test_a_client_is_answered_in_the_targets_records(lab, straight, target, kind):
    """From ServerHello to the tickets: what is the target's of this very connection to the byte, what it says behind a
    handshake as others get it."""
    lab.until_asked(lab.gated[kind])
    (said, answered), gate = lab.said_by(kind, target), lab.gates[kind]
    his = first_record(said)
    heard = next(bytes(h) for s, h in zip(gate.said, gate.heard) if s.startswith(his))
    theirs, ours = records(heard)[0], records(answered)[0]
    theirs = [r for r in theirs if r != GOODBYE]  # it has been let go
    assert len(theirs) >= 6 and ours[:len(theirs)] == theirs
    other = other_bytes(first_record(heard), first_record(answered))
    assert other and other[-1] - other[0] < (32 if shares(heard) == [29] else 1088 + 32)
    tails = [s[6:] for s in straight[kind]]
    same = [len(tail) for tail in tails if ours[6:6 + len(tail)] == tail]
    assert same, (ours, tails)
    # And nothing more: what comes behind is the answer to the client, with two bytes of VLESS.
    own = [r for r in ours[6 + max(same):] if r != GOODBYE]
    assert sum(n - 22 for _, n in own) == 2 + len(WORD), (ours, tails)


@pytest.mark.quick
def test_what_the_target_says_behind_a_handshake_is_known_through_a_reload(lab, target):
    """The target is asked again, and has not answered yet."""
    port, gate = lab.gated["nginx"], lab.gates["nginx"]
    lab.until_asked(port)
    before = records(lab.said_by("nginx", target)[1])[0]
    gate.keep()
    lab.node.reload_with(HandshakeTimeout=HANDSHAKE + OURS + 1)
    assert gate.kept.wait(20 * SLOW)
    settled = f"{port}: on all workers after"
    wait_until("all workers to have it", lambda: lab.node.proc.text().count(settled) > 1)
    after = records(lab.said_by("nginx", target)[1])[0]
    gate.open()
    assert len(before) > 6 and after[:8] == before[:8], (before, after)


# --- the looks themselves ---------------------------------------------------------------------------

class Detour(Listener):
    """A port in front of another that passes all on, but for one thing: seconds from an answer to its passing on, from
    an end to it, whether a reset stays one, whether the client's end arrives, and whether who goes on behind an end
    meets a reset."""

    def __init__(self, port, answer=0.0, end=0.0, resets=True, asks=True, cuts=True):
        self.to, self.answer, self.end = port, answer, end
        self.resets, self.asks, self.cuts = resets, asks, cuts
        super().__init__()

    def serve(self, s):
        far = socket.create_connection(("127.0.0.1", self.to))
        for one in s, far:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=self._back, args=(far, s), daemon=True).start()
        while data := s.recv(65536):
            far.sendall(data)
            time.sleep(0.002)
            if self.cuts and far.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._reset(s)
                return
        if self.asks:
            far.shutdown(socket.SHUT_WR)

    def _back(self, far, s):
        broken = False
        try:
            while data := far.recv(65536):
                time.sleep(self.answer)
                s.sendall(data)
        except OSError:
            broken = True
        time.sleep(self.end)
        with contextlib.suppress(OSError):  # he has gone meanwhile
            if broken and self.resets:
                self._reset(s)
            else:
                s.shutdown(socket.SHUT_WR)

    @staticmethod
    def _reset(s):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.shutdown(socket.SHUT_RD)  # who waits there holds it
        s.close()


LATER = 0.04 * SLOW

# What a detour does, what is sent to which server, and how the difference is told.
FAULTS = {
    "nothing": ({}, "nginx", "a hello and an end", ""),
    "answers 40 ms later": ({"answer": LATER}, "nginx", "a hello and an end", "answer 1: "),
    "ends 40 ms later": ({"end": LATER}, "nginx", "another group", "end: "),
    "ends half a second later": ({"end": 0.5 * SLOW}, "nginx", "half a hello and an end", "end: "),
    "says an end for a reset": ({"resets": False}, "go", "garbage", "'fin'"),
    "says nothing of an end": ({"asks": False}, "nginx", "half a hello and an end", "end: "),
    "swallows what comes behind an end": ({"cuts": False}, "nginx", "another group", "False"),
}


def seen_through(lab, fault, script):
    options, kind, _, told = FAULTS[fault]
    # On a busy machine the server itself is late now and then: then it takes more to be seen.
    own = spread(look_at([(lab.targets[kind],)], [(fault, 0, script)] * 8).values())
    late = {option: seconds + 3 * own for option, seconds in options.items() if option in ("answer", "end")}
    detour = Detour(lab.targets[kind], **{**options, **late})
    try:
        return "".join(differences([(detour.to, detour.port)], {fault: script}, rounds=2 if told else 5).values())
    finally:
        detour.close()


def test_a_difference_would_be_seen(lab, strangers):
    some = scripts(strangers, 1.5)

    def seen(fault):
        for _ in range(4):  # the machine may have become busy, or quiet, in the middle
            text = seen_through(lab, fault, some[FAULTS[fault][2]])
            if bool(text) == bool(FAULTS[fault][-1]):
                break
        return text

    with ThreadPoolExecutor(2) as pool:  # what they look with is one thread each, and one processor's
        for fault, text in zip(FAULTS, pool.map(seen, FAULTS)):
            told = FAULTS[fault][-1]
            assert told in text if told else not text, (fault, text)
