"""What clients reach through the node: a TCP server that hashes, and UDP servers that echo.

The TCP server reads one line, then does as told:

    PUT n         answers `go\\n`, takes n bytes, answers `<sha256> <n>\\n`
    GET n seed    sends n bytes of the stream that `seed` makes
    ECHO          sends back what comes; at end of stream closes its side too
    SUM           takes bytes until the end of the stream, then answers the digest
    TAIL n seed   sends n bytes, ends its side, goes on taking; `tails[seed]` is the digest and count in the end

`received` and `sent` count all bytes on all connections: what the billing must agree with.
"""
import hashlib
import random
import selectors
import socket
import threading
import time

CHUNK = 256 * 1024


def stream(n, seed):
    """Chunks of n seeded random bytes."""
    r = random.Random(seed)
    while n > 0:
        k = min(n, CHUNK)
        yield r.randbytes(k)
        n -= k


def digest(chunks):
    h = hashlib.sha256()
    for c in chunks:
        h.update(c)
    return h.hexdigest()


class Peer:
    """A connection of the target with a buffer for the first line."""

    def __init__(self, server, sock):
        self.server, self.sock, self.rest = server, sock, b""

    def recv(self, n=CHUNK):
        if self.rest:
            data, self.rest = self.rest[:n], self.rest[n:]
            return data
        data = self.sock.recv(n)
        self.server.count(received=len(data))
        return data

    def send(self, data):
        view = memoryview(data)
        while view:
            n = self.sock.send(view)
            self.server.count(sent=n)
            view = view[n:]

    def line(self):
        got = b""
        while b"\n" not in got:
            data = self.recv()
            if not data:
                return None
            got += data
        text, self.rest = got.split(b"\n", 1)
        return text.decode()


class HashServer:
    def __init__(self, host="127.0.0.1", port=0):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind((host, port))
        self.sock.listen(1024)
        self.host, self.port = self.sock.getsockname()[:2]
        self.received = self.sent = self.connections = 0
        self.tails = {}
        self.sources = []  # of each connection, in order
        self._lock = threading.Lock()
        self._open = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def count(self, received=0, sent=0):
        with self._lock:
            self.received += received
            self.sent += sent

    def close(self):
        self.sock.close()
        for s in list(self._open):
            s.close()

    def _accept(self):
        while True:
            try:
                sock, source = self.sock.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self.sources.append(source)
                self._open.add(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        try:
            with sock:
                self._obey(Peer(self, sock))
        except OSError:
            pass
        finally:
            self._open.discard(sock)

    def _obey(self, peer):
        line = peer.line()
        if not line:
            return
        word, *numbers = line.split()
        numbers = [int(n) for n in numbers]
        getattr(self, "_do_" + word.lower())(peer, *numbers)

    def _do_put(self, peer, n):
        # Xray's Trojan client fails when its first read is a full one ("buffer is full"): wait for a word.
        peer.send(b"go\n")
        h, left = hashlib.sha256(), n
        while left:
            data = peer.recv(min(left, CHUNK))
            if not data:
                return
            h.update(data)
            left -= len(data)
        peer.send(f"{h.hexdigest()} {n}\n".encode())
        # Not the first to close: the answer must not be overtaken by a reset.
        while peer.recv():
            pass

    def _do_get(self, peer, n, seed):
        for chunk in stream(n, seed):
            peer.send(chunk)
        while peer.recv():
            pass

    def _do_echo(self, peer):
        while data := peer.recv():
            peer.send(data)

    def _take_all(self, peer):
        h, n = hashlib.sha256(), 0
        while data := peer.recv():
            h.update(data)
            n += len(data)
        return h.hexdigest(), n

    def _do_sum(self, peer):
        peer.send("{} {}\n".format(*self._take_all(peer)).encode())

    def _do_tail(self, peer, n, seed):
        for chunk in stream(n, seed):
            peer.send(chunk)
        peer.sock.shutdown(socket.SHUT_WR)
        self.tails[seed] = self._take_all(peer)


class UdpEcho:
    """`count` sockets, each answering `<index>:<what came>`; one thread.

    What begins with `VIA <index> ` is answered by that other socket: an address which the client has never
    sent to, as a full cone lets through.  What begins with `TWICE ` is answered twice.
    """

    def __init__(self, count=1, host="127.0.0.1"):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socks = []
        for _ in range(count):
            s = socket.socket(family, socket.SOCK_DGRAM)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            s.bind((host, 0))
            self.socks.append(s)
        self.addresses = [s.getsockname()[:2] for s in self.socks]
        self.received = self.sent = 0
        self.delay = 0  # seconds before an answer
        self.forget()
        self._stop = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def forget(self):
        """Sources from here on: a port that somebody had before is no less new."""
        self.sources = [set() for _ in self.socks]

    def close(self):
        self._stop = True
        self._thread.join()
        for s in self.socks:
            s.close()

    def _run(self):
        with selectors.DefaultSelector() as sel:
            for i, s in enumerate(self.socks):
                sel.register(s, selectors.EVENT_READ, i)
            while not self._stop:
                for key, _ in sel.select(0.1):
                    self._answer(key.data)

    def _answer(self, i):
        try:
            data, source = self.socks[i].recvfrom(65536)
        except OSError:
            return
        self.received += len(data)
        self.sources[i].add(source)
        if data.startswith(b"VIA "):
            i = int(data.split(b" ", 2)[1])
        answer = b"%d:%s" % (i, data)
        time.sleep(self.delay)
        try:
            for _ in range(2 if data.startswith(b"TWICE ") else 1):
                self.sent += self.socks[i].sendto(answer, source)
        except OSError:
            pass
