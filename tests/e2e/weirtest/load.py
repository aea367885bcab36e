"""Traffic that goes on whatever becomes of the node, and what the client saw of it."""
import threading
import time

from . import socks, traffic
from .targets import CHUNK, stream


class Load:
    """Downloads, uploads and packets that start again when they are broken off, counting what the client saw."""

    def __init__(self, way, target, udp_target=None):
        self.way, self.target, self.udp_target = way, target, udp_target
        self.received = self.sent = 0
        self._stop = False
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=f, daemon=True)
                         for f in ((self._stream, self._down), (self._stream, self._down), (self._stream, self._up),
                                   (self._packets,))[:4 if udp_target else 3]]
        for t in self._threads:
            t.start()

    def _count(self, received=0, sent=0):
        with self._lock:
            self.received += received
            self.sent += sent

    def _run(self, work, *more):
        while not self._stop:
            try:
                work(*more)
            except (OSError, EOFError):
                time.sleep(0.05)

    def _stream(self, move):
        with self.way.open(self.target, 5) as s:
            move(s)

    def _packets(self):
        # Whose answers do not come has been cut off: another association.
        with socks.Udp(self.way.port, 0.5) as u:
            while not self._stop:
                for i in range(8):
                    self._count(sent=1000)
                    u.sendto(bytes(1000), self.udp_target.addresses[i % 2])
                for _ in range(8):
                    self._count(received=len(u.recvfrom()[0]))

    def _say(self, s, line):
        # Counted before it is sent: the upper bound of what can have been billed.
        self._count(sent=len(line))
        s.sendall(line)

    def _down(self, s):
        self._say(s, b"GET 1000000000 1\n")
        while not self._stop:
            n = len(s.recv(CHUNK))
            if not n:
                return
            self._count(received=n)

    def _up(self, s):
        self._say(s, b"PUT 1000000000\n")
        self._count(received=len(traffic.read_line(s)))
        for chunk in stream(1000000000, 2):
            if self._stop:
                return
            for at in range(0, len(chunk), 16384):
                self._count(sent=len(chunk[at:at + 16384]))
                s.sendall(chunk[at:at + 16384])

    def stop(self):
        self._stop = True
        for t in self._threads:
            t.join()
