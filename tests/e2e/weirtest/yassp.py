"""YaSSP: a site (`weir yassp` and its INI), and a panel that misbehaves as told.

FakePanel serves the list `profiles` and keeps reports by their Idempotency-Key (each counts once), as FakePanel of v2sp does; the
same answers fit: `faults["services"]`, `faults["traffics"]` are used up one by one, `always[...]` stays.
"""
import base64
import hashlib
import json
import os
import urllib.parse

from . import secrecy
from .fakepanel import FakePanel as V2spPanel
from .fakepanel import Request
from .peers import Outbound
from .proc import free_port, wait_until


class FakePanel(V2spPanel):
    def __init__(self, profiles=()):
        self.profiles = list(profiles)
        self.host, self.psk = "host-1", "k;e%y"
        super().__init__("yassp", 0)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/base"

    def body(self, action):
        return json.dumps(self.profiles).encode() if action == "services" else b""

    def handle(self, r):
        path = urllib.parse.urlsplit(r.path).path
        r.action = {"/base/services/": "services", "/base/traffics/": "traffics"}.get(path, "?")
        with self._lock:
            queue = self.faults.get(r.action)
            answer = queue.pop(0) if queue else self.always.get(r.action)
            self.log.append((r.headers.get("If-None-Match"), r.action, getattr(answer, "__name__", "good") if answer else "good"))
        basic = base64.b64encode(f"{self.host}:{self.psk}".encode()).decode()
        if r.headers.get("Authorization") != f"Basic {basic}":
            r.answer(403, b'{"message":"who?"}')
        elif answer:
            answer(r)
        else:
            self.good(r)

    def good(self, r):
        if r.action == "traffics":
            self.take_push(r)
            r.answer(204)
            return
        body = self.body(r.action)
        tag = '"' + hashlib.sha256(body).hexdigest()[:32] + '"'
        if r.headers.get("If-None-Match") == tag:
            r.answer(304, b"", headers={"ETag": tag})
        else:
            r.answer(200, body, headers={"ETag": tag})

    def billed(self, port):
        with self._lock:
            return sum(json.loads(body).get(str(port), 0) for body in self.applied.values())

    def asked(self, action, since=0.0):
        with self._lock:
            return sum(a == action for _, a, _ in self.log)


def profile(method="aes-256-gcm", **more):
    return dict({"port": free_port(), "method": method, "password": secrecy.issue(os.urandom(9).hex())}, **more)


def outbound(p, **more):
    return Outbound("shadowsocks", int(p["port"]), p["password"], method=p["method"], **more)


class Site:
    """`weir yassp` on one section of a file."""

    def __init__(self, procs, url, host, psk, name="site", start=True, **keys):
        self.procs, self.name = procs, name
        secrecy.issue(psk)
        self.folder = os.path.join(procs.folder, name)
        os.makedirs(self.folder, exist_ok=True)
        self.file = os.path.join(self.folder, "sites.cfg")
        self.keys = {"log level": "10", "ss-server bind": "127.0.0.1", "allow private": "yes", "pull interval": "1",
                     "traffic sync threshold": "1", "traffic sync timeout": "1", "yassp url": url,
                     "yassp hostname": host, "yassp psk": psk.replace("%", "%%"),
                     "state file": os.path.join(self.folder, "state")}
        self.keys.update({k.replace("_", " "): str(v) for k, v in keys.items()})
        self.write()
        self.proc = None
        if start:
            self.start()

    def write(self):
        with open(self.file, "w", encoding="utf-8") as f:
            f.write("[DEFAULT]\nlog level = 30\n[site]\n")
            for key, value in self.keys.items():
                f.write(f"{key} = {value}\n")
        os.chmod(self.file, 0o600)

    def start(self):
        self.proc = self.procs.start("yassp", [os.environ["WEIR_BIN"], "yassp", self.file, "site"])

    def serves(self, *ports):
        for port in ports:
            self.proc.wait_listening(port)
        return self

    def push_port(self):
        """Where the push server listens, from the log."""
        def look():
            for line in self.proc.text().splitlines()[::-1]:
                if "push server on" in line:
                    return int(line.rsplit(":", 1)[1])
            return None
        return wait_until("the push server", look)


__all__ = ["FakePanel", "Request", "Site", "outbound", "profile"]
