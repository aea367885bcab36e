"""A panel that misbehaves as told, for the v2sp dialect (panel-apis.md, section A).

Undisturbed it serves `config` and `users`, keeps pushes by their Idempotency-Key (each counts once) and
notes every request with its time.  `faults[action]` is a list of answers used up one by one, `always[action]` one
that stays; an answer is a function of the request.
"""
import functools
import hashlib
import json
import socket
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


# --- answers -----------------------------------------------------------------------------------

def hang_up(r):
    """No answer at all: the connection is closed."""
    r.drop()


def status(code, body=b'{"message":"no"}', kind="application/json", **headers):
    def answer(r):
        r.answer(code, body, kind, headers)
    return answer


def html(r):
    r.answer(200, b"<!DOCTYPE html><html><body>It works!</body></html>", "text/html", {"ETag": '"html"'})


def not_json(r):
    r.answer(200, b"{nonsense", "application/json", {"ETag": '"bad"'})


def truncated(r):
    """Promises more than it sends."""
    body = r.good_body()
    r.answer(200, body[:len(body) // 2], length=len(body))
    r.drop()


def wrong_types(r):
    wrong = {"config": {"node_type": 7, "server_port": {"a": 1}, "routes": "x", "base_config": 3},
             "user": {"users": {"id": "many"}}, "alivelist": {"alive": "all"}}
    r.answer(200, json.dumps(wrong.get(r.action, [])).encode(), headers={"ETag": '"wrong"'})


@functools.lru_cache(None)
def crowd(size):
    """About so many bytes of users, each with a comma behind."""
    one = '{"id":%d,"uuid":"00000000-0000-4000-8000-%012d","speed_limit":0,"device_limit":0},'
    return "".join(one % (i, i) for i in range(1000000, 1000000 + size // len(one % (1000000, 0)))).encode()


def huge(r, megabytes=100):
    """Users without an end worth waiting for; what is said of others lies in front."""
    head = json.dumps(r.panel.config if r.action == "config" else {})[:-1].encode()
    r.answer(200, head + (b', ' if len(head) > 1 else b'') + b'"users":[', length=megabytes << 20)
    filler = crowd(1 << 20)
    try:
        for _ in range(megabytes):
            r.wfile.write(filler)
    except OSError:
        pass
    r.drop()


def not_modified(r):
    """304 whether or not anything was asked for."""
    r.answer(304, b"", headers={"ETag": '"none"'})


def commit_then_hang(seconds):
    """The push is taken, the answer never comes."""
    def answer(r):
        r.panel.take_push(r)
        time.sleep(seconds)
        r.drop()
    return answer


def slow(seconds):
    def answer(r):
        time.sleep(seconds)
        r.good()
    return answer


# --- the panel ---------------------------------------------------------------------------------

class Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 120

    def log_message(self, *what):
        pass

    def do_GET(self):
        self.serve()

    def do_POST(self):
        self.serve()

    def serve(self):
        self.panel = self.server.panel
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query, keep_blank_values=True)
        self.action = query.get("action", ["?"])[0]
        self.query = {k: v[0] for k, v in query.items()}
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            self.panel.handle(self)
        except OSError:
            self.close_connection = True

    def answer(self, code, body=b"", kind="application/json", headers=None, length=None):
        self.send_response(code)
        if body or code != 304:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in (headers or {}).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def drop(self):
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def good_body(self):
        return self.panel.body(self.action)

    def good(self):
        self.panel.good(self)


class FakePanel:
    token, id = "a-node-token", 7

    def __init__(self, kind, port, users=(), **fields):
        self.type = kind
        self.config = dict({"node_type": kind, "server_port": port, "network": "tcp",
                            "base_config": {"push_interval": 1, "pull_interval": 1}}, **fields)
        self.users = list(users)
        self.faults, self.always = {}, {}
        self.log = []        # (time, action, answer's name)
        self.pushes = []     # (key, body) of every push that arrived, in order
        self.applied = {}    # key -> body
        self.alive = []
        self._lock = threading.Lock()
        self._server = None
        self.port = 0
        self.start()

    # what node.entry() asks for
    def as_node(self):
        return {"token": self.token, "id": self.id, "type": self.type}

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/node"

    def start(self):
        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True
            request_queue_size = 64

        self._server = Server(("127.0.0.1", self.port), Request)
        self._server.panel = self
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        """Gone: connections are refused until start()."""
        self._server.shutdown()
        self._server.server_close()

    def body(self, action):
        return json.dumps({"config": self.config, "user": {"users": self.users}, "alivelist": {"alive": {}}}
                          .get(action, {"message": "ok"})).encode()

    def handle(self, r):
        with self._lock:
            queue = self.faults.get(r.action)
            answer = queue.pop(0) if queue else self.always.get(r.action)
            self.log.append((time.monotonic(), r.action, getattr(answer, "__name__", "good") if answer else "good"))
        if r.query.get("token") != self.token or r.query.get("node_id") != str(self.id):
            r.answer(401, b'{"message":"token"}')
        elif answer:
            answer(r)
        else:
            r.good()

    def good(self, r):
        if r.action == "push":
            self.take_push(r)
        elif r.action == "alive":
            self.alive.append(json.loads(r.body))
        body = self.body(r.action)
        headers = {}
        if r.action in ("config", "user"):
            headers["ETag"] = '"' + hashlib.sha256(body).hexdigest()[:32] + '"'
            if r.headers.get("If-None-Match") == headers["ETag"]:
                r.answer(304, b"", headers=headers)
                return
        r.answer(200, body, headers=headers)

    def take_push(self, r):
        key = r.headers.get("Idempotency-Key") or f"without-{time.monotonic_ns()}"
        with self._lock:
            self.pushes.append((key, r.body))
            self.applied.setdefault(key, r.body)

    def traffic(self, uid):
        """(up, down) as a panel that keeps its promise counts it."""
        up = down = 0
        with self._lock:
            for body in self.applied.values():
                u, d = json.loads(body).get(str(uid), (0, 0))
                up, down = up + u, down + d
        return up, down

    def asked(self, action, since=0.0):
        return sum(a == action and t >= since for t, a, _ in self.log)
