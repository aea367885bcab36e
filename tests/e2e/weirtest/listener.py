"""A TCP server: `serve(socket)` of every connection on a thread of its own."""
import contextlib
import socket
import threading


class Listener:
    def __init__(self, host="127.0.0.1"):
        self.sock = socket.create_server((host, 0))
        self.host, self.port = self.sock.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                s = self.sock.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._run, args=(s,), daemon=True).start()

    def _run(self, s):
        # Whoever hangs up early is a matter of the test.
        with contextlib.suppress(OSError, EOFError):
            self.serve(s)

    def serve(self, s):
        raise NotImplementedError

    def close(self):
        self.sock.close()
