"""The panel: `weir panel serve` and its admin API (config.md G.14)."""
import http.client
import json
import os

from . import SLOW, secrecy
from .proc import free_port

ADMIN = "an-admin-token-for-tests"


class ApiError(Exception):
    def __init__(self, status, body):
        super().__init__(f"{status}: {body}")
        self.status, self.body = status, body


class Panel:
    def __init__(self, procs, port=None, db=None, options=()):
        self.procs = procs
        self.options = [str(o) for o in options]
        self.port = port or free_port()
        self.db = db or os.path.join(procs.folder, f"panel.{self.port}.db")
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        self.proc = self.procs.start("panel", [
            os.environ["WEIR_BIN"], "panel", "serve", "--listen", f"127.0.0.1:{self.port}", "--db", self.db,
            "--admin-token", ADMIN, *self.options])
        secrecy.issue(ADMIN)
        self.proc.wait_listening(self.port)

    def call(self, method, path, body=None, headers=None):
        """(status, headers, bytes) of any request."""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20 * SLOW)
        try:
            data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
            c.request(method, path, data, headers or {})
            answer = c.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            c.close()

    def admin(self, method, path, body=None):
        status, _, data = self.call(method, "/admin/v1" + path, body, {
            "Authorization": f"Bearer {ADMIN}", "Content-Type": "application/json"})
        secrecy.issue_all(body)
        if status >= 300:
            raise ApiError(status, data.decode(errors="replace"))
        return secrecy.issue_all(json.loads(data)) if data else None

    def add_user(self, **fields):
        return self.admin("POST", "/users", fields)

    def user(self, uid):
        return self.admin("GET", f"/users/{uid}")

    def change_user(self, uid, **fields):
        return self.admin("PATCH", f"/users/{uid}", fields)

    def remove_user(self, uid):
        return self.admin("DELETE", f"/users/{uid}")

    def add_node(self, kind, port, **settings):
        return self.admin("POST", "/nodes", {"type": kind, "port": port, "host": "127.0.0.1", "settings": dict(
            {"push_interval": 1, "pull_interval": 1}, **settings)})

    def change_node(self, nid, **fields):
        return self.admin("PATCH", f"/nodes/{nid}", fields)

    def traffic(self, uid):
        u = self.user(uid)
        return u["u"], u["d"]
