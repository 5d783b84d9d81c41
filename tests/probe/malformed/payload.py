"""Bodies that are not what their headers promise, and promises that cannot be read: hashes, digests, checksums, sizes."""

from __future__ import annotations

import base64
import hashlib

from tests.probe.malformed.case import KEPT, NEW, Ask, Build, Case, named
from tests.probe.malformed.scene import MAX_OBJECT_BYTES, Scene, sha256

from s3o_proxy.s3.checksums import new_hasher

_BODY = b"hello"
_PART = "/{bucket}/{slow}?partNumber=3&uploadId={upload}"
_INVALID = (400, "InvalidRequest")
_BAD_DIGEST = (400, "BadDigest")
_NO_LENGTH = (411, "MissingContentLength")
_TOO_LARGE = (400, "EntityTooLarge")
_DIGEST_BYTES = {"crc32": 4, "crc32c": 4, "crc64nvme": 8, "sha1": 20, "sha256": 32}


def cases() -> list[Case]:
    return [
        *named("x-amz-content-sha256", _hashes()),
        *named("Content-MD5", _md5s()),
        *named("checksum", _checksums()),
        *named("checksum of an upload", _upload_checksums()),
        *named("size", _sizes()),
    ]


# --- hash and digest ----------------------------------------------------------------------------------------------------------------


def _hashes() -> list[Case]:
    unreadable = ("abc", "UNSIGNED", "unsigned-payload", "STREAMING-NONSENSE", "0" * 63, "0" * 65, "g" * 64, " ".join("00" * 32))
    found = [Case(repr(value), Ask("PUT", KEPT, body=_BODY, payload=value), 400, "InvalidArgument") for value in unreadable]
    found += [Case(f"missing, {method}", Ask(method, KEPT, body=body, tamper=_without_hash), *_INVALID) for method, body in _BODY_BY_METHOD]
    found += [
        Case(
            f"of other bytes, {len(body)} of {target}",
            Ask("PUT", target, body=body, payload=sha256(b"others")),
            400,
            "XAmzContentSHA256Mismatch",
        )
        for body in (b"", _BODY, bytes(300_000))
        for target in (KEPT, NEW, _PART)
    ]
    signed_elsewhere = ("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER")
    return [*found, *[Case(value, Ask("PUT", KEPT, body=_BODY, payload=value), 501, "NotImplemented") for value in signed_elsewhere]]


_BODY_BY_METHOD = (("PUT", _BODY), ("GET", b""), ("DELETE", b""))


def _without_hash(headers: dict[str, str]) -> None:
    del headers["X-Amz-Content-SHA256"]


def _md5s() -> list[Case]:
    right = base64.b64encode(hashlib.md5(_BODY).digest()).decode()
    unreadable = (
        "",
        "nonsense",
        "AAAA",
        right[:-2],
        right + "=",
        right + "AAAA",
        hashlib.md5(_BODY).hexdigest(),
        right[:4] + " " + right[4:],
        f"{right},{right}",
        base64.b64encode(bytes(15)).decode(),
        base64.b64encode(bytes(17)).decode(),
        base64.urlsafe_b64encode(b"\xff" * 16).decode(),
    )
    others = base64.b64encode(hashlib.md5(b"others").digest()).decode()
    return [
        *[Case(repr(value), Ask("PUT", KEPT, {"Content-MD5": value}, _BODY), 400, "InvalidDigest") for value in unreadable],
        *[
            Case(f"of other bytes, {target}", Ask("PUT", target, {"Content-MD5": others}, _BODY), *_BAD_DIGEST)
            for target in (KEPT, NEW, _PART)
        ],
    ]


# --- checksums ----------------------------------------------------------------------------------------------------------------------


def _value(algorithm: str, data: bytes) -> str:
    hasher = new_hasher(algorithm.upper())
    hasher.update(data)
    return hasher.base64()


def _checksums_by(algorithm: str) -> list[Case]:
    name, others = f"x-amz-checksum-{algorithm}", _value(algorithm, b"others")
    too_long = base64.b64encode(bytes(_DIGEST_BYTES[algorithm] + 1)).decode()
    unreadable = ("", "not=base-64", too_long, _value(algorithm, _BODY).rstrip("=") + "!")
    return [
        *[
            Case(f"{algorithm} {value!r}", Ask("PUT", KEPT, {name: value}, _BODY), *_INVALID, words=f"Value for {name}")
            for value in unreadable
        ],
        *[
            Case(f"{algorithm} of other bytes, {target}", Ask("PUT", target, {name: others}, _BODY), *_BAD_DIGEST)
            for target in (KEPT, NEW, _PART)
        ],
    ]


def _checksums() -> list[Case]:
    found = [case for algorithm in _DIGEST_BYTES for case in _checksums_by(algorithm)]
    crc32, crc32c = {"x-amz-checksum-crc32": _value("crc32", _BODY)}, {"x-amz-checksum-crc32c": _value("crc32c", _BODY)}
    algorithm_asked = "x-amz-sdk-checksum-algorithm"
    return [
        *found,
        Case("two of them", Ask("PUT", KEPT, crc32 | crc32c, _BODY), *_INVALID, words="Expecting a single"),
        Case("one twice", Ask("PUT", KEPT, {"x-amz-checksum-crc32": ",".join(2 * [*crc32.values()])}, _BODY), *_INVALID),
        Case("an unknown algorithm", Ask("PUT", KEPT, {"x-amz-checksum-crc16": "AAA="}, _BODY), *_INVALID, words="algorithm type"),
        Case("an algorithm of a later S3", Ask("PUT", KEPT, {"x-amz-checksum-sha512": "AAA="}, _BODY), 501, "NotImplemented"),
        Case("asked for and not sent", Ask("PUT", KEPT, {algorithm_asked: "CRC32"}, _BODY), *_INVALID, words="no corresponding"),
        Case("another asked for than sent", Ask("PUT", KEPT, {algorithm_asked: "SHA1"} | crc32, _BODY), *_INVALID, words=algorithm_asked),
        Case("an unknown one asked for", Ask("PUT", KEPT, {algorithm_asked: "CRC16"}, _BODY), *_INVALID, words=algorithm_asked),
        Case("a later one asked for", Ask("PUT", KEPT, {algorithm_asked: "SHA512"}, _BODY), 501, "NotImplemented"),
        Case("a trailer without chunks", Ask("PUT", KEPT, {"x-amz-trailer": "x-amz-checksum-crc32"}, _BODY), 400, "MalformedTrailerError"),
        Case("chunks that are none", Ask("PUT", KEPT, {"Content-Encoding": "aws-chunked"}, _BODY), *_INVALID),
    ]


def _upload_checksums() -> list[Case]:
    algorithm, kind = "x-amz-checksum-algorithm", "x-amz-checksum-type"
    pairs: list[tuple[dict[str, str], int, str]] = [
        ({algorithm: "CRC16"}, *_INVALID),
        ({algorithm: "SHA512"}, 501, "NotImplemented"),
        ({kind: "COMPOSITE"}, *_INVALID),
        ({algorithm: "CRC32", kind: "HALF"}, *_INVALID),
        ({algorithm: "SHA1", kind: "FULL_OBJECT"}, *_INVALID),
        ({algorithm: "SHA256", kind: "FULL_OBJECT"}, *_INVALID),
        ({algorithm: "CRC64NVME", kind: "COMPOSITE"}, *_INVALID),
    ]
    return [Case(str(headers), Ask("POST", NEW + "?uploads", headers), status, code) for headers, status, code in pairs]


# --- sizes --------------------------------------------------------------------------------------------------------------------------


def _sizes() -> list[Case]:
    """What is too large is refused on its announcement: not a byte of it is ever sent."""
    documents = ("POST", "/{bucket}?delete"), ("POST", "/{bucket}/{slow}?uploadId={upload}")
    found = [
        Case(f"no length, {method} {target}", Ask(method, target, length="", payload="UNSIGNED-PAYLOAD"), *_NO_LENGTH)
        for method, target in (("PUT", KEPT), ("PUT", NEW), ("PUT", _PART), *documents)
    ]
    found += [Case(f"chunked without a decoded length, {target}", _chunked(target), *_NO_LENGTH) for target in (KEPT, _PART)]
    for size in (MAX_OBJECT_BYTES + 1, 5 * 1024**3 + 1, 10**17):
        for target in (KEPT, NEW, _PART):
            found.append(Case(f"{size} bytes, {target}", Ask("PUT", target, length=str(size), payload="UNSIGNED-PAYLOAD"), *_TOO_LARGE))
    md5 = {"Content-MD5": base64.b64encode(bytes(16)).decode()}
    for method, target in (*documents, ("PUT", "/{bucket}")):
        ask = Ask(method, target, md5, length=str(20 * 1024**2), payload="UNSIGNED-PAYLOAD")
        found.append(Case(f"a document of 20 MiB, {target}", ask, 400, "MaxMessageLengthExceeded"))
    return found


def _chunked(target: str) -> Build:
    def build(scene: Scene) -> bytes:
        ask = Ask("PUT", target, length="", payload="UNSIGNED-PAYLOAD", behind={"Transfer-Encoding": "chunked"})
        return ask(scene) + b"5\r\nhello\r\n0\r\n\r\n"

    return build
