#!/usr/bin/env python3
"""Writes shadowsocks.json: known answers for every method that seals bytes without a framing of ours.

Nothing of weir is involved, and no cipher library that weir links is called: keys after OpenSSL's EVP_BytesToKey (MD5, no
salt, one round), AES and RC4 by the `openssl` program, ChaCha20 (RFC 8439), its older form with a nonce of 8 bytes,
HChaCha20, XChaCha20 and XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) written out below. Before anything is written the
ciphers below are held against the examples of those documents and, where it knows them, against `openssl`.
"""
import hashlib
import hmac
import json
import pathlib
import struct
import subprocess

PASSWORD = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
ADDRESS = b"\x03\x0fwww.example.com\x01\xbb"
PAYLOAD = bytes(i * 7 & 255 for i in range(300))  # over several blocks of every cipher


def bytes_to_key(password, n):
    made = b""
    while len(made) < n:
        made += hashlib.md5(made[-16:] + password).digest()
    return made[:n]


def openssl(cipher, key, iv, data):
    """`openssl enc` encrypts; rc4 is in its legacy provider."""
    extra = ["-provider", "legacy", "-provider", "default"] if cipher == "rc4" else []
    command = ["openssl", "enc", f"-{cipher}", "-e", "-K", key.hex(), "-nopad", *extra]
    if iv:
        command += ["-iv", iv.hex()]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


# --- ChaCha20 and what is made of it -----------------------------------------------------------

def rotate(x, n):
    return (x << n | x >> 32 - n) & 0xffffffff


def rounds(s):
    s = list(s)
    columns = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)]
    diagonals = [(0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]
    for _ in range(10):
        for a, b, c, d in columns + diagonals:
            for x, y, z, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                s[x] = s[x] + s[y] & 0xffffffff
                s[z] = rotate(s[z] ^ s[x], n)
    return s


def initial(key, rest):
    return struct.unpack("<16I", b"expand 32-byte k" + key + rest)


def chacha20(key, nonce, data, counter=0):
    """A nonce of 12 bytes leaves 4 for the counter, one of 8 leaves 8."""
    out = b""
    for i in range(0, len(data), 64):
        rest = (counter + i // 64).to_bytes(16 - len(nonce), "little") + nonce
        s = initial(key, rest)
        block = struct.pack("<16I", *(a + b & 0xffffffff for a, b in zip(s, rounds(s))))
        out += bytes(x ^ y for x, y in zip(data[i:i + 64], block))
    return out


def hchacha20(key, nonce16):
    s = rounds(initial(key, nonce16))
    return struct.pack("<8I", *s[:4], *s[12:])


def xchacha20(key, nonce24, data):
    """As libsodium has it: the nonce of 8 bytes that is left, a counter of 8."""
    return chacha20(hchacha20(key, nonce24[:16]), nonce24[16:], data)


def poly1305(key, text):
    r, s = int.from_bytes(key[:16], "little") & 0x0ffffffc0ffffffc0ffffffc0fffffff, int.from_bytes(key[16:], "little")
    n = 0
    for i in range(0, len(text), 16):
        n = (n + int.from_bytes(text[i:i + 16] + b"\x01", "little")) * r % ((1 << 130) - 5)
    return (n + s & (1 << 128) - 1).to_bytes(16, "little")


def chacha20_poly1305(key, nonce, data, aad=b""):
    sealed = chacha20(key, nonce, data, 1)
    def pad(x):
        return x + bytes(-len(x) % 16)
    text = pad(aad) + pad(sealed) + struct.pack("<QQ", len(aad), len(sealed))
    return sealed + poly1305(chacha20(key, nonce, bytes(32)), text)


def xchacha20_poly1305(key, nonce24, data, aad=b""):
    return chacha20_poly1305(hchacha20(key, nonce24[:16]), bytes(4) + nonce24[16:], data, aad)


def check_ourselves():
    key = bytes(range(32))
    sunscreen = (b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen "
                 b"would be it.")
    # RFC 8439 2.4.2 and 2.8.2
    assert chacha20(key, bytes.fromhex("000000000000004a00000000"), sunscreen, 1).hex().startswith("6e2e359a2568f980")
    sealed = chacha20_poly1305(bytes(range(0x80, 0xa0)), bytes.fromhex("070000004041424344454647"), sunscreen,
                               bytes.fromhex("50515253c0c1c2c3c4c5c6c7"))
    assert sealed[-16:].hex() == "1ae10b594f09e26a7e902ecbd0600691"
    # draft-irtf-cfrg-xchacha-03 2.2.1 and A.3.1
    assert hchacha20(key, bytes.fromhex("000000090000004a0000000031415927")).hex().startswith("82413b4227b27bfed30e4250")
    sealed = xchacha20_poly1305(bytes(range(0x80, 0xa0)), bytes(range(0x40, 0x58)), sunscreen,
                                bytes.fromhex("50515253c0c1c2c3c4c5c6c7"))
    assert sealed[-16:].hex() == "c0875924c1c7987947deafd8780acf49"
    # openssl's -iv of chacha20 is counter and nonce
    assert chacha20(key, key[:8], PAYLOAD) == openssl("chacha20", key, bytes(8) + key[:8], PAYLOAD)
    assert chacha20(key, key[:12], PAYLOAD) == openssl("chacha20", key, bytes(4) + key[:12], PAYLOAD)


# --- messages ----------------------------------------------------------------------------------

STREAMS = {
    **{f"aes-{bits}-{mode}": (bits // 8, 16, lambda k, iv, d, c=f"aes-{bits}-{mode}": openssl(c, k, iv, d))
       for bits in (128, 192, 256) for mode in ("cfb", "ctr")},
    "rc4-md5": (16, 16, lambda k, iv, d: openssl("rc4", hashlib.md5(k + iv).digest(), None, d)),
    "chacha20": (32, 8, chacha20),
    "chacha20-ietf": (32, 12, chacha20),
    "xchacha20": (32, 24, xchacha20),
}


def hkdf_sha1(key, salt, n, info=b"ss-subkey"):
    prk, made, t = hmac.new(salt, key, hashlib.sha1).digest(), b"", b""
    for i in range(1, 1 + -(-n // 20)):
        t = hmac.new(prk, t + info + bytes([i]), hashlib.sha1).digest()
        made += t
    return made[:n]


def xchacha_aead():
    """One chunk of a stream, and a packet, under xchacha20-ietf-poly1305."""
    key, salt = bytes_to_key(PASSWORD.encode(), 32), bytes(range(32))
    subkey, text = hkdf_sha1(key, salt, 32), ADDRESS + PAYLOAD
    def seal(n, data):
        return xchacha20_poly1305(subkey, n.to_bytes(24, "little"), data)
    return {"stream": (salt + seal(0, struct.pack(">H", len(text))) + seal(1, text)).hex(),
            "packet": (salt + seal(0, text)).hex()}


def main():
    check_ourselves()
    text = ADDRESS + PAYLOAD
    made = {"about": {"password": PASSWORD, "payload": PAYLOAD.hex(), "text": text.hex()}, "xchacha20-ietf-poly1305": xchacha_aead()}
    for name, (key_len, iv_len, cipher) in STREAMS.items():
        key, iv = bytes_to_key(PASSWORD.encode(), key_len), bytes(range(iv_len))
        # A stream and a packet are the same bytes here: IV, then address and payload.
        made[name] = {"key": key.hex(), "message": (iv + cipher(key, iv, text)).hex()}
    made["none"] = {"key": "", "message": text.hex()}
    path = pathlib.Path(__file__).with_name("shadowsocks.json")
    path.write_text(json.dumps(made, indent=1) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
