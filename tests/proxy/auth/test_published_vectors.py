"""AWS' own published examples of SigV4 for S3: same keys, same day, same signatures.

Source: S3 API Reference, "Signature Calculations for the Authorization Header: Transferring Payload in a Single Chunk", "… in Multiple
Chunks", "… Including Trailing Headers", and "Authenticating Requests: Using Query Parameters".
"""

from __future__ import annotations

import pytest
from tests.support.wire import KEY_ID, Keys, credential, facts

from s3o_proxy.auth.authenticate import Authentication, Authenticator
from s3o_proxy.auth.chunk_signature import ChunkSignatures
from s3o_proxy.domain.errors import ChunkSignatureMismatch
from s3o_proxy.s3.dates import parse_amz_date
from s3o_proxy.s3.request import RequestFacts

HOST = "examplebucket.s3.amazonaws.com"
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
NOW_MS = parse_amz_date("20130524T000000Z") or 0
CHUNKS = (b"a" * 65536, b"a" * 1024, b"")


def authenticate(request: RequestFacts) -> Authentication:
    return Authenticator().authenticate(request, Keys(credential()), NOW_MS)


def by_header(method: str, target: str, headers: dict[str, str], signature: str, payload: str = EMPTY, host: str = HOST) -> RequestFacts:
    headers = {"host": host, "x-amz-content-sha256": payload, **headers}
    if "date" not in headers:
        headers["x-amz-date"] = "20130524T000000Z"
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={KEY_ID}/20130524/us-east-1/s3/aws4_request,"
        f"SignedHeaders={';'.join(sorted(headers))},Signature={signature}"
    )
    return facts(method, target, {**headers, "authorization": authorization}, host=host)


@pytest.mark.parametrize(
    "request_facts",
    [
        pytest.param(
            by_header("GET", "/test.txt", {"range": "bytes=0-9"}, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
            id="GET object",
        ),
        pytest.param(
            by_header(
                "PUT",
                "/test%24file.text",
                {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-date": "20130524T000000Z", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
                "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
                payload="44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
            ),
            id="PUT object",
        ),
        pytest.param(
            by_header("GET", "/?lifecycle", {}, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
            id="GET bucket lifecycle",
        ),
        pytest.param(
            by_header("GET", "/?max-keys=2&prefix=J", {}, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
            id="list objects",
        ),
    ],
)
def test_signatures_by_header(request_facts: RequestFacts) -> None:
    assert authenticate(request_facts).method == "header"


def test_a_presigned_url() -> None:
    target = (
        "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )
    assert authenticate(facts("GET", target, host=HOST)).method == "presigned"


def streaming(*, trailer: bool) -> ChunkSignatures:
    headers = {
        "content-encoding": "aws-chunked",
        "x-amz-decoded-content-length": "66560",
        "x-amz-storage-class": "REDUCED_REDUNDANCY",
    }
    if trailer:
        headers["x-amz-trailer"] = "x-amz-checksum-crc32c"
        seed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
    else:
        headers["content-length"] = "66824"
        seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
    payload = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" + ("-TRAILER" if trailer else "")
    request = by_header("PUT", "/examplebucket/chunkObject.txt", headers, seed, payload=payload, host="s3.amazonaws.com")
    signatures = authenticate(request).chunk_signatures
    assert isinstance(signatures, ChunkSignatures)
    return signatures


def test_a_body_in_signed_chunks() -> None:
    signatures = streaming(trailer=False)
    for chunk, signature in zip(
        CHUNKS,
        (
            "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
            "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
            "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
        ),
        strict=True,
    ):
        signatures.update(chunk)
        signatures.check_chunk(signature)


def test_a_body_in_signed_chunks_with_a_signed_trailer() -> None:
    signatures = streaming(trailer=True)
    for chunk, signature in zip(
        CHUNKS,
        (
            "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
            "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
            "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
        ),
        strict=True,
    ):
        for piece in (chunk[:1000], memoryview(chunk)[1000:]):
            signatures.update(piece)
        signatures.check_chunk(signature)
    signatures.check_trailer(b"x-amz-checksum-crc32c:sOO8/Q==\n", "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435")


def test_chunks_in_another_order_or_with_another_byte_do_not_match() -> None:
    signatures = streaming(trailer=False)
    signatures.update(CHUNKS[1])
    with pytest.raises(ChunkSignatureMismatch):
        signatures.check_chunk("0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497")
    signatures = streaming(trailer=False)
    signatures.update(b"b" + CHUNKS[0][1:])
    with pytest.raises(ChunkSignatureMismatch):
        signatures.check_chunk("ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648")


def test_a_trailer_changed_on_the_way_does_not_match() -> None:
    signatures = streaming(trailer=True)
    signatures.update(CHUNKS[0])
    signatures.check_chunk("b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2")
    signatures.update(CHUNKS[1])
    signatures.check_chunk("1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7")
    signatures.check_chunk("2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992")
    with pytest.raises(ChunkSignatureMismatch):
        signatures.check_trailer(b"x-amz-checksum-crc32c:AAAAAA==\n", "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435")
