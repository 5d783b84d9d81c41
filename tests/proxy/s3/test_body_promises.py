"""What headers promise of a body, form by form as clients send them, and what is refused before a byte is read."""

from __future__ import annotations

import base64
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.wire import facts, refusal_of

from s3o_proxy.s3.body_promises import BodyPromises, Framing, body_promises
from s3o_proxy.s3.errors import S3Error
from s3o_proxy.s3.operation import (
    CompleteMultipartUpload,
    CopyObject,
    CreateMultipartUpload,
    DeleteObjects,
    GetObject,
    Operation,
    PutObject,
    UploadPart,
)

PUT = PutObject("photos", "k")
SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
MD5 = base64.b64encode(bytes(16)).decode()
UNSIGNED_TRAILER = {
    "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    "x-amz-decoded-content-length": "10",
    "content-encoding": "aws-chunked",
    "x-amz-trailer": "x-amz-checksum-crc32",
    "x-amz-sdk-checksum-algorithm": "CRC32",
}


def promises(headers: dict[str, str], operation: Operation = PUT, target: str = "/photos/k", **named: int) -> BodyPromises:
    return body_promises(facts("PUT", target, headers), operation, **named)


# --- the wire forms of clients -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param(
            {
                "content-length": "10",
                "x-amz-content-sha256": SHA256,
                "x-amz-checksum-crc32": "AAAAAA==",
                "x-amz-sdk-checksum-algorithm": "CRC32",
            },
            BodyPromises(10, content_sha256=SHA256, checksums={"CRC32": "AAAAAA=="}),
            id="boto3 over http",
        ),
        pytest.param(
            {**UNSIGNED_TRAILER, "transfer-encoding": "chunked"},
            BodyPromises(10, Framing.UNSIGNED_CHUNKS, trailer_algorithm="CRC32"),
            id="boto3 over https",
        ),
        pytest.param(
            {**UNSIGNED_TRAILER, "content-length": "52"},
            BodyPromises(10, Framing.UNSIGNED_CHUNKS, trailer_algorithm="CRC32"),
            id="aws-c-s3",
        ),
        pytest.param(
            {
                "content-length": "182",
                "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
                "x-amz-decoded-content-length": "10",
                "content-md5": MD5,
            },
            BodyPromises(10, Framing.SIGNED_CHUNKS, content_md5=MD5),
            id="restic over http",
        ),
        pytest.param(
            {
                "content-length": "300",
                "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
                "x-amz-decoded-content-length": "10",
                "x-amz-trailer": "X-Amz-Checksum-Sha256",
                "content-encoding": "gzip,aws-chunked",
            },
            BodyPromises(10, Framing.SIGNED_CHUNKS_AND_TRAILER, trailer_algorithm="SHA256"),
            id="signed trailer",
        ),
        pytest.param(
            {"content-length": "10", "x-amz-content-sha256": "UNSIGNED-PAYLOAD", "content-md5": MD5},
            BodyPromises(10, content_md5=MD5),
            id="rclone",
        ),
        pytest.param({"content-length": "0"}, BodyPromises(), id="presigned, empty"),
        pytest.param(
            {"transfer-encoding": "chunked", "x-amz-decoded-content-length": "10"},
            BodyPromises(10),
            id="plain, chunked by HTTP, with its length",
        ),
    ],
)
def test_forms(headers: dict[str, str], expected: BodyPromises) -> None:
    assert promises(headers) == expected


def test_a_body_nobody_needs_may_be_without_a_length() -> None:
    assert promises({}, CopyObject("photos", "k")) == BodyPromises()
    assert promises({}, GetObject("photos", "k")) == BodyPromises()


def test_an_upload_created_by_an_empty_chunked_body() -> None:
    headers = {**UNSIGNED_TRAILER, "x-amz-decoded-content-length": "0", "transfer-encoding": "chunked"}
    found = promises(headers, CreateMultipartUpload("photos", "k"))
    assert (found.size_bytes, found.framing) == (0, Framing.UNSIGNED_CHUNKS)


def test_checksums_of_a_complete_speak_of_the_object() -> None:
    found = promises({"content-length": "10", "x-amz-checksum-crc32": "AAAAAA==-2"}, CompleteMultipartUpload("photos", "k"))
    assert found.checksums == {}


def test_headers_that_a_presigner_moved_into_the_query() -> None:
    target = "/photos/k?X-Amz-Signature=x&X-Amz-Content-Sha256=" + "0" * 64
    assert promises({"content-length": "5"}, target=target) == BodyPromises(5, content_sha256="0" * 64)


@pytest.mark.parametrize("operation", [PutObject("photos", "k"), UploadPart("photos", "k", "u", 1)])
def test_a_checksum_that_a_presigner_moved_into_the_query_promises_nothing(operation: Operation) -> None:
    """@aws-sdk/s3-request-presigner puts that of an empty body there (aws-sdk-js-v3#6994), and S3 stores whatever comes."""
    target = "/photos/k?X-Amz-Signature=x&x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32"
    assert promises({"content-length": "5"}, operation, target=target) == BodyPromises(5)
    sent = {"content-length": "5", "x-amz-checksum-crc32": "NhCmhg=="}
    assert promises(sent, operation, target=target) == BodyPromises(5, checksums={"CRC32": "NhCmhg=="})


def test_an_algorithm_asked_for_beside_an_md5_is_computed() -> None:
    found = promises({"content-length": "1", "content-md5": MD5, "x-amz-sdk-checksum-algorithm": "sha1"})
    assert found.requested_algorithm == "SHA1"


# --- lengths -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"transfer-encoding": "chunked"},
        {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "content-length": "10"},
        {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-decoded-content-length": "10"},
    ],
)
@pytest.mark.parametrize("operation", [PUT, UploadPart("photos", "k"), DeleteObjects("photos"), CompleteMultipartUpload("photos", "k")])
def test_a_body_needs_its_length(headers: dict[str, str], operation: Operation) -> None:
    assert refusal_of("MissingContentLength", promises, headers, operation).status == 411


@pytest.mark.parametrize("length", ["-1", "ten", "", "1e3", "9" * 30, "1 "])
def test_lengths_are_numbers(length: str) -> None:
    """S3 takes a decoded length that is none for one that is missing."""
    refusal_of("InvalidArgument", promises, {"content-length": length})
    unreadable = {**UNSIGNED_TRAILER, "transfer-encoding": "chunked", "x-amz-decoded-content-length": length}
    refusal_of("MissingContentLength", promises, unreadable)


@pytest.mark.parametrize("operation", [PUT, UploadPart("photos", "k")])
def test_the_largest_single_put(operation: Operation) -> None:
    assert promises({"content-length": "100"}, operation, max_size_bytes=100).size_bytes == 100
    error = refusal_of("EntityTooLarge", promises, {"content-length": "101"}, operation, max_size_bytes=100)
    assert error.extra == {"ProposedSize": "101", "MaxSizeAllowed": "100"}
    refusal_of("EntityTooLarge", promises, {"content-length": str(5 * 1024**3 + 1)}, operation)


# --- digests -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["", "nonsense", "AAAA", MD5[:-2], MD5 + "=", " " + MD5])
def test_a_malformed_md5(value: str) -> None:
    refusal_of("InvalidDigest", promises, {"content-length": "1", "content-md5": value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amz-checksum-crc32", ""),
        ("x-amz-checksum-crc32", "AAAAAA"),
        ("x-amz-checksum-crc32", "AAAAAAAA"),
        ("x-amz-checksum-crc32", "AAAAAA==-2"),
        ("x-amz-checksum-crc64nvme", "AAAAAA=="),
        ("x-amz-checksum-sha256", SHA256),
    ],
)
def test_a_malformed_checksum(name: str, value: str) -> None:
    error = refusal_of("InvalidRequest", promises, {"content-length": "1", name: value})
    assert error.message == f"Value for {name} header is invalid."


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-crc32c": "AAAAAA=="},
        {**UNSIGNED_TRAILER, "x-amz-checksum-crc32c": "AAAAAA=="},
        {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-sdk-checksum-algorithm": "SHA1"},
        {"x-amz-sdk-checksum-algorithm": "CRC32"},
        {"x-amz-sdk-checksum-algorithm": "CRC16"},
        {"x-amz-checksum-crc16": "AAA="},
        {**UNSIGNED_TRAILER, "x-amz-trailer": "x-amz-meta-a"},
        {**UNSIGNED_TRAILER, "x-amz-trailer": "x-amz-checksum-crc32,x-amz-checksum-sha1"},
        {"content-encoding": "aws-chunked"},
        {"content-encoding": "gzip, AWS-chunked", "x-amz-content-sha256": "UNSIGNED-PAYLOAD"},
    ],
)
def test_promises_that_contradict_each_other(headers: dict[str, str]) -> None:
    refusal_of("InvalidRequest", promises, {"content-length": "10", **headers})


def test_a_trailer_needs_chunks_to_follow() -> None:
    refusal_of("MalformedTrailerError", promises, {"content-length": "10", "x-amz-trailer": "x-amz-checksum-crc32"})


def test_a_hash_in_capitals_is_the_same_hash() -> None:
    assert promises({"content-length": "1", "x-amz-content-sha256": SHA256.upper()}).content_sha256 == SHA256


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-checksum-sha512": "A"},
        {"x-amz-checksum-xxhash3": "A"},
        {"x-amz-sdk-checksum-algorithm": "MD5"},
        {**UNSIGNED_TRAILER, "x-amz-trailer": "x-amz-checksum-sha512"},
        {"x-amz-content-sha256": "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"},
    ],
)
def test_promises_that_nobody_could_check(headers: dict[str, str]) -> None:
    assert refusal_of("NotImplemented", promises, {"content-length": "10", **headers}).status == 501


@pytest.mark.parametrize("headers", [{"content-md5": MD5}, {"x-amz-checksum-sha256": base64.b64encode(bytes(32)).decode()}])
def test_a_list_of_keys_to_delete_must_be_protected(headers: dict[str, str]) -> None:
    promises({"content-length": "1", **headers}, DeleteObjects("photos"))
    promises({"transfer-encoding": "chunked", **UNSIGNED_TRAILER}, DeleteObjects("photos"))
    error = refusal_of("InvalidRequest", promises, {"content-length": "1", "x-amz-content-sha256": SHA256}, DeleteObjects("photos"))
    assert error.message.startswith("Missing required header for this request: Content-MD5")


NAMES = (
    "content-length", "transfer-encoding", "x-amz-decoded-content-length", "content-encoding", "content-md5", "x-amz-content-sha256",
    "x-amz-checksum-crc32", "x-amz-checksum-sha256", "x-amz-trailer", "x-amz-sdk-checksum-algorithm",
)  # fmt: skip
VALUES = (
    "0", "10", "chunked", "aws-chunked", MD5, SHA256, "UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "AAAAAA==",
    "x-amz-checksum-crc32", "CRC32",
)  # fmt: skip


@given(
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES) | st.text(st.characters(max_codepoint=255), max_size=20)),
    st.sampled_from([PUT, DeleteObjects("photos"), CompleteMultipartUpload("photos", "k"), CopyObject("photos", "k")]),
)
def test_any_headers_are_promises_or_an_error_of_s3(headers: dict[str, str], operation: Operation) -> None:
    with suppress(S3Error):
        found = promises(headers, operation)
        assert found.size_bytes >= 0
        assert len(found.checksums) + bool(found.trailer_algorithm) <= 1
