"""Headers of reads, writes and copies that cannot be followed; and some that must be ignored, as S3 and the RFCs say."""

from __future__ import annotations

from tests.probe.malformed.case import KEPT, NEW, Ask, Case, named

_BODY = b"overwritten"
_INVALID = (400, "InvalidRequest")
_ARGUMENT = (400, "InvalidArgument")
_NOT_IMPLEMENTED = (501, "NotImplemented")
_FAILED = (412, "PreconditionFailed")
_PART = "/{bucket}/{slow}?partNumber=3&uploadId={upload}"
_FROM_KEPT = {"x-amz-copy-source": "/{bucket}/{key}"}


def cases() -> list[Case]:
    return [
        *named("range", _ranges()),
        *named("ignored", _ignored()),
        *named("condition", _conditions()),
        *named("metadata", _metadata()),
        *named("promise", _promises()),
        *named("copy", _copies()),
        *named("copied part", _copied_parts()),
    ]


# --- reading ------------------------------------------------------------------------------------------------------------------------


def _ranges() -> list[Case]:
    outside = (
        "bytes=1024-",
        "bytes=1024-1024",
        "bytes=5000-6000",
        "bytes=-0",
        "bytes=99999999999999999999-",
        f"bytes={'9' * 400}-{'9' * 401}",
    )
    found = [Case(text[:40], Ask("GET", KEPT, {"Range": text}), 416, "InvalidRange") for text in outside]
    return [
        *found,
        Case("HEAD", Ask("HEAD", KEPT, {"Range": "bytes=1024-"}), 416),
        Case("a part that is not there", Ask("GET", "/{bucket}/{joined}?partNumber=3"), 416, "InvalidPartNumber"),
        Case("a second part of one", Ask("GET", KEPT + "?partNumber=2"), 416, "InvalidPartNumber"),
        Case("HEAD of a part that is not there", Ask("HEAD", "/{bucket}/{joined}?partNumber=10000"), 416),
        Case("and a part number", Ask("GET", "/{bucket}/{joined}?partNumber=1", {"Range": "bytes=0-1"}), *_INVALID),
    ]


def _ignored() -> list[Case]:
    """RFC 9110 §14.2 (Range), §13.1.3 (dates), §10.1.1 (Expect): what cannot be read is as if it were not there."""
    ranges = (
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=5-2",
        "bytes 0-5",
        "items=0-1",
        "bytes=0-1,3-4",
        "0-5",
        "bytes=0-5x",
        "bytes=--5",
        "bytes=\u00e9",
    )
    dates = ("yesterday", "0", "Sun, 99 Nov 1994 08:49:37 GMT", "2026-03-20T17:09:45Z", "Sun, 06 Nov 1994 08:49:37 CET")
    return [
        *[Case(f"Range: {text}", Ask("GET", KEPT, {"Range": text}), 200) for text in ranges],
        *[Case(f"If-Modified-Since: {text}", Ask("GET", KEPT, {"If-Modified-Since": text}), 200) for text in dates],
        *[Case(f"If-Unmodified-Since: {text}", Ask("GET", KEPT, {"If-Unmodified-Since": text}), 200) for text in dates],
        Case("Expect: nonsense", Ask("GET", KEPT, behind={"Expect": "nonsense"}), 200),
        Case("If-Range: nonsense", Ask("GET", KEPT, {"Range": "bytes=0-1", "If-Range": "nonsense"}), 200),
    ]


def _conditions() -> list[Case]:
    other, past = '"00000000000000000000000000000000"', "Sun, 06 Nov 1994 08:49:37 GMT"
    writes: list[tuple[str, dict[str, str], int, str]] = [
        (KEPT, {"If-None-Match": "*"}, *_FAILED),
        (KEPT, {"If-None-Match": other}, *_NOT_IMPLEMENTED),
        (NEW, {"If-None-Match": other}, *_NOT_IMPLEMENTED),
        (KEPT, {"If-None-Match": ""}, *_NOT_IMPLEMENTED),
        (KEPT, {"If-None-Match": "*, " + other}, *_NOT_IMPLEMENTED),
        (KEPT, {"If-Match": other}, *_FAILED),
        (KEPT, {"If-Match": 'W/"{etag}"'}, *_FAILED),
        (NEW, {"If-Match": other}, 404, "NoSuchKey"),
        (NEW, {"If-Match": "*"}, 404, "NoSuchKey"),
        (KEPT, {"If-Match": f'{other}, "{{etag}}"'}, *_NOT_IMPLEMENTED),
        (KEPT, {"If-Match": ""}, *_ARGUMENT),
        (KEPT, {"If-Match": ",,"}, *_ARGUMENT),
        (KEPT, {"If-Modified-Since": past}, *_NOT_IMPLEMENTED),
        (KEPT, {"If-Unmodified-Since": past}, *_NOT_IMPLEMENTED),
    ]
    found = [Case(f"PUT {target} {headers}", Ask("PUT", target, headers, _BODY), status, code) for target, headers, status, code in writes]
    found += [
        Case(f"copy to {target} {headers}", Ask("PUT", target, {"x-amz-copy-source": "/{bucket}/{joined}"} | headers), status, code)
        for target, headers, status, code in writes
    ]
    deletes = [{"If-Match": other}, {"If-Match": 'W/"{etag}"'}]
    found += [Case(f"DELETE {headers}", Ask("DELETE", KEPT, headers), *_FAILED) for headers in deletes]
    found += [Case(f"DELETE nothing {headers}", Ask("DELETE", NEW, headers), 404, "NoSuchKey") for headers in deletes]
    reads = [{"If-Match": other}, {"If-Match": "nonsense"}, {"If-Unmodified-Since": past}]
    found += [Case(f"GET {headers}", Ask("GET", KEPT, headers), *_FAILED) for headers in reads]
    return [*found, *[Case(f"HEAD {headers}", Ask("HEAD", KEPT, headers), 412) for headers in reads]]


# --- writing ------------------------------------------------------------------------------------------------------------------------


def _metadata() -> list[Case]:
    too_large = {
        "one long value": {"x-amz-meta-a": "v" * 2048},
        "many values": {f"x-amz-meta-{number:03}": "value" * 4 for number in range(100)},
        "one long name": {f"x-amz-meta-{'n' * 2049}": ""},
        "one long value of few characters": {"x-amz-meta-a": "\u20ac" * 683},
    }
    found = [Case(f"{name}, PUT", Ask("PUT", KEPT, headers, _BODY), 400, "MetadataTooLarge") for name, headers in too_large.items()]
    found += [
        Case(f"{name}, upload", Ask("POST", NEW + "?uploads", headers), 400, "MetadataTooLarge") for name, headers in too_large.items()
    ]
    replaced = {"x-amz-metadata-directive": "REPLACE"} | _FROM_KEPT
    return [
        *found,
        *[Case(f"{name}, copy", Ask("PUT", KEPT, headers | replaced), 400, "MetadataTooLarge") for name, headers in too_large.items()],
    ]


def _promises() -> list[Case]:
    """Headers whose promise nobody here would keep: on a PUT, and on the start of an upload."""
    headers: list[tuple[dict[str, str], int, str]] = [
        *[({"x-amz-storage-class": value}, 400, "InvalidStorageClass") for value in ("GLACIER", "STANDARD_IA", "nonsense", "standard")],
        *[
            ({"x-amz-acl": value}, 400, "AccessControlListNotSupported")
            for value in ("public-read", "public-read-write", "authenticated-read")
        ],
        *[({"x-amz-acl": value}, *_ARGUMENT) for value in ("nonsense", "Private", "private,public-read")],
        *[({f"x-amz-grant-{right}": "id=1"}, 400, "AccessControlListNotSupported") for right in ("read", "write-acp", "full-control")],
        *[({"x-amz-server-side-encryption": value}, *_NOT_IMPLEMENTED) for value in ("AES256", "aws:kms", "nonsense")],
        ({"x-amz-server-side-encryption-customer-algorithm": "AES256"}, *_NOT_IMPLEMENTED),
        ({"x-amz-object-lock-mode": "GOVERNANCE"}, *_NOT_IMPLEMENTED),
        ({"x-amz-object-lock-legal-hold": "ON"}, *_NOT_IMPLEMENTED),
        ({"x-amz-tagging": "a=b"}, *_NOT_IMPLEMENTED),
        ({"x-amz-website-redirect-location": "ftp://elsewhere"}, 400, "InvalidRedirectLocation"),
        ({"x-amz-website-redirect-location": "elsewhere"}, 400, "InvalidRedirectLocation"),
    ]
    found = [Case(f"PUT {sent}", Ask("PUT", KEPT, sent, _BODY), status, code) for sent, status, code in headers]
    found += [Case(f"upload {sent}", Ask("POST", NEW + "?uploads", sent), status, code) for sent, status, code in headers]
    offset = {"x-amz-write-offset-bytes": "1024"}
    return [*found, Case("append", Ask("PUT", KEPT, offset, _BODY), *_NOT_IMPLEMENTED)]


def _copies() -> list[Case]:
    sources: dict[str, tuple[int, str]] = {
        "": _ARGUMENT,
        "/": _ARGUMENT,
        "photos": _ARGUMENT,
        "/photos": _ARGUMENT,
        "/photos/": _ARGUMENT,
        "photos/": _ARGUMENT,
        "//kept.bin": _ARGUMENT,
        "?versionId=null": _ARGUMENT,
        "/Photos/kept.bin": (400, "InvalidBucketName"),
        "/p/kept.bin": (400, "InvalidBucketName"),
        "/photos/%FF": (400, "InvalidURI"),
        "/photos/a%00b": (400, "InvalidURI"),
        "/photos/" + "k" * 1025: (400, "KeyTooLongError"),
        "/nobodys/key": (403, "AccessDenied"),
        "/{foreign}/secret.bin": (403, "AccessDenied"),
        "/{bucket}/missing": (404, "NoSuchKey"),
        "/{bucket}/miss%01ing": (404, "NoSuchKey"),
        "/{bucket}/{key}?versionId=other": (404, "NoSuchVersion"),
        "arn:aws:s3:::photos/kept.bin": (400, "InvalidBucketName"),
        "http://elsewhere/photos/kept.bin": (400, "InvalidBucketName"),
    }
    found = [Case(repr(source[:40]), Ask("PUT", NEW, {"x-amz-copy-source": source}), *answer) for source, answer in sources.items()]
    more: list[tuple[str, dict[str, str], int, str]] = [
        ("onto itself", {}, *_INVALID),
        ("onto itself, told so", {"x-amz-metadata-directive": "COPY"}, *_INVALID),
        ("an unknown directive", {"x-amz-metadata-directive": "MOVE"}, *_ARGUMENT),
        ("a directive in small letters", {"x-amz-metadata-directive": "replace"}, *_ARGUMENT),
        ("an unknown directive for tags", {"x-amz-tagging-directive": "MOVE"}, *_ARGUMENT),
        ("an unknown algorithm", {"x-amz-checksum-algorithm": "CRC16"}, *_INVALID),
        ("another ETag", {"x-amz-copy-source-if-match": '"abc"', "x-amz-metadata-directive": "REPLACE"}, *_FAILED),
        ("the same ETag", {"x-amz-copy-source-if-none-match": '"{etag}"', "x-amz-metadata-directive": "REPLACE"}, *_FAILED),
        (
            "not since then",
            {"x-amz-copy-source-if-unmodified-since": "Sun, 06 Nov 1994 08:49:37 GMT", "x-amz-metadata-directive": "REPLACE"},
            *_FAILED,
        ),
        ("a key of the source's encryption", {"x-amz-copy-source-server-side-encryption-customer-algorithm": "AES256"}, *_NOT_IMPLEMENTED),
    ]
    return [*found, *[Case(name, Ask("PUT", KEPT, _FROM_KEPT | headers), status, code) for name, headers, status, code in more]]


def _copied_parts() -> list[Case]:
    ranges = (
        "",
        "bytes=",
        "bytes=5-2",
        "bytes=0-",
        "bytes=-5",
        "0-5",
        "bytes=a-b",
        "bytes=0-5,7-9",
        "items=0-5",
        "bytes=0-1024",
        "bytes=5000-6000",
        f"bytes=0-{'9' * 30}",
    )
    return [
        *[Case(text[:20], Ask("PUT", _PART, _FROM_KEPT | {"x-amz-copy-source-range": text}), *_ARGUMENT) for text in ranges],
        Case("into nothing", Ask("PUT", "/{bucket}/{slow}?partNumber=3&uploadId=other", _FROM_KEPT), 404, "NoSuchUpload"),
        Case("into another key's upload", Ask("PUT", KEPT + "?partNumber=3&uploadId={upload}", _FROM_KEPT), 404, "NoSuchUpload"),
        Case("from nothing", Ask("PUT", _PART, {"x-amz-copy-source": "/{bucket}/missing"}), 404, "NoSuchKey"),
        Case("as part 0", Ask("PUT", "/{bucket}/{slow}?partNumber=0&uploadId={upload}", _FROM_KEPT), *_ARGUMENT),
    ]
