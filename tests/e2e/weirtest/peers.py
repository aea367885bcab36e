"""Configurations for the clients (and, for the harness to prove itself, a server) of the peers.

An Outbound says what to connect to; `start_client` runs one of CLIENTS on it and gives the Way through its
SOCKS port.
"""
import base64
import dataclasses
import json
import os
import subprocess
import urllib.parse
import uuid as uuids

from . import secrecy
from .proc import free_port
from .traffic import Way

CLIENTS = ("xray", "sing-box", "weir")


@dataclasses.dataclass
class Reality:
    public_key: str
    short_id: str
    name: str
    fingerprint: str = "chrome"
    private_key: str = ""      # for servers, like the next
    target: int = 0            # a port of 127.0.0.1
    mldsa_verify: str = ""     # weir and Xray as clients: no server without this key's signature


def new_reality(name, target):
    """With a fresh pair of keys."""
    made = subprocess.run([os.environ["WEIR_BIN"], "x25519"], check=True, capture_output=True, text=True, timeout=20)
    private, public = (line.split()[-1] for line in made.stdout.splitlines()[:2])
    return Reality(public, "0123456789abcdef", name, private_key=private, target=target)


@dataclasses.dataclass
class Outbound:
    protocol: str              # vless, vmess, trojan, shadowsocks
    port: int
    credential: str            # UUID or password
    cert: object = None        # certs.Cert: TLS; None: raw
    flow: str = ""             # vless: xtls-rprx-vision
    reality: Reality = None    # instead of `cert`
    encryption: str = "none"   # vless: the client's half
    host: str = "127.0.0.1"
    alpn: tuple = ()
    method: str = ""           # shadowsocks; vmess: the cipher, "" for auto
    fingerprint: str = ""      # over TLS: whose ClientHello, "" for the client's own
    uot: int = 0               # shadowsocks: UDP over TCP, this version
    plugin: str = ""           # shadowsocks: a client's plugin
    plugin_opts: str = ""
    sealed_length: bool = False  # vmess: lengths are authenticated
    cone: bool = True          # vmess, and vless with sing-box: UDP as XUDP
    mux: int = 0               # Xray, weir: mux.cool with so many streams in one connection; 0: each its own
    quic: str = "allow"        # with that, Xray: what becomes of UDP to port 443 (allow, reject, skip; "": unsaid)
    multiplex: dict = None     # sing-box: its option of this name; weir: `protocol`, `padding`, `max_streams`


def peer(name):
    """The program of a peer.  One that is missing is a failure, not a reason to skip."""
    variable = {"xray": "WEIR_XRAY", "sing-box": "WEIR_SINGBOX"}[name]
    path = os.environ.get(variable, "")
    assert os.access(path, os.X_OK), f"no {name} at {path or variable}: ./dev deps peers"
    return path


def random_credential():
    return secrecy.issue(str(uuids.uuid4()))


def write(procs, name, config):
    path = os.path.join(procs.folder, f"{name}.{free_port()}.json")
    with open(path, "w", encoding="ascii") as f:
        json.dump(config, f, indent=1)
    return path


# --- Xray --------------------------------------------------------------------------------------

def xray_outbound(o):
    if o.protocol == "shadowsocks":
        account = {"address": o.host, "port": o.port, "method": o.method, "password": o.credential}
        return {"protocol": "shadowsocks", "settings": {"servers": [account]}}
    if o.protocol == "vless":
        user = {"id": o.credential, "encryption": o.encryption}
        if o.flow:
            user["flow"] = o.flow
        settings = {"vnext": [{"address": o.host, "port": o.port, "users": [user]}]}
    elif o.protocol == "vmess":
        user = {"id": o.credential, "security": o.method or "auto"}
        if o.sealed_length:
            user["experiments"] = "AuthenticatedLength"
        settings = {"vnext": [{"address": o.host, "port": o.port, "users": [user]}]}
    else:
        settings = {"servers": [{"address": o.host, "port": o.port, "password": o.credential}]}
    layers = {"network": "raw"}
    if o.cert:
        # This version refuses allowInsecure: the certificate is pinned.
        layers["security"] = "tls"
        layers["tlsSettings"] = {"serverName": o.cert.name, "pinnedPeerCertSha256": o.cert.sha256}
        if o.alpn:
            layers["tlsSettings"]["alpn"] = list(o.alpn)
        if o.fingerprint:
            layers["tlsSettings"]["fingerprint"] = o.fingerprint
    if o.reality:
        layers["security"] = "reality"
        layers["realitySettings"] = {"serverName": o.reality.name, "publicKey": o.reality.public_key,
                                     "shortId": o.reality.short_id, "fingerprint": o.reality.fingerprint}
        if o.reality.mldsa_verify:
            layers["realitySettings"]["mldsa65Verify"] = o.reality.mldsa_verify
    return {"protocol": o.protocol, "settings": settings, "streamSettings": layers}


def xray_mux(o):
    """With a flow, of packets alone."""
    return {"enabled": True, "concurrency": -1 if o.flow else o.mux, "xudpConcurrency": o.mux, "xudpProxyUDP443": o.quic}


def xray_clients(procs, outbounds):
    """One process: an outbound for each SOCKS port."""
    config = {"log": {"loglevel": "warning", "access": "none"}, "inbounds": [], "outbounds": [],
              "routing": {"rules": []}}
    for port, o in outbounds.items():
        config["inbounds"].append({"listen": "127.0.0.1", "port": port, "protocol": "socks", "tag": f"in-{port}",
                                   "settings": {"auth": "noauth", "udp": True, "ip": "127.0.0.1"}})
        config["outbounds"].append(dict(xray_outbound(o), tag=f"out-{port}"))
        config["routing"]["rules"].append({"type": "field", "inboundTag": [f"in-{port}"], "outboundTag": f"out-{port}"})
        if o.mux:
            config["outbounds"][-1]["mux"] = xray_mux(o)
    # Of the whole process.
    env = {} if all(o.cone for o in outbounds.values()) else {"XRAY_CONE_DISABLED": "true"}
    return procs.start("xray-client", [peer("xray"), "run", "-c", write(procs, "xray-client", config)], env=env)


def xray_server(procs, o, patience=None):
    """An Xray server that `o` fits: what the harness is proved against.  `patience`: seconds for a handshake."""
    if o.protocol == "vless":
        settings = {"clients": [{"id": o.credential, "flow": o.flow}], "decryption": "none"}
    elif o.protocol == "vmess":
        settings = {"clients": [{"id": o.credential}]}
    else:
        settings = {"clients": [{"password": o.credential}]}
    layers = {"network": "raw"}
    if o.cert:
        layers["security"] = "tls"
        layers["tlsSettings"] = {"certificates": [{"certificateFile": o.cert.crt, "keyFile": o.cert.key}]}
    if o.reality:
        r = o.reality
        layers["security"] = "reality"
        layers["realitySettings"] = {"target": f"127.0.0.1:{r.target}", "serverNames": [r.name],
                                     "privateKey": r.private_key, "shortIds": [r.short_id]}
    config = {
        "log": {"loglevel": "warning", "access": "none"},
        "inbounds": [{"listen": o.host, "port": o.port, "protocol": o.protocol, "settings": settings,
                      "streamSettings": layers}],
        "outbounds": [{"protocol": "freedom"}],
    }
    if patience:
        config["policy"] = {"levels": {"0": {"handshake": patience}}}
    server = procs.start("xray-server", [peer("xray"), "run", "-c", write(procs, "xray-server", config)])
    return server.wait_listening(o.port)


# --- sing-box ----------------------------------------------------------------------------------

def singbox_outbound(o):
    out = {"type": o.protocol, "server": o.host, "server_port": o.port}
    out["uuid" if o.protocol in ("vless", "vmess") else "password"] = o.credential
    if o.protocol == "vmess":
        out.update(security=o.method or "auto", authenticated_length=o.sealed_length, global_padding=o.sealed_length,
                   packet_encoding="xudp" if o.cone else "")
    elif o.method:
        out["method"] = o.method
    elif o.protocol == "vless" and not o.cone:
        out["packet_encoding"] = ""
    if o.uot:
        out["udp_over_tcp"] = {"enabled": True, "version": o.uot}
    if o.plugin:
        out["plugin"], out["plugin_opts"] = o.plugin, o.plugin_opts
    if o.multiplex:
        out["multiplex"] = o.multiplex
    if o.flow:
        out["flow"] = o.flow
    if o.cert:
        out["tls"] = {"enabled": True, "server_name": o.cert.name, "certificate_path": o.cert.crt}
        if o.alpn:
            out["tls"]["alpn"] = list(o.alpn)
        if o.fingerprint:
            out["tls"]["utls"] = {"enabled": True, "fingerprint": o.fingerprint}
    if o.reality:
        out["tls"] = {"enabled": True, "server_name": o.reality.name,
                      "utls": {"enabled": True, "fingerprint": o.reality.fingerprint},
                      "reality": {"enabled": True, "public_key": o.reality.public_key,
                                  "short_id": o.reality.short_id}}
    return out


def singbox_clients(procs, outbounds):
    """One process: an outbound for each SOCKS port."""
    config = {"log": {"level": "warn"}, "inbounds": [], "outbounds": [], "route": {"rules": []}}
    for port, o in outbounds.items():
        config["inbounds"].append({"type": "socks", "listen": "127.0.0.1", "listen_port": port, "tag": f"in-{port}"})
        config["outbounds"].append(dict(singbox_outbound(o), tag=f"out-{port}"))
        config["route"]["rules"].append({"inbound": [f"in-{port}"], "outbound": f"out-{port}"})
    return procs.start("sing-box", [peer("sing-box"), "run", "-c", write(procs, "sing-box", config)])


def singbox_server(procs, o):
    user = {"name": "u", "uuid" if o.protocol in ("vless", "vmess") else "password": o.credential}
    if o.flow:
        user["flow"] = o.flow
    inbound = {"type": o.protocol, "listen": o.host, "listen_port": o.port, "users": [user]}
    if o.cert:
        inbound["tls"] = {"enabled": True, "certificate_path": o.cert.crt, "key_path": o.cert.key}
    if o.reality:
        r = o.reality
        inbound["tls"] = {"enabled": True, "server_name": r.name, "reality": {
            "enabled": True, "handshake": {"server": "127.0.0.1", "server_port": r.target},
            "private_key": r.private_key, "short_id": [r.short_id]}}
    if o.multiplex:
        inbound["multiplex"] = {"enabled": True, "padding": o.multiplex.get("padding", False)}
    config = {"log": {"level": "warn"}, "inbounds": [inbound], "outbounds": [{"type": "direct"}]}
    command = [peer("sing-box"), "run", "-c", write(procs, "sing-box-server", config)]
    return procs.start("sing-box-server", command).wait_listening(o.port)


# --- weir connect ------------------------------------------------------------------------------

def link(o):
    """The share link of config.md G.14."""
    if o.protocol == "shadowsocks":
        return ss_link(o)
    if o.protocol == "vmess":
        return vmess_link(o)
    query = {"type": "tcp", "security": "tls" if o.cert else "none"}
    if o.protocol == "vless":
        query["encryption"] = o.encryption
        if o.flow:
            query["flow"] = o.flow
    if o.cert:
        query["sni"] = o.cert.name
        if o.alpn:
            query["alpn"] = ",".join(o.alpn)
    if o.reality:
        query.update(security="reality", sni=o.reality.name, pbk=o.reality.public_key, sid=o.reality.short_id,
                     fp=o.reality.fingerprint)
        if o.reality.mldsa_verify:
            query["pqv"] = o.reality.mldsa_verify
    credential = urllib.parse.quote(o.credential, safe="")
    return f"{o.protocol}://{credential}@{o.host}:{o.port}?{urllib.parse.urlencode(query)}#test"


def vmess_link(o):
    """v2rayN's form."""
    return "vmess://" + base64.b64encode(json.dumps({
        "v": "2", "ps": "test", "add": o.host, "port": str(o.port), "id": o.credential, "aid": "0",
        "scy": o.method or "auto", "net": "tcp", "type": "none", "host": "", "path": "", "alpn": ",".join(o.alpn),
        "tls": "tls" if o.cert else "", "sni": o.cert.name if o.cert else "",
        "experiments": "AuthenticatedLength" if o.sealed_length else ""}).encode()).decode()


def ss_link(o):
    """SIP002; the 2022 methods are written plainly (SIP022)."""
    account = f"{o.method}:{o.credential}"
    if o.method.startswith("2022-"):
        account = f"{o.method}:{urllib.parse.quote(o.credential, safe='')}"
    else:
        account = base64.urlsafe_b64encode(account.encode()).decode().rstrip("=")
    more = {}
    if o.plugin:
        more["plugin"] = ";".join(filter(None, (o.plugin, o.plugin_opts)))
    if o.uot:
        more["uot"] = o.uot
    query = "/?" + urllib.parse.urlencode(more, quote_via=urllib.parse.quote, safe="") if more else ""
    return f"ss://{account}@{o.host}:{o.port}{query}#test"


def weir_mux(o):
    """As `weir connect` says it."""
    if o.mux:
        return ["--mux", f"cool:{o.mux}"]
    if not o.multiplex:
        return []
    return ["--mux", f"{o.multiplex['protocol']}:{o.multiplex['max_streams']}" +
            (",padding" if o.multiplex.get("padding") else "")]


def weir_client(procs, o, port):
    pin = ["--pin", o.cert.sha256] if o.cert else []
    return procs.start("connect", [os.environ["WEIR_BIN"], "connect", link(o), "--listen", f"127.0.0.1:{port}", *pin,
                                   *weir_mux(o)])


def start_client(kind, procs, o):
    return start_clients(kind, procs, [o])[0]


def start_clients(kind, procs, outbounds):
    """A Way through each: of Xray and sing-box one process has them all, of ours each its own."""
    by_port = {free_port(): o for o in outbounds}
    for o in outbounds:
        secrecy.issue(o.credential)
    if kind == "weir":
        started = [weir_client(procs, o, port) for port, o in by_port.items()]
    else:
        one = {"xray": xray_clients, "sing-box": singbox_clients}[kind](procs, by_port)
        started = [one] * len(by_port)
    ways = []
    for port, process in zip(by_port, started):
        ways.append(Way(port))
        ways[-1].process = process.wait_listening(port)
    return ways
