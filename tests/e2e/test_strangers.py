"""Who is no user gets one and the same treatment, whatever he sends: nothing to tell a proxy by."""
import concurrent.futures
import hashlib
import os
import socket
import ssl
import time
import uuid

import pytest
from weirtest import SLOW
from weirtest.lab import KINDS, Lab

pytestmark = [pytest.mark.quick, pytest.mark.alone]

DEADLINE = 4 * int(SLOW)  # of the handshake, seconds
TARGET = b"\x01\x7f\0\0\x01"


@pytest.fixture(scope="module")
def lab(module_procs, cert):
    return Lab(module_procs, cert, HandshakeTimeout=DEADLINE)


def vless(known, at=None, byte=None):
    request = bytearray(b"\0" + known + b"\0\x01\0\x50" + TARGET)
    if at is not None:
        request[at] = request[at] ^ 1 if byte is None else byte
    return bytes(request)


def trojan(password, at=None, byte=None):
    request = bytearray(hashlib.sha224(password.encode()).hexdigest().encode() + b"\r\n\x01" + TARGET + b"\0\x50\r\n")
    if at is not None:
        request[at] = byte
    return bytes(request)


def words_of_strangers(user):
    known = uuid.UUID(user.credential).bytes
    words = [b""] + [os.urandom(n) for n in (1, 2, 16, 17, 18, 55, 56, 57, 58, 59, 60, 300, 5000)]
    words += [b"\0", b"\0\0", b"\0" + os.urandom(15), b"\0" + os.urandom(16), b"\0" + os.urandom(60)]
    words += [vless(known, at) for at in (1, 6, 16)]  # bytes 6 and 7 of an id say nothing
    words += [b"a", b"0" * 55, b"0" * 56, b"0" * 58, b"0" * 56 + b"\r\n", b"0" * 56 + b"\r\n\x01" + TARGET + b"\0\x50\r\n"]
    words += [b"GET / HTTP/1.1\r\nHost: weir.test\r\n\r\n", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + os.urandom(300)]
    # A user's name, and then something that is no request: version, command, kind of address, line's end; or half of it.
    words += [vless(known, 0, 1), vless(known, 18, 9), vless(known, 21, 9), vless(known)[:20]]
    words += [trojan(user.credential, 58, 9), trojan(user.credential, 59, 9), trojan(user.credential, 56, 9)]
    return words + [trojan(user.credential)[:60]]


def connect(lab, kind):
    s = socket.create_connection(("127.0.0.1", lab.ports[kind]), timeout=30 * SLOW)
    if kind.endswith("tls"):
        context = ssl.create_default_context(cafile=lab.cert.crt)
        s = context.wrap_socket(s, server_hostname="weir.test")
    return s


def treatment(lab, kind, word):
    """What a stranger gets, and when: (bytes or error, seconds)."""
    begun = time.monotonic()
    with connect(lab, kind) as s:
        try:
            s.sendall(word)
            got = s.recv(4096)
        except OSError as e:
            got = type(e).__name__
        return got, time.monotonic() - begun


@pytest.mark.parametrize("kind", KINDS)
def test_strangers_cannot_tell_their_words_apart(lab, kind):
    words = words_of_strangers(lab.user())
    time.sleep(2)  # the node knows the user by then
    with concurrent.futures.ThreadPoolExecutor(len(words)) as pool:
        got = list(pool.map(lambda w: treatment(lab, kind, w), words))
    # All are listened to until the deadline, and get an orderly end without a byte.
    odd = [(w[:24], len(w), g) for w, g in zip(words, got)
           if g[0] != b"" or not DEADLINE - 0.3 <= g[1] <= DEADLINE + 3 * SLOW]
    assert not odd
