"""The node: `weir run -c config.json`."""
import json
import os

from . import SLOW, secrecy
from .proc import free_port, signal

# A stranger without TLS is left waiting until this, in seconds: enough for a real client in a crowd on a
# busy machine, and no more than a test has to wait for.
HANDSHAKE = 3 + int(SLOW)


def entry(url, node, cert=None, **options):
    """One of `Nodes` for a node of a panel (`id`, `token`, `type`)."""
    e = {"ApiHost": url, "ApiKey": node["token"], "NodeID": node["id"], "NodeType": node["type"],
         "ListenIP": "127.0.0.1", "AllowPrivate": True,
         "HandshakeTimeout": HANDSHAKE,
         "CertConfig": {"CertMode": "file", "CertFile": cert.crt, "KeyFile": cert.key} if cert
         else {"CertMode": "none"}}
    e.update(options)
    return e


class Node:
    def __init__(self, procs, entries, ports, name="node", wrap=(), **top):
        """`wrap`: a command that runs the node, which it must become (exec)."""
        self.procs, self.ports, self.name, self.wrap = procs, ports, name, list(wrap)
        self.options = []  # of the command
        self.folder = os.path.join(procs.folder, f"{name}.{free_port()}")
        os.makedirs(self.folder, exist_ok=True)
        self.config = os.path.join(self.folder, "config.json")
        self.text = dict({
            "Log": {"Level": "debug"},
            "State": {"Dir": os.path.join(self.folder, "state")},
            "Workers": 2,
            "Nodes": entries,
        }, **top)
        self.write()
        self.start()

    def write(self):
        secrecy.issue_all(self.text)
        # Renamed over, as an editor does.
        with open(self.config + ".new", "w", encoding="ascii") as f:
            json.dump(self.text, f, indent=1)
        os.chmod(self.config + ".new", 0o600)
        os.rename(self.config + ".new", self.config)

    def start(self, wait=True):
        self.proc = self.procs.start(self.name, self.wrap + [os.environ["WEIR_BIN"], "run", "-c", self.config, *self.options])
        if wait:
            self.wait()

    def wait(self, seconds=30):
        for port in self.ports:
            self.proc.wait_listening(port, seconds)

    def reload(self):
        self.proc.signal(signal.SIGHUP)

    def reload_with(self, **options):
        """Every node of the file has these, too."""
        for e in self.text["Nodes"]:
            e.update(options)
        self.write()
        self.reload()

    def stop(self):
        status = self.proc.stop()
        assert status == 0, f"the node ended with status {status}:\n{self.proc.tail()}"
