"""What somebody does who wants to find out what listens on a port: sends things and watches the clock."""
import dataclasses
import resource
import selectors
import socket
import threading
import time

from . import SLOW
from .listener import Listener


@dataclasses.dataclass
class Seen:
    """What one probe saw: after how many seconds the end, which one, what was said before it, and whether what it
    sent then brought a reset."""
    seconds: float
    end: str          # "fin", "reset", "none"
    said: bytes = b""
    cut: bool = False


class _Probe:
    def __init__(self, address, data, also):
        self.sock = socket.create_connection(address, timeout=10 * SLOW)
        self.born = time.monotonic()
        self.data, self.also, self.said = data, also, b""
        self.sock.setblocking(False)
        self.seen, self.look_again = None, 0
        if data:
            self.sock.send(data)

    def on_readable(self):
        try:
            got = self.sock.recv(4096)
        except ConnectionResetError:
            self.finish("reset")
            return
        if got:
            self.said += got
        else:
            self.finish("fin")

    def finish(self, how):
        self.seen = Seen(time.monotonic() - self.born, how, self.said)
        if how == "fin":
            # Who keeps sending behind the end must not be told apart from who has nothing to say.
            self.look_again = time.monotonic() + 0.2
            try:
                self.sock.send(bytes(100))
            except OSError:
                self.seen.cut = True
        else:
            self.sock.close()

    def close(self):
        if self.look_again:
            # Behind an end of stream recv() has no ear for a reset.
            if self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self.seen.cut = True
            self.sock.close()
        self.look_again = 0

    def more(self):
        try:
            self.sock.send(self.also)
        except OSError:
            pass


def probe(port, blobs, seconds, also=b"", host="127.0.0.1"):
    """Sends each blob on a connection of its own, and then, if given, `also` each 100 ms.

    Whoever has not seen an end after `seconds` has seen "none".
    """
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    seconds, probes = seconds * SLOW, []
    with selectors.DefaultSelector() as sel:
        for blob in blobs:
            p = _Probe((host, port), blob, also)
            probes.append(p)
            sel.register(p.sock, selectors.EVENT_READ, p)
        end, tick = time.monotonic() + seconds, 0.0
        while time.monotonic() < end and any(not p.seen or p.look_again for p in probes):
            for key, _ in sel.select(0.02):
                p = key.data
                fd = key.fd
                p.on_readable()
                if p.seen:
                    sel.unregister(fd)
            for p in probes:
                if 0 < p.look_again < time.monotonic():
                    p.close()
            if also and time.monotonic() > tick:
                tick = time.monotonic() + 0.1
                for p in probes:
                    if not p.seen:
                        p.more()
    for p in probes:
        if not p.seen:
            p.finish("none")
        p.close()
    return [p.seen for p in probes]


class Tap(Listener):
    """Stands between a client and a server and keeps what the client says first.

    With `swallow` the server is never told.  `flights` are the bytes of each connection in order.
    """

    def __init__(self, port, swallow=False):
        self.target, self.swallow, self.flights = port, swallow, []
        super().__init__()

    def serve(self, s):
        flight = bytearray()
        self.flights.append(flight)
        server = None if self.swallow else socket.create_connection(("127.0.0.1", self.target))
        if server:
            threading.Thread(target=self._copy, args=(server, s, None), daemon=True).start()
        self._copy(s, server, flight)

    @staticmethod
    def _copy(source, to, keep):
        try:
            while data := source.recv(65536):
                if keep is not None:
                    keep += data
                if to:
                    to.sendall(data)
        except OSError:
            pass
        for s in filter(None, (source, to)):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
