#!/usr/bin/env python3
"""Strangers: `flood.py PORT TCP_RATE UDP_RATE` knocks so many times a second with noise, each time from another network,
until it is killed.  Prints how many have been there each second.
"""
import os
import socket
import sys
import time

OPEN = 500  # so many at once
PORT, TCP, UDP = (int(a) for a in sys.argv[1:])


def address(n):
    return f"127.{2 + n // 65536 % 200}.{n // 256 % 256}.{n % 254 + 1}"


def knock(n, held):
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # Hundreds of ports to each address: none runs dry in TIME_WAIT.
    s.bind((address(n * 257), 0))
    s.connect(("127.0.0.1", PORT))
    s.send(os.urandom(64))
    held.append(s)
    if len(held) > OPEN:
        held.pop(0).close()


def send(n, socks):
    while len(socks) < 200:
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((address(len(socks) * 256), 0))
        s.setblocking(False)
        socks.append(s)
    try:
        socks[n % len(socks)].sendto(os.urandom(100), ("127.0.0.1", PORT))
    except OSError:
        pass


def main():
    held, socks, done = [], [], [0, 0]
    began = told = time.monotonic()
    while True:
        now = time.monotonic()
        for i, (rate, one, kept) in enumerate(((TCP, knock, held), (UDP, send, socks))):
            # What could not be done in time is not made up for.
            due = min(int((now - began) * rate), done[i] + 200)
            for n in range(done[i], due):
                one(n, kept)
            done[i] = max(done[i], due)
        if now - told > 1:
            told = now
            print(*done, flush=True)
        time.sleep(0.002)


if __name__ == "__main__":
    main()
