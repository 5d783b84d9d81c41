"""A bucket lies where botocore says, and its keys are encoded as botocore encodes them."""

from __future__ import annotations

import pytest
from botocore.utils import percent_encode
from hypothesis import given
from hypothesis import strategies as st
from tests.support.seaweedfs import Endpoint

from s3o_proxy.backends.wire.address import Address, is_behind_a_proxy
from s3o_proxy.backends.wire.backend import WireBackend


@pytest.mark.parametrize(
    ("endpoint", "bucket", "path_style", "host", "port", "authority", "prefix"),
    [
        ("http://127.0.0.1:9000", "bucket", True, "127.0.0.1", 9000, "127.0.0.1:9000", "/bucket/"),
        ("http://127.0.0.1:9000", "bucket", False, "127.0.0.1", 9000, "127.0.0.1:9000", "/bucket/"),
        ("http://[::1]:9000", "bucket", True, "::1", 9000, "[::1]:9000", "/bucket/"),
        ("https://s3.example.com", "bucket", True, "s3.example.com", 443, "s3.example.com", "/bucket/"),
        ("https://s3.example.com", "bucket", False, "bucket.s3.example.com", 443, "bucket.s3.example.com", "/"),
        ("https://s3.example.com:443", "bucket", False, "bucket.s3.example.com", 443, "bucket.s3.example.com", "/"),
        ("https://s3.example.com:8443", "bucket", False, "bucket.s3.example.com", 8443, "bucket.s3.example.com:8443", "/"),
        ("https://s3.example.com", "with.dots", False, "s3.example.com", 443, "s3.example.com", "/with.dots/"),
        ("http://s3.example.com", "with.dots", False, "with.dots.s3.example.com", 80, "with.dots.s3.example.com", "/"),
        ("http://s3.example.com/below", "bucket", True, "s3.example.com", 80, "s3.example.com", "/below/bucket/"),
        ("http://s3.example.com", "Capitals_", False, "s3.example.com", 80, "s3.example.com", "/Capitals_/"),
    ],
)
async def test_a_bucket_lies_where_botocore_has_it(
    endpoint: str, bucket: str, path_style: bool, host: str, port: int, authority: str, prefix: str
) -> None:
    where = Endpoint(endpoint, bucket)
    backend = await WireBackend.open(where.config(force_path_style=path_style), where.secrets)
    address = await backend.address()
    assert address == Address(host, port, endpoint.startswith("https"), authority, prefix)
    await backend.close()


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_key_is_encoded_as_botocore_encodes_it(key: str) -> None:
    address = Address("h", 1, False, "h:1", "/bucket/")
    assert address.path(key) == "/bucket/" + percent_encode(key, safe="/~")


def test_a_url_without_the_key_is_refused() -> None:
    with pytest.raises(ValueError, match="no address"):
        Address.of("http://h/bucket/other", "key")


@pytest.mark.parametrize(
    ("endpoint", "environment", "behind"),
    [
        ("http://s3.test", {}, False),
        ("http://s3.test", {"http_proxy": "http://p:1"}, True),
        ("https://s3.test", {"http_proxy": "http://p:1"}, False),
        ("https://s3.test:9000", {"https_proxy": "http://p:1"}, True),
        ("https://s3.test:9000", {"https_proxy": "http://p:1", "no_proxy": "other,.test"}, False),
    ],
)
def test_a_proxy_of_the_environment(endpoint: str, environment: dict[str, str], behind: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert is_behind_a_proxy(endpoint) is behind
