"""Whom a client trusts, and what it refuses to be made of."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.seaweedfs import Endpoint
from tests.support.tcp import Peer, serving

from s3o_proxy.backends.s3 import S3Backend
from s3o_proxy.domain.errors import BackendUnavailable


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ssl.SSLContext]:
    """A certificate for 127.0.0.1 that nobody signed, and a server's context with it."""
    directory = tmp_path_factory.mktemp("tls")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=test",
    ]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(directory / "key.pem"), "-out", str(directory / "cert.pem")]
    subprocess.run([*command, *names], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    return (directory / "cert.pem").read_text(), context


async def answer(peer: Peer) -> None:
    while True:
        await peer.request()
        await peer.answer("200 OK", ETag='"etag"')


async def open_tls(url: str, ca: str, **changes: Any) -> S3Backend:
    endpoint = Endpoint(url, "bucket")
    return await S3Backend.open(endpoint.config(ca="test/ca" if ca else "", **changes), {**endpoint.secrets, "test/ca": ca})


async def test_a_ca_of_ones_own_is_trusted(certificate: tuple[str, ssl.SSLContext]) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield bytes(2 * 1024 * 1024)

    pem, context = certificate
    async with serving(answer, tls=context) as server:
        backend = await open_tls(server.url, pem)
        assert (await backend.head("key")).etag == "etag"
        await backend.close()
        signing = await open_tls(server.url, pem, unsigned_payload=False)
        await signing.put("large bodies go unsigned over TLS", body(), 2 * 1024 * 1024)
        await signing.close()


async def test_a_certificate_that_nobody_trusts_is_refused_before_anything_is_sent(certificate: tuple[str, ssl.SSLContext]) -> None:
    _, context = certificate
    async with serving(answer, tls=context) as server:
        backend = await open_tls(server.url, "")
        with pytest.raises(BackendUnavailable, match="certificate") as failed:
            await backend.delete("key")
        assert not failed.value.ambiguous
        await backend.close()


async def test_a_ca_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match="test/ca holds no PEM certificate"):
        await open_tls("https://127.0.0.1:1", "not a certificate")


async def test_a_secret_that_is_missing_is_named() -> None:
    endpoint = Endpoint("http://127.0.0.1:1", "bucket")
    with pytest.raises(ValueError, match="test/seaweedfs/secret"):
        await S3Backend.open(endpoint.config(), {"test/seaweedfs/access": "s3o"})


async def test_the_aws_settings_of_whoever_runs_us_are_not_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = tmp_path / "config"
    settings.write_text("[default]\nregion = elsewhere\ns3 =\n  use_accelerate_endpoint = true\n  addressing_style = virtual\n")
    for name, value in (
        ("AWS_CONFIG_FILE", str(settings)),
        ("AWS_PROFILE", "of-somebody-else"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_USE_FIPS_ENDPOINT", "true"),
        ("AWS_USE_DUALSTACK_ENDPOINT", "true"),
        ("AWS_MAX_ATTEMPTS", "9"),
        ("AWS_CA_BUNDLE", "/nowhere"),
    ):
        monkeypatch.setenv(name, value)
    async with serving(answer) as server:
        endpoint = Endpoint(server.url, "bucket")
        backend = await S3Backend.open(endpoint.config(), endpoint.secrets)
        assert (await backend.head("key")).etag == "etag"
        await backend.close()
