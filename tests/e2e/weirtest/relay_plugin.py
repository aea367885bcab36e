#!/usr/bin/env python3
"""A SIP003u plugin for the server's side that changes nothing: TCP and UDP of the public port go on to loopback.

Option `tcp` or `udp` alone: only that.  It prints a line for each connection, and for each source of packets.
"""
import os
import select
import socket
import threading

WORDS = os.environ.get("SS_PLUGIN_OPTIONS", "").split(";")
PUBLIC = (os.environ["SS_REMOTE_HOST"].split("|")[0], int(os.environ["SS_REMOTE_PORT"]))
INNER = (os.environ["SS_LOCAL_HOST"], int(os.environ["SS_LOCAL_PORT"]))


def copy(source, to):
    try:
        while data := source.recv(65536):
            to.sendall(data)
        to.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def streams():
    with socket.create_server(PUBLIC) as listener:
        while True:
            near, _ = listener.accept()
            print("a connection", flush=True)
            far = socket.create_connection(INNER)
            for pair in ((near, far), (far, near)):
                threading.Thread(target=copy, args=pair, daemon=True).start()


def packets():
    public = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    public.bind(PUBLIC)
    ways, sources = {}, {}  # source: socket; and back
    while True:
        for s in select.select([public, *sources], [], [])[0]:
            data, source = s.recvfrom(65536)
            if s is not public:
                public.sendto(data, sources[s])
                continue
            if source not in ways:
                print("a source of packets", flush=True)
                ways[source] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                ways[source].connect(INNER)
                sources[ways[source]] = source
            ways[source].send(data)


if __name__ == "__main__":
    if "udp" not in WORDS:
        threading.Thread(target=streams, daemon="tcp" not in WORDS).start()
    if "tcp" not in WORDS:
        packets()
