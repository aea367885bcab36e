"""Traffic that goes on at a pace of its own until it is told to stop, and both ends of it in one hand.

One thread moves all of it, so that whoever looks (`Pace.watch`) finds it standing still: what the client has and what
the target has sent are numbers of one moment.  `Counted` are the node's own counters at that moment.
"""
import contextlib
import functools
import glob
import hashlib
import itertools
import mmap
import os
import queue
import random
import selectors
import socket
import ssl
import struct
import threading
import time

from . import SLOW
from .proc import wait_until

TICK = 0.2
DOWN, UP = 32 * 1024, 4 * 1024  # of a stream, in a tick
PACKETS, SIZE = 6, 1200         # of an association: answers to a question, and their size
PATIENT = int(4 * SLOW)         # ticks until a question is asked again
BLOCK = random.Random(1).randbytes(2 * DOWN)


# --- what is said inside ------------------------------------------------------------------------

class Plain:
    """Nothing in between."""
    ready = True

    @staticmethod
    def take(raw):
        return raw

    @staticmethod
    def give(data):
        return data


class Tls:
    """TLS of Python's; what it has to say of its own goes out with the next `give`."""

    def __init__(self, context, **more):
        self.came, self.goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.came, self.goes, **more)
        self.ready = False
        self._shake()

    def _shake(self):
        try:
            self.tls.do_handshake()
            self.ready = True
        except ssl.SSLWantReadError:
            pass

    def take(self, raw):
        self.came.write(raw)
        if not self.ready:
            self._shake()
        got = b""
        try:
            while self.ready and (data := self.tls.read(65536)):
                got += data
        except ssl.SSLWantReadError:
            pass
        return got

    def give(self, data):
        view = memoryview(data)
        while view:
            view = view[self.tls.write(view):]
        return self.goes.read()


@functools.lru_cache(None)
def contexts(cert):
    """(of a server, of a client): TLS 1.3."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert.crt, cert.key)
    client = ssl.create_default_context(cafile=cert.crt)
    for c in server, client:
        c.minimum_version = ssl.TLSVersion.TLSv1_3
    return server, client


# --- ends ---------------------------------------------------------------------------------------

class End:
    """Of a stream.  `sent` and `received` are bytes on the wire, the digests of what was said inside."""

    def __init__(self, sock, inner, step):
        sock.setblocking(False)
        self.sock, self.inner, self.step = sock, inner, step
        self.sent = self.received = self.at = 0
        self.said, self.heard = hashlib.sha256(), hashlib.sha256()
        self.last, self.gap = time.monotonic(), 0.0  # the longest time without a byte
        self.waiting = self.name = b""

    def say(self, data):
        self.said.update(data)
        self.waiting += self.inner.give(data)
        self.flush()

    def flush(self):
        self.waiting = self.waiting or self.inner.give(b"")
        try:
            while self.waiting:
                n = self.sock.send(self.waiting)
                self.sent += n
                self.waiting = self.waiting[n:]
        except BlockingIOError:
            pass

    def hear(self):
        """What has come, inside; None: nothing more will."""
        try:
            raw = self.sock.recv(262144)
        except BlockingIOError:
            return b""
        if not raw:
            return None
        now = time.monotonic()
        self.gap, self.last = max(self.gap, now - self.last), now
        self.received += len(raw)
        data = self.inner.take(raw)
        self.heard.update(data)
        self.flush()
        return data

    def tick(self):
        """A step further, if what was said before has gone."""
        self.flush()
        if not self.waiting and self.inner.ready:
            self.at = (self.at + 4097) % DOWN
            self.say(BLOCK[self.at:self.at + self.step])


class Flow:
    """A stream through a client, with steps in both directions."""

    def __init__(self, pace, way, inner=None):
        """`inner`: a certificate, of TLS inside."""
        self.number = pace.number(self)
        self.far = None
        sock = way.open(pace.tls if inner else pace.plain)
        more = {"server_hostname": inner.name} if inner else {}
        self.near = End(sock, Tls(contexts(inner)[1], **more) if inner else Plain(), UP)
        self.greeted = False
        self.greet()
        pace.add(self, (self.near.sock, self.hear))

    def greet(self):
        """Hello, of TLS first where that is inside; then who we are."""
        self.near.flush()
        if not self.greeted and self.near.inner.ready:
            self.greeted = True
            self.near.say(self.number)

    def hear(self):
        return self.near.hear() is not None

    def tick(self):
        # The far end speaks when it knows who we are; we go on when it has: a client of Trojan wants it so.
        if not self.greeted:
            self.greet()
        elif self.far and self.near.received and self.far.received:
            self.near.tick()
        else:
            self.near.flush()
        if self.far:
            self.far.tick()

    def flush(self):
        self.near.flush()
        if self.far:
            self.far.flush()

    def standing(self):
        """Nothing is on its way."""
        return self.far and not self.near.waiting and not self.far.waiting and self.moved() == (
            self.far.received, self.far.sent)

    def moved(self):
        return self.near.sent, self.near.received

    def bounds(self):
        """(up: the target has, the client has sent; down: the client has, the target has sent)"""
        far = self.far.received if self.far else 0, self.far.sent if self.far else 0
        return far[0], self.near.sent, self.near.received, far[1]

    @property
    def perhaps(self):
        """What may have been counted beyond what has moved, up and down: nothing."""
        return 0, 0

    def whole(self):
        near, far = self.near, self.far
        return far and (near.said.digest(), far.said.digest()) == (far.heard.digest(), near.heard.digest())

    @property
    def gap(self):
        return max(self.near.gap, time.monotonic() - self.near.last)

    def forget_gap(self):
        self.near.last, self.near.gap = time.monotonic(), 0.0

    def close(self):
        self.near.sock.close()


class Packets:
    """An association: a question, PACKETS answers, the next question.  A datagram may get lost on any of its ways, in
    front of who counts it or behind, so what has moved is what arrived."""

    def __init__(self, pace, way):
        self.number = pace.number(self)
        self.udp = way.udp()
        self.udp.sock.setblocking(False)
        self.far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.far.bind(("127.0.0.1", 0))
        self.far.setblocking(False)
        self.near_sent = self.near_received = self.far_sent = self.far_received = self.wrong = 0
        self.sources = set()
        self.turn, self.owed, self.waited = 0, 0, 0
        self.last, self.longest = time.monotonic(), 0.0
        self.stirred = self.last  # when either end has had one
        pace.add(self, (self.far, self.answer), (self.udp.sock, self.hear))

    @staticmethod
    def packet(turn, i):
        at = (turn * 61 + i) % DOWN
        return struct.pack(">QI", turn, i) + BLOCK[at:at + SIZE - 12]

    def tick(self):
        # Whoever is still connecting answers late; what is lost is asked for again.
        self.waited += 1
        if self.owed and self.waited < PATIENT:
            return
        self.turn, self.owed, self.waited = self.turn + 1, PACKETS, 0
        data = self.packet(self.turn, PACKETS)
        self.near_sent += len(data)
        self.udp.sendto(data, self.far.getsockname())

    def answer(self):
        try:
            data, source = self.far.recvfrom(65536)
        except OSError:
            return True
        self.stirred = time.monotonic()
        self.far_received += len(data)
        self.sources.add(source)
        turn = struct.unpack_from(">Q", data)[0]
        self.wrong += data != self.packet(turn, PACKETS)
        for i in range(PACKETS):
            self.far_sent += self.far.sendto(self.packet(turn, i), source)
        return True

    def hear(self):
        try:
            data, _ = self.udp.recvfrom()
        except OSError:
            return True
        self.stirred = now = time.monotonic()
        self.longest, self.last = max(self.longest, now - self.last), now
        self.near_received += len(data)
        turn, i = struct.unpack_from(">QI", data)
        self.wrong += data != self.packet(turn, i)
        self.owed -= turn == self.turn
        return True

    def flush(self):
        pass

    def standing(self):
        """Nothing is on its way, or whatever was is lost."""
        return self.perhaps == (0, 0) or time.monotonic() - self.stirred > SLOW

    def moved(self):
        return self.far_received, self.near_received

    @property
    def perhaps(self):
        return self.near_sent - self.far_received, self.far_sent - self.near_received

    def bounds(self):
        return self.far_received, self.near_sent, self.near_received, self.far_sent

    def whole(self):
        return not self.wrong

    @property
    def gap(self):
        return max(self.longest, time.monotonic() - self.last)

    def forget_gap(self):
        self.last, self.longest = time.monotonic(), 0.0

    def close(self):
        self.udp.close()
        self.far.close()


class Door:
    """Where streams arrive; `host` and `port` make it a target."""

    def __init__(self):
        self.sock = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.sock.setblocking(False)
        self.host, self.port = self.sock.getsockname()


class Pace:
    """The thread, with the targets of all flows."""

    def __init__(self, cert):
        self.cert, self.plain, self.tls = cert, Door(), Door()
        self.flows, self.broken, self.watch = [], [], None
        self.late = 0.0     # the longest that a step of the thread itself has waited for the processor
        self.error = None   # what has ended the thread before its time
        self._numbers, self._named, self._new = itertools.count(1), {}, queue.SimpleQueue()
        self._run_on, self._going, self._stopped = True, True, threading.Event()
        self._wait = selectors.DefaultSelector()
        for door in self.plain, self.tls:
            self._wait.register(door.sock, selectors.EVENT_READ, functools.partial(self._accept, door))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def number(self, flow):
        n = struct.pack(">Q", next(self._numbers))
        self._named[n] = flow
        return n

    def add(self, flow, *heard):
        self._new.put((flow, heard))

    def _accept(self, door):
        try:
            sock = door.sock.accept()[0]
        except BlockingIOError:
            return True
        end = End(sock, Tls(contexts(self.cert)[0], server_side=True) if door is self.tls else Plain(), DOWN)
        self._wait.register(sock, selectors.EVENT_READ, functools.partial(self._first, end))
        return True

    def _first(self, end):
        """Until it has said whose it is, in eight bytes."""
        data = end.hear()
        end.name += data or b""
        if len(end.name) >= 8:
            self._named[end.name[:8]].far = end
            self._wait.modify(end.sock, selectors.EVENT_READ, lambda: end.hear() is not None)
        return data is not None

    def _adopt(self):
        while not self._new.empty():
            flow, heard = self._new.get()
            self.flows.append(flow)
            for sock, call in heard:
                self._wait.register(sock, selectors.EVENT_READ, functools.partial(self._of, flow, call))

    def _of(self, flow, call):
        try:
            on = call()
        except OSError:
            on = False
        if not on and self._going:
            self.broken.append(flow)
        return on

    def _heard(self, key):
        try:
            on = key.data()
        except OSError:
            on = False
        if not on:
            self._wait.unregister(key.fileobj)

    def _run(self):
        try:
            self._move_all()
        except Exception as e:  # pylint: disable=broad-except
            self.error = e  # for check()
            self._stopped.set()

    def check(self):
        """It does run."""
        if self.error:
            raise AssertionError("the traffic has ended") from self.error

    def _move_all(self):
        at = time.monotonic()
        while self._run_on:
            self._adopt()
            for key, _ in self._wait.select(max(0.0, at - time.monotonic())):
                self._heard(key)
            if time.monotonic() < at:
                continue
            self.late = max(self.late, time.monotonic() - at)
            at = time.monotonic() + TICK
            self._step()

    def _step(self):
        for flow in self.flows:
            try:
                if self._going:
                    flow.tick()
                else:
                    flow.flush()
            except OSError:
                if flow not in self.broken:
                    self.broken.append(flow)
        if not self._going:
            self._stopped.set()
        elif self.watch:
            self.watch()

    def stop(self, seconds=20):
        """Nothing new is said; what has been said arrives.  Of which flows it does not."""
        self._going = False
        assert self._stopped.wait(seconds * SLOW)
        self.check()

        def waiting():
            return [f for f in self.flows if f not in self.broken and not f.standing()]

        with contextlib.suppress(AssertionError):
            wait_until("all to have arrived", lambda: self.error or not waiting(), seconds)
        self.check()
        return waiting()

    def close(self):
        if not self._run_on:
            return
        self._going = self._run_on = False
        self._thread.join()
        for flow in self.flows:
            flow.close()
        for key in list(self._wait.get_map().values()):
            self._wait.unregister(key.fileobj)
            key.fileobj.close()
        self._wait.close()


# --- what the node has counted -------------------------------------------------------------------

class Counted:
    """The counters of a node's users: the file that its workers write into (src/user/counters.h)."""

    ROUND = 65536

    def __init__(self, node, ids):
        path, = glob.glob(os.path.join(node.text["State"]["Dir"], "counters-*"))
        with open(path, "rb") as f:
            self.map = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
        self.words = memoryview(self.map).cast("Q")
        workers, slots = struct.unpack_from("=2I", self.map, 16)
        size = -(-slots * 16 * (1 + workers) // self.ROUND) * self.ROUND
        self.at = {i: [] for i in ids}
        for first in range(self.ROUND // 8, len(self.words) - size // 8 + 1, size // 8):
            for slot in range(slots):
                owner = self.words[first + 2 * slot + 1]
                if owner in self.at:
                    self.at[owner] += [first + 2 * (slots * (1 + w) + slot) for w in range(workers)]

    def of(self, user):
        """(up, down) over all of the node's inbounds."""
        return sum(self.words[i] for i in self.at[user]), sum(self.words[i + 1] for i in self.at[user])
