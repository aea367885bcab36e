"""Real TLS 1.3 inside of the flow xtls-rprx-vision: curl fetches from nginx, and a server in between has little to do.

Every server is reached by the same client, `weir connect`; the floor is a bare splice relay that curl reaches by
itself, with the same inner bytes.  What is compared is the CPU of the server, by its clock.
"""
import os
import subprocess
import time

from weirtest import peers
from weirtest.certs import Cert
from weirtest.proc import free_port
from weirtest.web import Web

import ways

SERVERS = ways.WEIR + ways.GO_PEERS
SECURITIES = ("tls", "reality")
FLOOR = "splice"


def cpu(pid):
    """Seconds of all threads, by the process's own clock: /proc counts in ticks."""
    return time.clock_gettime((~pid << 3) | 2)


class Inner:
    def __init__(self, procs, build, size, security):
        self.procs, self.security = procs, security
        self.web = Web(procs, Cert(procs.folder, "inner.test"), ("TLSv1.3",))
        self.sizes = {"alone": size, "many": size // 4}
        for name, n in self.sizes.items():
            with open(os.path.join(self.web.folder, "www", name), "wb") as f:
                f.truncate(n)
        self.port = self.web.ports["TLSv1.3"]
        self.ways = {name: self._server(name) for name in SERVERS}
        port = free_port()
        floor = procs.start(FLOOR, [build / "bench/splice_relay", port, self.port], env={"THREADS": str(ways.threads())})
        self.ways[FLOOR] = floor.wait_listening(port).pid, None, port

    def _server(self, name):
        o = ways.outbound(ways.KINDS[f"vless-{self.security}"], self.web.cert, self.procs)
        o.flow = "xtls-rprx-vision"
        proc = ways.start_of(name, "vless")(self.procs, o)
        return proc.pid, peers.start_client("weir", self.procs, o).port, self.port

    def curl(self, name, file):
        _, socks, port = self.ways[name]
        proxy = ["-x", f"socks5h://127.0.0.1:{socks}"] if socks else []
        return subprocess.Popen(["curl", "-sS", "--fail", "--max-time", "120", "--cacert", self.web.cert.crt, *proxy,
                                 "--connect-to", f"::127.0.0.1:{port}", "-o", "/dev/null", "-w", "%{size_download}",
                                 f"https://{self.web.cert.name}:{port}/{file}"], stdout=subprocess.PIPE)

    def cost(self, name, flows):
        """CPU seconds of the server for a GB in `flows` downloads, or None."""
        pid, file = self.ways[name][0], "alone" if flows == 1 else "many"
        before = cpu(pid)
        running = [self.curl(name, file) for _ in range(flows)]
        got = [int(c.communicate()[0] or 0) for c in running]
        if any(n != self.sizes[file] for n in got) or any(c.returncode for c in running):
            return None
        return (cpu(pid) - before) / (sum(got) / 1e9)


def line(security, flows, mid):
    """What came of it, in words."""
    text = "  ".join(f"{n} {c:.3f}" for n, c in mid.items())
    best = min((mid[n] for n in ways.GO_PEERS if n in mid), default=0)
    for name, other in (("best peer", best), (FLOOR, mid.get(FLOOR, 0))):
        if other and "weir" in mid:
            text += f"  weir/{name} {mid['weir'] / other:.2f}"
    return f"vision over {security}, TLS 1.3 inside, {flows} down, s/GB: {text}"
