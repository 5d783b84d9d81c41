"""Certificates that cannot be used are refused where they are read, and named; new ones take effect at the next handshake."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest
from tests.support.config_files import ORCHESTRATOR, backend, write, write_sample

from s3o_proxy.config.certificates import load_key_pair
from s3o_proxy.config.errors import ConfigError
from s3o_proxy.config.loader import load


def make_pair(directory: Path, name: str, *options: str) -> tuple[str, str]:
    certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "2", "-subj", f"/CN={name}"]
    subprocess.run([*command, "-keyout", key, "-out", certificate, *(options or ("-nodes",))], check=True, capture_output=True)
    return certificate.read_text(), key.read_text()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return make_pair(tmp_path_factory.mktemp("pair"), "one")


@pytest.fixture(scope="module")
def other_pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return make_pair(tmp_path_factory.mktemp("pair"), "other")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write_sample(tmp_path)
    return tmp_path


def pem_secret(name: str, **values: str) -> str:
    lines = ["apiVersion: v1", "kind: Secret", f"metadata: {{name: {name}}}", "stringData:"]
    for key, pem in values.items():
        lines += [f"  {key.replace('_', '.')}: |", *(f"    {line}" for line in pem.splitlines())]
    return "\n".join(lines) + "\n"


def with_tls(directory: Path, certificate: str, key: str) -> None:
    orchestrator = ORCHESTRATOR.replace("server: {", "server: {tls: {secretName: tls}, ")
    write(directory, "orchestrator.yaml", orchestrator, pem_secret("tls", tls_crt=certificate, tls_key=key))


def test_a_pair_that_fits_is_taken(directory: Path, pair: tuple[str, str]) -> None:
    with_tls(directory, *pair)
    snapshot = load(directory, {}).snapshot
    tls = snapshot.server.tls
    assert tls is not None
    load_key_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), snapshot.secret(tls.certificate), snapshot.secret(tls.private_key))
    assert pair[1].strip() in snapshot.secret(tls.private_key)


def test_a_key_of_another_certificate_is_refused(directory: Path, pair: tuple[str, str], other_pair: tuple[str, str]) -> None:
    with_tls(directory, pair[0], other_pair[1])
    with pytest.raises(ConfigError, match=r"spec\.server\.tls: .* in default/tls/tls\.crt cannot be used: KEY_VALUES_MISMATCH"):
        load(directory, {})


def test_an_encrypted_key_is_refused_without_asking_anybody(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with_tls(directory, *make_pair(tmp_path_factory.mktemp("pair"), "locked", "-passout", "pass:hunter22"))
    with pytest.raises(ConfigError, match=r"spec\.server\.tls: .* cannot be used"):
        load(directory, {})


def test_an_authority_that_is_no_certificate_is_refused(directory: Path) -> None:
    broken = pem_secret("ca", ca_crt="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----")
    write(directory, "backends.yaml", backend("a") + "  caSecretRef: {name: ca}\n", broken)
    with pytest.raises(ConfigError, match=r"StorageBackend a: spec\.caSecretRef: the certificates in default/ca/ca\.crt cannot be read"):
        load(directory, {})
