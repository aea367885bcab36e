"""`weir ss-manager` and the scripts that drive it: as the wiki's does, and as shadowsocks-rust's does."""
import json
import os
import socket
import time

from . import SLOW
from .peers import write
from .proc import wait_until


class Script:
    """A client of the manager protocol on a unix socket of its own; `stat:` that comes by itself is added up."""

    def __init__(self, folder, address):
        self.address = str(address)
        self.path = os.path.join(str(folder), f"script.{time.monotonic_ns()}")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(self.path)
        self.deltas = {}
        self.messages = []  # of statistics, as they came

    def close(self):
        self.sock.close()
        os.unlink(self.path)

    def _receive(self, seconds):
        self.sock.settimeout(max(seconds, 0.001))
        try:
            return self.sock.recv(65536)
        except TimeoutError:
            return None

    def _take_statistics(self, data):
        """The wiki's deltas."""
        if not data.startswith(b"stat: "):
            return False
        self.messages.append(data)
        for port, n in json.loads(data[6:].rstrip(b"\0\n")).items():
            self.deltas[int(port)] = self.deltas.get(int(port), 0) + int(n)
        return True

    def say(self, command, seconds=10, asks_totals=False):
        """The reply, or None; deltas that come between are kept."""
        self.sock.sendto(command if isinstance(command, bytes) else command.encode(), self.address)
        end = time.monotonic() + seconds * SLOW
        while time.monotonic() < end:
            data = self._receive(end - time.monotonic())
            if data is not None and (asks_totals or not self._take_statistics(data)):
                return data
        return None

    def listen(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            data = self._receive(end - time.monotonic())
            if data is not None:
                assert self._take_statistics(data), data

    def add(self, port, password, method, **more):
        return self.say("add: " + json.dumps(dict(more, server_port=port, password=password, method=method)))

    def remove(self, port):
        return self.say("remove: " + json.dumps({"server_port": port}))

    def totals(self):
        """The libev dialect's answer to `ping`, of as many datagrams as it takes."""
        got = {}
        data = self.say("ping", asks_totals=True)
        while data is not None:
            assert data.startswith(b"stat: "), data
            got.update({int(p): int(n) for p, n in json.loads(data[6:].rstrip(b"\0\n")).items()})
            data = self._receive(0.2)
        return got

    def until_told(self, port, total, seconds=20):
        """Deltas of the port add up to exactly `total`, and no more comes."""
        end = time.monotonic() + seconds * SLOW
        while self.deltas.get(port, 0) < total and time.monotonic() < end:
            self.listen(0.2)
        assert self.deltas.get(port, 0) == total, f"port {port}: told {self.deltas.get(port, 0)}, moved {total}"


class Manager:
    """`weir ss-manager -c FILE`."""

    def __init__(self, procs, **config):
        self.procs = procs
        self.address = os.path.join(procs.folder, "manager.sock")
        self.config = dict({"manager_address": self.address, "server": "127.0.0.1", "stat_interval": 1,
                            "allow_private": True, "state_file": os.path.join(procs.folder, "manager.state")}, **config)
        self.start()

    def start(self):
        self.path = write(self.procs, "manager", self.config)
        os.chmod(self.path, 0o600)
        self.proc = self.procs.start("manager", [os.environ["WEIR_BIN"], "ss-manager", "-c", self.path])

        def ready():
            assert self.proc.alive(), self.proc.tail()
            return os.path.exists(self.address)

        wait_until("the manager's socket", ready, 20)

    def script(self):
        return Script(self.procs.folder, self.address)


def children(pid, program):
    """Process ids of the children of `pid` that run `program`."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as f:
                found += map(int, f.read().split())
        except OSError:
            pass
    return [c for c in found if program in _command(c)]


def _command(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read().decode(errors="replace")
    except OSError:
        return ""
