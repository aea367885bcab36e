#!/usr/bin/env python3
"""A SIP003u plugin that changes nothing: TCP and UDP of the public port go on to loopback; with option `client`, those of
loopback to the public port.

Option `tcp` or `udp`: only that.  It prints a line when it listens, for each connection, and for each source of packets.
"""
import os
import select
import socket
import threading

WORDS = os.environ.get("SS_PLUGIN_OPTIONS", "").split(";")
REMOTE = (os.environ["SS_REMOTE_HOST"].split("|")[0], int(os.environ["SS_REMOTE_PORT"]))
LOCAL = (os.environ["SS_LOCAL_HOST"], int(os.environ["SS_LOCAL_PORT"]))
NEAR, FAR = (LOCAL, REMOTE) if "client" in WORDS else (REMOTE, LOCAL)


def copy(source, to):
    try:
        while data := source.recv(65536):
            to.sendall(data)
        to.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def streams():
    with socket.create_server(NEAR) as listener:
        print("streams may come", flush=True)
        while True:
            near, _ = listener.accept()
            print("a connection", flush=True)
            far = socket.create_connection(FAR)
            for pair in ((near, far), (far, near)):
                threading.Thread(target=copy, args=pair, daemon=True).start()


def packets():
    near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    near.bind(NEAR)
    print("packets may come", flush=True)
    ways, sources = {}, {}  # source: socket; and back
    while True:
        for s in select.select([near, *sources], [], [])[0]:
            data, source = s.recvfrom(65536)
            if s is not near:
                near.sendto(data, sources[s])
                continue
            if source not in ways:
                print("a source of packets", flush=True)
                ways[source] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                ways[source].connect(FAR)
                sources[ways[source]] = source
            ways[source].send(data)


if __name__ == "__main__":
    if "udp" not in WORDS:
        threading.Thread(target=streams, daemon="tcp" not in WORDS).start()
    if "tcp" not in WORDS:
        packets()
