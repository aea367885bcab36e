"""Runs the Python server (`shadowsocks` 2.8.2, of 2015) on the Python of today.

It reports every two seconds instead of ten, for tests that wait for that.

It asks for a module-level name that moved, for a function of OpenSSL that was renamed, takes the command's strings for
bytes, forbids loopback targets, and wants a password even as a manager's child, which later versions do not.
"""
import collections
import collections.abc
import ctypes
import json
import os
import sys

sys.path.insert(0, os.environ["WEIR_SSPYTHON"])
collections.MutableMapping = collections.abc.MutableMapping

from shadowsocks import eventloop, shell  # noqa: E402
from shadowsocks.crypto import util  # noqa: E402


def find_library(_names, _symbol, what):
    if what != "libcrypto":
        return None
    lib = ctypes.CDLL("libcrypto.so.3")
    lib.EVP_CIPHER_CTX_cleanup = lib.EVP_CIPHER_CTX_reset
    return lib


util.find_library = find_library
shell.parse_json_in_str = json.loads
eventloop.TIMEOUT_PRECISION = 2
sys.argv += ["--forbidden-ip", "192.0.2.1"]
if "-k" not in sys.argv:
    sys.argv += ["-k", "none"]

from shadowsocks.server import main  # noqa: E402

main()
