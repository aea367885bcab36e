"""Real TLS servers that a REALITY node resembles: nginx, OpenSSL's s_server, and one written in Go."""
import os

from .peers import Outbound, random_credential, xray_server
from .proc import free_port

KINDS = ("nginx", "openssl", "go")

# Its groups are named: a newer libssl would add the hybrid by itself.
NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr;
events {{ worker_connections 8192; }}
http {{
    access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate {crt}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;
        ssl_ecdh_curve X25519:prime256v1:secp384r1:secp521r1;
        client_header_timeout {patience}s; keepalive_timeout {patience}s;
        return 200 "the target\\n";
    }}
}}
"""


def start_target(procs, kind, cert, patience=60):
    """Starts one; its port.  Nobody is waited for longer than `patience` seconds; by s_server, for ever."""
    port = free_port()
    if kind == "go":
        # Xray's TLS is that of Go's library; whoever is no user of it is answered as Go answers.
        return xray_server(procs, Outbound("trojan", port, random_credential(), cert), patience) and port
    if kind == "openssl":
        command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", cert.crt, "-key", cert.key,
                   "-www", "-quiet"]
    else:
        folder = os.path.join(procs.folder, f"nginx.{port}")
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, "nginx.conf")
        with open(path, "w", encoding="ascii") as f:
            f.write(NGINX.format(folder=folder, port=port, crt=cert.crt, key=cert.key, patience=patience))
        command = ["nginx", "-p", folder, "-c", path]
    procs.start(kind, command).wait_listening(port)
    return port
