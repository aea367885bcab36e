"""Processes that a test starts: logs captured, stopped by their ids, sanitizer reports noticed."""
import itertools
import os
import random
import re
import signal
import socket
import subprocess
import time

from . import SLOW, secrecy

BAD_SIGNS = re.compile(
    r"ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error: |Assertion `.*failed|"
    r"AddressSanitizer:DEADLYSIGNAL|stack smashing detected|malloc\(\): |free\(\): |double free")


SHARE = 1500  # ports of one process of a run


def _own_ports():
    """In turn, below those that the kernel takes by itself; each process of a run has its share."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    first, at = 10000 + worker % 15 * SHARE, random.randrange(SHARE)
    return itertools.cycle(first + (at + i) % SHARE for i in range(SHARE))


_ports = _own_ports()


def free_port():
    """A port of 127.0.0.1 that nobody uses, for TCP and UDP."""
    for port in itertools.islice(_ports, SHARE):
        try:
            for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
                with socket.socket(socket.AF_INET, kind) as s:
                    s.bind(("127.0.0.1", port))
            return port
        except OSError:
            continue
    raise AssertionError("no port is free")


def wait_until(what, true, seconds=10.0, every=0.02):
    """Waits until `true()` is; its value."""
    end = time.monotonic() + seconds * SLOW
    while True:
        value = true()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds * SLOW:.0f} s for {what}")
        time.sleep(every)


def children(pid, word=""):
    """Processes whose parent is `pid` and whose command line has `word`, by their ids."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as f:
                parent = int(f.read().rpartition(")")[2].split()[1])
            with open(f"/proc/{name}/cmdline", "rb") as f:
                command = f.read().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # has ended meanwhile
            continue
        if parent == pid and word in command:
            found.append(int(name))
    return found


def listens(port, host="127.0.0.1"):
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


class Proc:
    """One process with its log.  `with` it, or stop() it."""

    def __init__(self, name, command, folder, env=None, cwd=None, stdin=None):
        self.name = name
        self.command = [str(c) for c in command]
        self.log = os.path.join(folder, f"{name}.log")
        self._out = open(self.log, "ab")
        self._env = dict(os.environ, **(env or {}))
        self._cwd = cwd
        self.popen = None
        self.start()

    def start(self):
        self._out.write(f"$ {' '.join(self.command)}\n".encode())
        self._out.flush()
        self.popen = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=self._out,
                                      stderr=self._out, env=self._env, cwd=self._cwd)

    @property
    def pid(self):
        return self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def wait_listening(self, port, seconds=20):
        def ready():
            if not self.alive():
                raise AssertionError(f"{self.name} ended with status {self.popen.returncode}:\n{self.tail()}")
            return listens(port)

        wait_until(f"{self.name} to listen on {port}", ready, seconds)
        return self

    def signal(self, sig):
        self.popen.send_signal(sig)

    def kill(self):
        """SIGKILL, as a crash would."""
        self.popen.kill()
        self.popen.wait()

    def stop(self, seconds=20):
        """SIGTERM; the exit status.  Whoever does not go within the time is killed, and that is a failure."""
        if self.alive():
            self.popen.terminate()
            try:
                self.popen.wait(seconds * SLOW)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"{self.name} did not end within {seconds * SLOW:.0f} s of SIGTERM") from None
        return self.popen.returncode

    def text(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def tail(self, size=4000):
        return self.text()[-size:]

    def is_weir(self):
        return os.environ.get("WEIR_BIN") in self.command

    def complaint(self):
        """What a sanitizer or an assertion had to say, or None."""
        text = self.text()
        m = BAD_SIGNS.search(text)
        return text[m.start():m.start() + 6000] if m else None

    def memory_kb(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


class Procs:
    """All processes of one test; the `procs` fixture."""

    def __init__(self, folder):
        self.folder = str(folder)
        self.all = []
        self.mark = secrecy.mark()

    def start(self, name, command, **more):
        same = sum(p.name.split(".")[0] == name for p in self.all)
        p = Proc(name if not same else f"{name}.{same}", command, self.folder, **more)
        self.all.append(p)
        return p

    def stop_all(self):
        wrong = []
        for p in reversed(self.all):
            try:
                p.stop()
            except AssertionError as e:
                wrong.append(str(e))
        for p in self.all:
            if p.complaint():
                wrong.append(f"{p.name}:\n{p.complaint()}")
            if p.is_weir() and (line := secrecy.shown(p.text(), self.mark)):
                wrong.append(f"{p.name}: a secret in its log: {line}")
        return wrong


__all__ = ["Proc", "Procs", "children", "free_port", "wait_until", "listens", "signal"]
