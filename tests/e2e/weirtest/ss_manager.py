"""The Shadowsocks manager as clients see it: scripts like those of the wiki page and of shadowsocks-rust."""
import json
import os
import re
import socket
import time

from . import SLOW, secrecy
from .peers import write
from .proc import wait_until

SETTLED = re.compile(r"stat: (\{.*\})")


class Manager:
    """`weir ss-manager` with a private state folder; `options` are keys of its file."""

    def __init__(self, procs, *arguments, name="ss-manager", **options):
        self.procs = procs
        self.folder = procs.folder
        self.socket = os.path.join(self.folder, "manager.sock")
        config = dict({"manager_address": self.socket, "server": "127.0.0.1", "allow_private": True,
                       "state_file": os.path.join(self.folder, "manager.json"), "stat_interval": 1,
                       "workers": 2}, **options)
        secrecy.issue_all(config)
        self.address = config["manager_address"]
        self.command = [os.environ["WEIR_BIN"], name, "-c", write(procs, "manager", config), *arguments]
        self.proc = self.start()

    def start(self):
        proc = self.procs.start("manager", self.command)
        said = "version"
        wait_until("the manager's socket", lambda: not proc.alive() or said in proc.text())
        assert proc.alive(), proc.tail()
        self.proc = proc
        return proc


class Client:
    """A manager's client on a unix socket or UDP."""

    def __init__(self, address, folder=None, timeout=5):
        self.address, self.path = address, None
        if isinstance(address, str):
            self.s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.path = os.path.join(folder, f"client-{time.monotonic_ns()}.sock")
            self.s.bind(self.path)
        else:
            self.s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.s.bind(("127.0.0.1", 0))
        self.s.settimeout(timeout * SLOW)
        self.moved = {}  # what the reports say, by port

    def send(self, text):
        self.s.sendto(text.encode() if isinstance(text, str) else text, self.address)

    def take(self):
        """The next datagram; reports are added up on the way."""
        data = self.s.recv(65536).decode()
        m = SETTLED.fullmatch(data.strip("\n\0"))
        if m:
            assert len(data) <= 1400 and " " not in m[1], data
            for port, n in json.loads(m[1]).items():
                self.moved[int(port)] = self.moved.get(int(port), 0) + n
        return data

    def ask(self, text):
        """The answer, whatever reports come in between."""
        self.send(text)
        while True:
            data = self.take()
            if not data.startswith("stat:"):
                return data

    def add(self, port, password, **more):
        return self.ask("add: " + json.dumps(dict({"server_port": port, "password": secrecy.issue(password)}, **more)))

    def remove(self, port):
        return self.ask("remove: " + json.dumps({"server_port": port}))

    def silence(self, text, seconds=0.5):
        """No answer."""
        self.send(text)
        self.s.settimeout(seconds)
        try:
            data = self.take()
            return data.startswith("stat:")
        except TimeoutError:
            return True
        finally:
            self.s.settimeout(5 * SLOW)

    def collect(self, port, n, seconds=15):
        """Reports until they say `n` for this port, or more."""
        end = time.monotonic() + seconds * SLOW
        while self.moved.get(port, 0) < n and time.monotonic() < end:
            try:
                self.take()
            except TimeoutError:
                pass
        return self.moved.get(port, 0)

    def close(self):
        self.s.close()
        if self.path:
            os.unlink(self.path)
