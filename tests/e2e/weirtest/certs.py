"""Certificates made with the openssl command."""
import hashlib
import os
import ssl
import subprocess


class Cert:
    """A self-signed certificate for `names` (DNS) and 127.0.0.1: files, and the digest that clients pin."""

    def __init__(self, folder, *names, key=("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")):
        names = names or ("weir.test",)
        self.name = names[0]
        self.crt = os.path.join(folder, f"{self.name}.crt")
        self.key = os.path.join(folder, f"{self.name}.key")
        alternatives = ",".join([f"DNS:{n}" for n in names] + ["IP:127.0.0.1"])
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", *key, "-nodes", "-days", "30", "-keyout", self.key,
             "-out", self.crt, "-subj", f"/CN={self.name}", "-addext",
             f"subjectAltName={alternatives}"], check=True, capture_output=True, timeout=60)
        with open(self.crt, encoding="ascii") as f:
            self.der = ssl.PEM_cert_to_DER_cert(f.read())
        self.sha256 = hashlib.sha256(self.der).hexdigest()
