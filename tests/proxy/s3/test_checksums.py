"""Five algorithms against known values and against each other, whole, in pieces and joined out of parts."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.wire import refusal_of

from s3o_proxy.s3.checksum_headers import asked_algorithm, checksum_header, checksum_type, upload_checksum
from s3o_proxy.s3.checksums import (
    ALGORITHMS,
    DIGEST_BYTES,
    TYPES,
    combine_full_object,
    composite,
    from_base64,
    is_checksum,
    multipart_etag,
    new_hasher,
    to_base64,
)

CHECK = b"123456789"
"""The usual check string of CRC catalogues."""
CRCS = ("CRC32", "CRC32C", "CRC64NVME")


def checksum(algorithm: str, data: bytes) -> str:
    hasher = new_hasher(algorithm)
    hasher.update(data)
    return hasher.base64()


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [
        ("CRC32", "cbf43926"),
        ("CRC32C", "e3069283"),
        ("CRC64NVME", "ae8b14860a799888"),
        ("SHA1", "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
        ("SHA256", "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
    ],
)
def test_known_values(algorithm: str, digest: str) -> None:
    hasher = new_hasher(algorithm)
    hasher.update(CHECK)
    assert hasher.digest().hex() == digest
    assert hasher.base64() == base64.b64encode(bytes.fromhex(digest)).decode()


def test_every_algorithm_has_its_size_and_its_types() -> None:
    assert set(ALGORITHMS) == set(DIGEST_BYTES) == set(TYPES)
    for algorithm in ALGORITHMS:
        assert len(new_hasher(algorithm).digest()) == DIGEST_BYTES[algorithm]
    with pytest.raises(ValueError, match="CRC16"):
        new_hasher("CRC16")


@given(st.lists(st.binary(max_size=50), max_size=8), st.sampled_from(ALGORITHMS))
def test_pieces_make_the_same_as_the_whole(pieces: list[bytes], algorithm: str) -> None:
    hasher = new_hasher(algorithm)
    for piece in pieces:
        hasher.update(memoryview(bytearray(piece)))
    assert hasher.base64() == checksum(algorithm, b"".join(pieces))


@given(st.lists(st.binary(max_size=50), max_size=8), st.sampled_from(CRCS))
def test_a_crc_of_the_whole_out_of_its_parts(parts: list[bytes], algorithm: str) -> None:
    joined = combine_full_object(algorithm, [(checksum(algorithm, part), len(part)) for part in parts])
    assert joined == checksum(algorithm, b"".join(parts))


def test_a_composite_checksum() -> None:
    parts = (b"a" * 10, b"b" * 5)
    digests = b"".join(hashlib.sha256(part).digest() for part in parts)
    assert composite("SHA256", [checksum("SHA256", part) for part in parts]) == to_base64(hashlib.sha256(digests).digest()) + "-2"


def test_the_etag_of_a_completed_upload() -> None:
    parts = [hashlib.md5(part).hexdigest() for part in (b"a", b"b")]
    assert multipart_etag(parts) == hashlib.md5(bytes.fromhex("".join(parts))).hexdigest() + "-2"


def test_strict_base64() -> None:
    assert from_base64("AAAAAA==", 4) == bytes(4)
    assert is_checksum("CRC32", "AAAAAA==")
    for value in ("AAAAAA", "AAAAAA==\n", "AAAA AA==", "AAAAAA==AAAA", "äAAAAA==", "", "AAAA"):
        assert from_base64(value, 4) is None


# --- headers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("algorithm", "kind", "result"),
    [
        ("", "", ("", "COMPOSITE")),
        ("CRC32", "", ("CRC32", "COMPOSITE")),
        ("crc32c", "full_object", ("CRC32C", "FULL_OBJECT")),
        ("CRC64NVME", "", ("CRC64NVME", "FULL_OBJECT")),
        ("SHA1", "COMPOSITE", ("SHA1", "COMPOSITE")),
    ],
)
def test_the_checksum_of_an_upload(algorithm: str, kind: str, result: tuple[str, str]) -> None:
    assert upload_checksum({"x-amz-checksum-algorithm": algorithm, "x-amz-checksum-type": kind}) == result


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [("", "FULL_OBJECT"), ("SHA256", "FULL_OBJECT"), ("CRC64NVME", "COMPOSITE"), ("CRC16", ""), ("CRC32", "HALF_OBJECT")],
)
def test_pairs_that_s3_does_not_have(algorithm: str, kind: str) -> None:
    refusal_of("InvalidRequest", upload_checksum, {"x-amz-checksum-algorithm": algorithm, "x-amz-checksum-type": kind})


def test_algorithms_that_only_s3_has() -> None:
    refusal_of("NotImplemented", asked_algorithm, {"x-amz-checksum-algorithm": "SHA512"})


def test_names() -> None:
    assert checksum_header("CRC64NVME") == "x-amz-checksum-crc64nvme"
    assert checksum_type({}) is None
