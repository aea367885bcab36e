"""Real inner TLS: an nginx to fetch from and to put to, curl as its client, and a tap that counts in front."""
import hashlib
import os
import random
import shutil
import socket
import subprocess
import threading

from .listener import Listener
from .proc import free_port

CONFIG = """
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off; sendfile on; client_max_body_size 0;
    client_body_temp_path {folder}/tmp; proxy_temp_path {folder}/tmp2; fastcgi_temp_path {folder}/tmp3;
    uwsgi_temp_path {folder}/tmp4; scgi_temp_path {folder}/tmp5;
    {servers}
}}
"""
SERVER = """
    server {{
        listen 127.0.0.1:{port} ssl; ssl_certificate {cert.crt}; ssl_certificate_key {cert.key};
        ssl_protocols {protocols}; root {folder}/www; location / {{ dav_methods PUT; }}
    }}
"""


class Tap(Listener):
    """Forwards to 127.0.0.1:`port`, counts the bytes of both directions and, if asked, keeps them."""

    def __init__(self, port, keep=False):
        self.to, self.keep = port, keep
        self.up = self.down = 0
        self.kept = []  # of each connection: [up, down]
        super().__init__()

    def serve(self, s):
        far = socket.create_connection(("127.0.0.1", self.to))
        both = [bytearray(), bytearray()]
        self.kept.append(both)
        threading.Thread(target=self._carry, args=(far, s, "down", both[1]), daemon=True).start()
        self._carry(s, far, "up", both[0])

    def _carry(self, a, b, name, kept):
        try:
            while data := a.recv(262144):
                setattr(self, name, getattr(self, name) + len(data))
                if self.keep:
                    kept += data
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Web:
    """nginx with TLS of one version a port: `ports["TLSv1.3"]`."""

    def __init__(self, procs, cert, versions=("TLSv1.2", "TLSv1.3")):
        self.folder = os.path.join(procs.folder, f"nginx.{free_port()}")
        os.makedirs(os.path.join(self.folder, "www"))
        self.cert = cert
        self.ports = {v: free_port() for v in versions}
        servers = "".join(SERVER.format(port=p, cert=cert, protocols=v, folder=self.folder)
                          for v, p in self.ports.items())
        path = os.path.join(self.folder, "nginx.conf")
        with open(path, "w", encoding="ascii") as f:
            f.write(CONFIG.format(folder=self.folder, servers=servers))
        nginx = shutil.which("nginx") or "/usr/sbin/nginx"
        self.proc = procs.start("nginx", [nginx, "-c", path, "-p", self.folder, "-e", f"{self.folder}/error.log"])
        for port in self.ports.values():
            self.proc.wait_listening(port)

    def file(self, size, seed):
        """The name of a file to fetch, and its digest."""
        data = random.Random(seed).randbytes(size)
        with open(os.path.join(self.folder, "www", f"f{seed}"), "wb") as f:
            f.write(data)
        return f"f{seed}", hashlib.sha256(data).hexdigest()

    def digest(self, name):
        with open(os.path.join(self.folder, "www", name), "rb") as f:
            return hashlib.sha256(f.read()).hexdigest()

    def curl(self, way, port, *more, seconds=60):
        """What curl fetches from `port` (a tap's, or nginx's own) through the SOCKS port of `way`."""
        *options, name = more
        command = ["curl", "-sS", "--fail", "--max-time", str(seconds), "--cacert", self.cert.crt,
                   "-x", f"socks5h://127.0.0.1:{way.port}", "--connect-to", f"::127.0.0.1:{port}", *options,
                   f"https://{self.cert.name}:{port}/{name}"]
        done = subprocess.run(command, capture_output=True, timeout=seconds + 30)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout
