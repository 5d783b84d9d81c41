"""Targets that name nothing that can be: keys, bucket names, escapes, versions, sub-resources and methods."""

from __future__ import annotations

from urllib.parse import quote

from tests.probe.malformed.case import KEPT, Ask, Case, named

_URI = (400, "InvalidURI")
_NOT_IMPLEMENTED = (501, "NotImplemented")
_METHODS = ("PUT", "GET", "DELETE")


def cases() -> list[Case]:
    return [
        *named("key", _keys()),
        *named("bucket name", _buckets()),
        *named("query", _queries()),
        *named("sub-resource", _subresources()),
        *named("method", _methods()),
        *named("version", _versions()),
        *named("part number", _part_numbers()),
        *named("listing", _listings()),
    ]


def _keys() -> list[Case]:
    too_long = ("k" * 1025, quote("\u00e9" * 513), quote("\U0001f600" * 257), "%20" * 1025, "/" * 1025)
    found = [
        Case(f"of more than 1024 bytes, {key[:8]}…, {method}", Ask(method, f"/{{bucket}}/{key}"), 400, "KeyTooLongError")
        for key in too_long
        for method in _METHODS
    ]
    # NUL, not UTF-8 (a lone byte, a cut sequence, an overlong form, a surrogate, beyond the last code point), and escapes that are none.
    unreadable = ("a%00b", "%FF", "a%C3%28", "%C0%AF", "%ED%A0%80", "%F4%90%80%80", "a%", "a%2", "a%zz", "a%-1", "a%%20", "%u00e9")
    found += [Case(f"{key}, {method}", Ask(method, f"/{{bucket}}/{key}"), *_URI) for key in unreadable for method in _METHODS]
    found.append(Case("a lone byte as it is", Ask("PUT", "/{bucket}/%FF", path=b"/photos/\xff"), 400, "BadRequest"))
    return [*found, Case("HEAD of more than 1024 bytes", Ask("HEAD", f"/{{bucket}}/{'k' * 1025}"), 400)]


def _buckets() -> list[Case]:
    names = (
        "Photos",
        "ab",
        "a" * 64,
        "-photos",
        "photos-",
        "pho..tos",
        "192.168.1.1",
        "ph_tos",
        "photos!",
        "ph%6Ftos%20",
        "photos%2Fkept.bin",
        "%20",
        "caf%C3%A9",
        ".photos",
    )
    found = [
        Case(f"{name[:20]}, {method}", Ask(method, f"/{name}/{{key}}"), 400, "InvalidBucketName")
        for name in names
        for method in ("PUT", "GET")
    ]
    found += [Case(f"{name}, PUT", Ask("PUT", f"/{name}"), *_URI) for name in ("%FF", "ph%zztos")]
    return [*found, Case("none before a key", Ask("PUT", "//{key}"), 400, "InvalidBucketName")]


def _queries() -> list[Case]:
    return [
        Case("a parameter twice", Ask("DELETE", "/{bucket}/{slow}?uploadId={upload}&uploadId=other"), 400, "InvalidArgument"),
        Case("the same twice, escaped once", Ask("GET", "/{bucket}?prefix=a&prefi%78=b"), 400, "InvalidArgument"),
        Case("two sub-resources", Ask("PUT", KEPT + "?acl&tagging"), 400, "InvalidArgument"),
        Case("a sub-resource and a listing's", Ask("GET", "/{bucket}?acl&uploads"), 400, "InvalidArgument"),
        Case("a value that is no UTF-8", Ask("GET", "/{bucket}?prefix=%FF"), *_URI),
        Case("a name that is no UTF-8", Ask("PUT", KEPT + "?%FF=1"), *_URI),
        Case("a NUL", Ask("GET", "/{bucket}?prefix=a%00"), *_URI),
        Case("a NUL as marker", Ask("GET", "/{bucket}?marker=a%00"), *_URI),
        Case("an upload id of nobody", Ask("DELETE", "/{bucket}/{slow}?uploadId=other"), 404, "NoSuchUpload"),
        Case("an upload id of another key", Ask("DELETE", KEPT + "?uploadId={upload}"), 404, "NoSuchUpload"),
        Case("an empty upload id", Ask("DELETE", "/{bucket}/{slow}?uploadId="), 404, "NoSuchUpload"),
        Case("parts of nobody", Ask("GET", "/{bucket}/{slow}?uploadId=other"), 404, "NoSuchUpload"),
        Case("a line break in an answer's header", Ask("GET", KEPT + "?response-content-type=a%0D%0Ab"), 400, "InvalidArgument"),
    ]


_SUBRESOURCES = {
    f"PUT {KEPT}": "acl tagging retention legal-hold encryption renameObject restore select torrent attributes foo foo=bar Acl append "
    "versions partnumber=1 uploadid=x versionid=null",
    f"DELETE {KEPT}": "tagging acl annotation foo foo=bar uploads",
    f"POST {KEPT}": "restore select acl tagging foo",
    f"GET {KEPT}": "torrent attributes foo prefix=a",
    "PUT /{bucket}": "acl cors policy lifecycle versioning tagging website encryption notification replication logging object-lock "
    "publicAccessBlock foo uploads",
    "DELETE /{bucket}": "cors policy lifecycle tagging foo",
    "GET /{bucket}": "versions inventory analytics session foo list-type=2&marker=a list-type=2&foo",
}


def _subresources() -> list[Case]:
    """Bug class: `PUT key?acl` that overwrites the object with the document."""
    found = []
    for request, names in _SUBRESOURCES.items():
        method, _, target = request.partition(" ")
        body = b"overwritten" if method in {"PUT", "POST"} else b""
        found += [Case(f"{request}?{name}", Ask(method, f"{target}?{name}", body=body), *_NOT_IMPLEMENTED) for name in names.split()]
    return [
        *found,
        Case("HEAD ?foo", Ask("HEAD", KEPT + "?foo"), 501),
        Case("a part without its upload", Ask("PUT", KEPT + "?partNumber=1", body=b"overwritten"), 400, "InvalidArgument"),
        Case("an upload without its part", Ask("PUT", KEPT + "?uploadId={upload}", body=b"overwritten"), 400, "InvalidArgument"),
    ]


def _methods() -> list[Case]:
    refused = (405, "MethodNotAllowed")
    asked = [(method, target) for method in ("PATCH", "TRACE", "LINK", "PROPFIND", "MKCOL", "LOCK") for target in (KEPT, "/{bucket}")]
    asked += [("PUT", "/"), ("DELETE", "/"), ("POST", "/"), ("POST", KEPT)]
    found = [Case(f"{method} {target}", Ask(method, target), *refused) for method, target in asked]
    found += [
        Case(f"{method} {target}", Ask(method, target), *_NOT_IMPLEMENTED)
        for method, target in (("DELETE", "/{bucket}"), ("POST", "/{bucket}"), ("OPTIONS", KEPT), ("PATCH", KEPT + "?foo"))
    ]
    return [*found, Case("HEAD /", Ask("HEAD", "/"), 405)]


def _versions() -> list[Case]:
    return [
        *[Case(f"{method} of another", Ask(method, KEPT + "?versionId=other"), 404, "NoSuchVersion") for method in ("GET", "DELETE")],
        *[Case(f"{method} of none", Ask(method, KEPT + "?versionId="), 400, "InvalidArgument") for method in ("GET", "DELETE")],
        Case("HEAD of another", Ask("HEAD", KEPT + "?versionId=other"), 404),
        Case("PUT of another", Ask("PUT", KEPT + "?versionId=other", body=b"overwritten"), *_NOT_IMPLEMENTED),
    ]


_BAD_INTEGERS = ("-1", "abc", "1.5", "1e3", "%2B1", "%201", "2147483648", "9" * 30, "%EF%BC%91", "0x1")


def _part_numbers() -> list[Case]:
    found = []
    for text in (*_BAD_INTEGERS, "", "0", "10001"):
        target = "/{bucket}/{slow}?uploadId={upload}&partNumber=" + text
        found.append(Case(f"PUT {text}", Ask("PUT", target, body=b"a part"), 400, "InvalidArgument"))
        found.append(Case(f"GET {text}", Ask("GET", f"/{{bucket}}/{{joined}}?partNumber={text}"), 400, "InvalidArgument"))
    return found


def _listings() -> list[Case]:
    invalid = (400, "InvalidArgument")
    counts = {
        "max-keys": "/{bucket}?max-keys=",
        "max-keys of version 2": "/{bucket}?list-type=2&max-keys=",
        "max-uploads": "/{bucket}?uploads&max-uploads=",
        "max-parts": "/{bucket}/{slow}?uploadId={upload}&max-parts=",
        "part-number-marker": "/{bucket}/{slow}?uploadId={upload}&part-number-marker=",
        "max-buckets": "/?max-buckets=",
    }
    found = [Case(f"{name} {text}", Ask("GET", target + text), *invalid) for name, target in counts.items() for text in _BAD_INTEGERS]
    found += [Case(f"list-type {text}", Ask("GET", "/{bucket}?list-type=" + text), *invalid) for text in ("", "1", "3", "two")]
    found += [Case(f"encoding-type {text}", Ask("GET", "/{bucket}?encoding-type=" + text), *invalid) for text in ("base64", "url,url")]
    tokens = ("", "x", "AAAA", "%00", "a%20b", "AAAAAAFrZXB0LmJpbg==", "!" * 100, "a" * 3000, "%C3%A9")
    found += [
        Case(
            f"continuation-token {text[:20]}",
            Ask("GET", "/{bucket}?list-type=2&continuation-token=" + text),
            *(_URI if text == "%00" else invalid),
        )
        for text in tokens
    ]
    return [
        *found,
        Case("fetch-owner", Ask("GET", "/{bucket}?list-type=2&fetch-owner=maybe"), *invalid),
        Case("no bucket at all", Ask("GET", "/?max-buckets=0"), *invalid),
        Case("a token for buckets", Ask("GET", "/?continuation-token=x"), *invalid),
    ]
