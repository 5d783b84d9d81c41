"""Certificates that nobody signed but themselves."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificate:
    """`pem` is what a client has to trust."""

    directory: Path

    @property
    def pem(self) -> str:
        return (self.directory / "cert.pem").read_text()

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.directory / "cert.pem", self.directory / "key.pem")
        return context


def self_signed(directory: Path, *names: str) -> Certificate:
    """`names` as OpenSSL writes them: `DNS:s3.test`, `IP:127.0.0.1`."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(directory / "key.pem")]
    subject = ["-days", "2", "-subj", "/CN=test", "-addext", f"subjectAltName={','.join(names)}", "-out", str(directory / "cert.pem")]
    subprocess.run(["openssl", "req", "-x509", *key, *subject], check=True, capture_output=True)
    return Certificate(directory)
