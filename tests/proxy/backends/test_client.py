"""Whom a client trusts, and what it refuses to be made of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.certificates import Certificate, self_signed
from tests.support.seaweedfs import Adapter, Endpoint
from tests.support.tcp import Peer, serving

from s3o_proxy.backends.client import ssl_context
from s3o_proxy.backends.s3 import S3Backend
from s3o_proxy.domain.errors import BackendUnavailable


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return self_signed(tmp_path_factory.mktemp("tls"), "IP:127.0.0.1")


async def answer(peer: Peer) -> None:
    while True:
        await peer.request()
        await peer.answer("200 OK", ETag='"etag"')


async def open_tls(adapter: Adapter, url: str, ca: str, **changes: Any) -> S3Backend:
    endpoint = Endpoint(url, "bucket")
    return await adapter(endpoint.config(ca="test/ca" if ca else "", **changes), {**endpoint.secrets, "test/ca": ca}, None)


async def test_a_ca_of_ones_own_is_trusted(adapter: Adapter, certificate: Certificate) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield bytes(2 * 1024 * 1024)

    async with serving(answer, tls=certificate.server_context()) as server:
        backend = await open_tls(adapter, server.url, certificate.pem)
        assert (await backend.head("key")).etag == "etag"
        await backend.close()
        signing = await open_tls(adapter, server.url, certificate.pem, unsigned_payload=False)
        await signing.put("large bodies go unsigned over TLS", body(), 2 * 1024 * 1024)
        await signing.close()


async def test_a_certificate_that_nobody_trusts_is_refused_before_anything_is_sent(adapter: Adapter, certificate: Certificate) -> None:
    async with serving(answer, tls=certificate.server_context()) as server:
        backend = await open_tls(adapter, server.url, "")
        with pytest.raises(BackendUnavailable, match="certificate") as failed:
            await backend.delete("key")
        assert not failed.value.ambiguous
        await backend.close()


async def test_what_the_system_trusts_is_read_for_tls_alone() -> None:
    endpoint = Endpoint("http://127.0.0.1:1", "bucket")
    assert ssl_context(endpoint.config(), endpoint.secrets) is None
    assert ssl_context(endpoint.config(endpoint="https://127.0.0.1:1"), endpoint.secrets) is not None


async def test_a_ca_that_is_none_is_named(adapter: Adapter) -> None:
    with pytest.raises(ValueError, match="test/ca holds no PEM certificate"):
        await open_tls(adapter, "https://127.0.0.1:1", "not a certificate")


async def test_a_secret_that_is_missing_is_named(adapter: Adapter) -> None:
    endpoint = Endpoint("http://127.0.0.1:1", "bucket")
    with pytest.raises(ValueError, match="test/seaweedfs/secret"):
        await adapter(endpoint.config(), {"test/seaweedfs/access": "s3o"}, None)


async def test_the_aws_settings_of_whoever_runs_us_are_not_ours(adapter: Adapter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
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
        backend = await adapter(endpoint.config(), endpoint.secrets, None)
        assert (await backend.head("key")).etag == "etag"
        await backend.close()
