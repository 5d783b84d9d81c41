"""Documents that are no XML, or not the XML that was asked for. Each names an object or part that is there and must stay."""

from __future__ import annotations

import base64
import hashlib

from tests.probe.malformed.case import KEPT, Ask, Build, Case, named
from tests.probe.malformed.scene import Scene, sha256

_GOOD = "<Object><Key>{key}</Key></Object>"
_MALFORMED = (400, "MalformedXML")
_ENTITIES = "".join(f'<!ENTITY e{level} "{f"&e{level - 1};" * 10}">' for level in range(1, 9))


def cases() -> list[Case]:
    return [
        *named("Delete", _deletes()),
        *named("CompleteMultipartUpload", _completes()),
        *named("CreateBucketConfiguration", _creations()),
    ]


def _broken(root: str, inner: str, *, width: int = 200_000) -> dict[str, str | bytes]:
    """What is wrong with any document, whatever it says; `inner` by itself would be right."""
    good = f"<{root}>{inner}</{root}>"
    return {
        "blanks": " \n ",
        "no XML": "hello",
        "JSON": '{"Objects": []}',
        "cut short": good[:-3],
        "not closed": f"<{root}>{inner}",
        "closed twice": f"{good}</{root}>",
        "another root": f"<Other>{inner}</Other>",
        "another namespace": f'<{root} xmlns="http://example.com/">{inner}</{root}>',
        "another document behind it": good + good,
        "text behind it": good + "more",
        "text before it": "more" + good,
        "text in between": f"<{root}>text{inner}</{root}>",
        "an unknown element": f"<{root}>{inner}<Other/></{root}>",
        "two attributes of one name": f'<{root} a="1" a="2">{inner}</{root}>',
        "a bare ampersand": f"<{root}>{inner}&</{root}>",
        "an unknown entity": f"<{root}>{inner}&other;</{root}>",
        "a control character": f"<{root}>{inner}\x01</{root}>",
        "a reference to one": f"<{root}>{inner}&#1;</{root}>",
        "a document type": f"<!DOCTYPE {root}>{good}",
        "an entity": f'<!DOCTYPE {root} [<!ENTITY e "x">]>{good}',
        "a file as entity": f'<!DOCTYPE {root} [<!ENTITY e SYSTEM "file:///etc/passwd">]><{root}>{inner}&e;</{root}>',
        "a billion laughs": f'<!DOCTYPE {root} [<!ENTITY e0 "ha">{_ENTITIES}]><{root}>{inner}&e8;</{root}>',
        "no UTF-8": good.encode() + b"<!-- \xff -->",
        "another encoding than it says": f'<?xml version="1.0" encoding="UTF-16"?>{good}',
        "an unknown encoding": f'<?xml version="1.0" encoding="klingon"?>{good}',
        "very deep": f"<{root}>{'<a>' * 1000}",
        "very wide": f"<{root}>{inner}{'<a/>' * width}</{root}>",
    }


# --- DeleteObjects ------------------------------------------------------------------------------------------------------------------


def _deletes() -> list[Case]:
    broken = _broken("Delete", _GOOD) | {
        "empty": "",
        "no object": "<Delete></Delete>",
        "quiet and no object": "<Delete><Quiet>true</Quiet></Delete>",
        "1001 objects": f"<Delete>{_GOOD * 1001}</Delete>",
        "neither quiet nor loud": f"<Delete>{_GOOD}<Quiet>maybe</Quiet></Delete>",
        "no key": f"<Delete>{_GOOD}<Object/></Delete>",
        "an empty key": f"<Delete>{_GOOD}<Object><Key></Key></Object></Delete>",
        "two keys": f"<Delete>{_GOOD}<Object><Key>a</Key><Key>b</Key></Object></Delete>",
        "a key of elements": f"<Delete>{_GOOD}<Object><Key><b/></Key></Object></Delete>",
        "text beside the key": f"<Delete>{_GOOD}<Object>text<Key>a</Key></Object></Delete>",
        "an unknown member": f"<Delete>{_GOOD}<Object><Key>a</Key><Other/></Object></Delete>",
    }
    whole = f"<Delete>{_GOOD}</Delete>"
    md5 = {"Content-MD5": base64.b64encode(bytes(16)).decode()}
    return [
        *[Case(name, delete(body), *_MALFORMED) for name, body in broken.items()],
        Case("a key of 1025 bytes", delete(f"<Delete>{_GOOD}<Object><Key>{'k' * 1025}</Key></Object></Delete>"), 400, "KeyTooLongError"),
        Case("a condition on time", delete(_with("<LastModifiedTime>2026</LastModifiedTime>")), 501, "NotImplemented"),
        Case("a condition on size", delete(_with("<Size>1</Size>")), 501, "NotImplemented"),
        Case("no digest", Ask("POST", "/{bucket}?delete", body=whole), 400, "InvalidRequest", "Content-MD5"),
        Case("another digest", Ask("POST", "/{bucket}?delete", md5, whole), 400, "BadDigest"),
        Case("another checksum", Ask("POST", "/{bucket}?delete", {"x-amz-checksum-crc32": "AAAAAA=="}, whole), 400, "BadDigest"),
        Case("another payload", Ask("POST", "/{bucket}?delete", md5, whole, payload=sha256(b"")), 400, "XAmzContentSHA256Mismatch"),
        Case("fewer bytes than sent", _short_delete, *_MALFORMED, leaves_bytes=True),
    ]


def _with(member: str) -> str:
    return f"<Delete>{_GOOD}<Object><Key>{{key}}</Key>{member}</Object></Delete>"


def delete(body: str | bytes) -> Build:
    """DeleteObjects with the digest that it needs."""

    def build(scene: Scene) -> bytes:
        text = scene.fill(body).encode() if isinstance(body, str) else body.replace(b"{key}", scene.key.encode())
        return Ask("POST", "/{bucket}?delete", {"Content-MD5": base64.b64encode(hashlib.md5(text).digest()).decode()}, text)(scene)

    return build


def _short_delete(scene: Scene) -> bytes:
    whole = scene.fill(f"<Delete>{_GOOD}</Delete>").encode()
    cut = whole[:20]
    digest = {"Content-MD5": base64.b64encode(hashlib.md5(cut).digest()).decode()}
    return Ask("POST", "/{bucket}?delete", digest, cut)(scene) + whole[20:]


# --- CompleteMultipartUpload --------------------------------------------------------------------------------------------------------

_UPLOAD = "/{bucket}/{slow}?uploadId={upload}"


def _part(number: object, etag: str, more: str = "") -> str:
    return f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag>{more}</Part>"


_ONE, _TWO = _part(1, "{part_1}"), _part(2, "{part_2}")


def _completes() -> list[Case]:
    documents: dict[str, tuple[str | bytes, int, str]] = {
        **{name: (body, *_MALFORMED) for name, body in _broken("CompleteMultipartUpload", _TWO).items()},
        "empty": ("", *_MALFORMED),
        "no part": (_complete(), *_MALFORMED),
        "10,001 parts": (_complete(*[_part(number, "{part_1}") for number in range(1, 10_002)]), 400, "InvalidArgument"),
        "a part without its number": (_complete("<Part><ETag>{part_1}</ETag></Part>"), *_MALFORMED),
        "a part without its ETag": (_complete("<Part><PartNumber>1</PartNumber></Part>"), *_MALFORMED),
        "a number that is none": (_complete(_part("one", "{part_1}")), *_MALFORMED),
        "a negative number": (_complete(_part(-1, "{part_1}")), *_MALFORMED),
        "part 0": (_complete(_part(0, "{part_1}")), 400, "InvalidArgument"),
        "part 10001": (_complete(_part(10_001, "{part_1}")), 400, "InvalidArgument"),
        "part 10^30": (_complete(_part(10**30, "{part_1}")), 400, "InvalidArgument"),
        "two numbers": (_complete(_part(1, "{part_1}", "<PartNumber>2</PartNumber>")), *_MALFORMED),
        "descending": (_complete(_TWO, _ONE), 400, "InvalidPartOrder"),
        "one part twice": (_complete(_TWO, _TWO), 400, "InvalidPartOrder"),
        "a part that is not there": (_complete(_part(7, "{part_1}")), 400, "InvalidPart"),
        "another ETag": (_complete(_part(2, "0" * 32)), 400, "InvalidPart"),
        "another part's checksum": (_complete(_part(2, "{part_2}", "<ChecksumCRC32>AAAAAA==</ChecksumCRC32>")), 400, "InvalidPart"),
        "a small part before the last": (_complete(_ONE, _TWO), 400, "EntityTooSmall"),
    }
    headers: dict[str, tuple[dict[str, str], int, str]] = {
        "another size": ({"x-amz-mp-object-size": "4"}, 400, "InvalidRequest"),
        "a size that is none": ({"x-amz-mp-object-size": "five"}, 400, "InvalidRequest"),
        "a negative size": ({"x-amz-mp-object-size": "-5"}, 400, "InvalidRequest"),
        "another checksum": ({"x-amz-checksum-crc32": "AAAAAA=="}, 400, "BadDigest"),
        "a checksum that is none": ({"x-amz-checksum-crc32": "crc"}, 400, "InvalidRequest"),
        "two checksums": ({"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-crc32c": "AAAAAA=="}, 400, "InvalidRequest"),
        "a type of checksum that is none": ({"x-amz-checksum-type": "HALF"}, 400, "InvalidRequest"),
        "If-None-Match with an ETag": ({"If-None-Match": '"abc"'}, 501, "NotImplemented"),
        "If-Match where nothing is": ({"If-Match": '"abc"'}, 404, "NoSuchKey"),
    }
    whole = _complete(_TWO)
    return [
        *[Case(name, Ask("POST", _UPLOAD, body=body), status, code) for name, (body, status, code) in documents.items()],
        *[Case(name, Ask("POST", _UPLOAD, sent, whole), status, code) for name, (sent, status, code) in headers.items()],
        Case("of another key", Ask("POST", KEPT + "?uploadId={upload}", body=whole), 404, "NoSuchUpload"),
        Case("of another bucket", Ask("POST", "/{other}/{slow}?uploadId={upload}", body=whole), 404, "NoSuchUpload"),
        Case("of nothing", Ask("POST", "/{bucket}/{slow}?uploadId=nothing", body=whole), 404, "NoSuchUpload"),
        Case("of an empty upload id", Ask("POST", "/{bucket}/{slow}?uploadId=", body=whole), 404, "NoSuchUpload"),
    ]


def _complete(*parts: str) -> str:
    return f"<CompleteMultipartUpload>{''.join(parts)}</CompleteMultipartUpload>"


# --- CreateBucket -------------------------------------------------------------------------------------------------------------------


def _creations() -> list[Case]:
    inner = "<LocationConstraint>us-east-1</LocationConstraint>"
    elsewhere = "<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>"
    return [
        *[
            Case(name, Ask("PUT", "/{bucket}", body=body), *_MALFORMED)
            for name, body in _broken("CreateBucketConfiguration", inner, width=5000).items()
        ],
        Case("another region", Ask("PUT", "/{bucket}", body=elsewhere), 400, "InvalidLocationConstraint"),
    ]
