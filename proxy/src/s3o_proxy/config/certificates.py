"""Certificates from Secrets (PEM text) into TLS contexts; a pair that does not fit is found here, before anybody serves with it."""

from __future__ import annotations

import ssl
from tempfile import NamedTemporaryFile

from s3o_proxy.config.errors import ConfigError
from s3o_proxy.config.snapshot import Snapshot


def load_key_pair(context: ssl.SSLContext, certificate: str, private_key: str) -> None:
    """Serve with this pair from the next handshake on. Raises ssl.SSLError; the context is then as it was."""
    # OpenSSL reads both from one file and Python gives it a path only; the file is readable by us alone, and gone at once.
    with NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(f"{certificate}\n{private_key}\n")
        file.flush()
        # An encrypted key would make OpenSSL ask for its password on the terminal: with an empty one it is refused.
        context.load_cert_chain(file.name, password="")


def check_certificates(snapshot: Snapshot) -> None:
    """Raises ConfigError, naming each field whose certificates cannot be used."""
    problems = []
    if tls := snapshot.server.tls:
        try:
            load_key_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), snapshot.secret(tls.certificate), snapshot.secret(tls.private_key))
        except ssl.SSLError as error:
            problems.append(f"spec.server.tls: the certificate and key in {tls.certificate} cannot be used: {error.reason}")
    authorities = {f"StorageBackend {backend.name}: spec.caSecretRef": backend.ca for backend in snapshot.backends}
    authorities["spec.database.caSecretRef"] = snapshot.config.database.ca
    for field, ref in authorities.items():
        if not ref:
            continue
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=snapshot.secret(ref))
        except ssl.SSLError as error:
            problems.append(f"{field}: the certificates in {ref} cannot be read: {error.reason}")
    if problems:
        raise ConfigError(problems)
