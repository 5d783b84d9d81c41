"""The head of a request, as it stands on the wire."""

from __future__ import annotations

import pytest

from s3o_proxy.backends.wire.address import Address
from s3o_proxy.backends.wire.request import RequestWriter
from s3o_proxy.backends.wire.signer import UNSIGNED_PAYLOAD, Signer

WRITER = RequestWriter(Address("h", 1, False, "h:1", "/bucket/"), Signer("id", "secret", "r", "h:1", lambda: 0.0))


def lines(head: bytes) -> list[str]:
    assert head.endswith(b"\r\n\r\n")
    return head.decode().removesuffix("\r\n\r\n").split("\r\n")


def test_a_get_has_no_length_and_asks_for_the_bytes_as_they_are() -> None:
    first, *headers = lines(WRITER.head("GET", "a key", UNSIGNED_PAYLOAD))
    assert first == "GET /bucket/a%20key HTTP/1.1"
    assert headers[:3] == ["Host: h:1", "User-Agent: s3-orchestrator", "Accept-Encoding: identity"]
    assert headers[3:5] == ["x-amz-date: 19700101T000000Z", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]
    assert headers[5].startswith(
        "authorization: AWS4-HMAC-SHA256 Credential=id/19700101/r/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
    )
    assert len(headers) == 6


def test_a_put_has_its_length_and_signs_what_it_says_of_the_body() -> None:
    asked = (("content-type", "text/plain; charset=ü"), ("x-amz-meta-a", "1"))
    first, *headers = lines(WRITER.head("PUT", "k", UNSIGNED_PAYLOAD, query="partNumber=1&uploadId=x", headers=asked, size_bytes=7))
    assert first == "PUT /bucket/k?partNumber=1&uploadId=x HTTP/1.1"
    assert headers[3:6] == ["Content-Length: 7", "content-type: text/plain; charset=ü", "x-amz-meta-a: 1"]
    assert "SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-meta-a," in headers[-1]


@pytest.mark.parametrize("header", [("content-type", "a\r\nb: c"), ("content-type", "a\nb"), ("x-amz-meta-a\r\nb", "c"), ("range", "\0")])
def test_no_header_makes_another(header: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="line break"):
        WRITER.head("GET", "k", UNSIGNED_PAYLOAD, headers=(header,))
