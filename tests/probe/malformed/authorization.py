"""Requests that prove nothing, prove it wrongly, or ask for what is somebody else's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from types import MappingProxyType

from tests.probe.malformed.case import KEPT, NEW, Ask, Build, Case, head, named, raw
from tests.probe.malformed.scene import Scene, presign
from tests.support.fleet import KeyPair

_BODY = b"hello"
_DENIED = (403, "AccessDenied")
_MALFORMED = (400, "AuthorizationHeaderMalformed")
_MISMATCH = (403, "SignatureDoesNotMatch")
_QUERY = (400, "AuthorizationQueryParametersError")

Tamper = Callable[[dict[str, str]], None]


def cases() -> list[Case]:
    return [
        *named("anonymous", _anonymous()),
        *named("authorization", _headers()),
        *named("signature", _signatures()),
        *named("time", _times()),
        *named("not signed", _unsigned()),
        *named("presigned", _presigned()),
        *named("token", _tokens()),
        *named("another's", _others()),
    ]


def _anonymous() -> list[Case]:
    asked = {
        "GET /": "",
        "GET /{bucket}": "",
        "GET /{bucket}/{key}": "",
        "PUT /{bucket}/{key}": "hello",
        "DELETE /{bucket}/{key}": "",
        "POST /{bucket}?delete": "<Delete><Object><Key>{key}</Key></Object></Delete>",
        "POST /{bucket}/new?uploads": "",
        "DELETE /{bucket}/{slow}?uploadId={upload}": "",
        "PUT /{bucket}": "",
    }
    found = [
        Case(line, raw(f"{line} HTTP/1.1\nHost: {{host}}\nContent-Length: {len(body)}", body.encode()), *_DENIED)
        for line, body in asked.items()
    ]
    return [*found, Case("HEAD", raw("HEAD /{bucket}/{key} HTTP/1.1\nHost: {host}"), 403)]


# --- by header ----------------------------------------------------------------------------------------------------------------------


def _headers() -> list[Case]:
    v4 = "AWS4-HMAC-SHA256 "
    good = "Credential={0}/{1}/us-east-1/s3/aws4_request,SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=" + "0" * 64
    texts = {
        "empty": ("", 400, "InvalidArgument"),
        "Basic": ("Basic dXNlcjpwYXNz", 400, "InvalidArgument"),
        "Bearer": ("Bearer abc", 400, "InvalidArgument"),
        "one word": ("hello", 400, "InvalidArgument"),
        "signature version 2": ("AWS {0}:AAAAAAAAAAAAAAAAAAAAAAAAAAA=", 400, "InvalidRequest"),
        "asymmetric": ("AWS4-ECDSA-P256-SHA256 " + good, 400, "InvalidRequest"),
        "another hash": ("AWS4-HMAC-SHA512 " + good, 400, "InvalidRequest"),
        "nothing behind the algorithm": ("AWS4-HMAC-SHA256", *_MALFORMED),
        "no Credential": (v4 + good.partition(",")[2], *_MALFORMED),
        "no SignedHeaders": (v4 + good.replace("SignedHeaders=host;x-amz-content-sha256;x-amz-date,", ""), *_MALFORMED),
        "no Signature": (v4 + good.rpartition(",")[0], *_MALFORMED),
        "an empty Signature": (v4 + good.replace("0" * 64, ""), *_MALFORMED),
        "an empty Credential": (v4 + good.replace("{0}/{1}/us-east-1/s3/aws4_request", ""), *_MALFORMED),
        "an empty key id": (v4 + good.replace("{0}", ""), *_MALFORMED),
        "four parts": (v4 + good.replace("/us-east-1", ""), *_MALFORMED),
        "a date with dashes": (v4 + good.replace("{1}", "2026-01-01"), *_MALFORMED),
        "no date": (v4 + good.replace("{1}", ""), *_MALFORMED),
        "yesterday's date": (v4 + good.replace("{1}", "20200101"), *_MALFORMED),
        "another service": (v4 + good.replace("/s3/", "/ec2/"), *_MALFORMED),
        "another end": (v4 + good.replace("aws4_request", "aws5_request"), *_MALFORMED),
        "separated by semicolons": (v4 + good.replace(",", ";"), *_MALFORMED),
        "a wrong signature": (v4 + good, *_MISMATCH),
        "a signature that is no hex": (v4 + good.replace("0" * 64, "signature"), *_MISMATCH),
        "an unknown key": (v4 + good.replace("{0}", "AKIANOBODY"), 403, "InvalidAccessKeyId"),
    }
    return [
        Case(f"{name}, {method}", Ask(method, KEPT, body=_BODY if method == "PUT" else b"", tamper=_authorize(text)), status, code)
        for name, (text, status, code) in texts.items()
        for method in ("PUT", "DELETE")
    ]


def _authorize(text: str) -> Tamper:
    """Replace the Authorization header; {0} is the right key id, {1} the right date."""

    def tamper(headers: dict[str, str]) -> None:
        key_id, date = headers["Authorization"].partition("Credential=")[2].split("/")[:2]
        headers["Authorization"] = text.replace("{0}", key_id).replace("{1}", date)

    return tamper


def _change(name: str, old: str, new: str) -> Tamper:
    def tamper(headers: dict[str, str]) -> None:
        assert old in headers[name]
        headers[name] = headers[name].replace(old, new)

    return tamper


def _flip_signature(headers: dict[str, str]) -> None:
    last = headers["Authorization"][-1]
    headers["Authorization"] = headers["Authorization"][:-1] + ("0" if last != "0" else "1")


def _shorten_signature(headers: dict[str, str]) -> None:
    headers["Authorization"] = headers["Authorization"][:-1]


def _drop(*names: str) -> Tamper:
    def tamper(headers: dict[str, str]) -> None:
        for name in names:
            del headers[name]

    return tamper


def _signatures() -> list[Case]:
    return [
        Case("one digit differs", Ask("PUT", KEPT, body=_BODY, tamper=_flip_signature), *_MISMATCH),
        Case("one digit is missing", Ask("PUT", KEPT, body=_BODY, tamper=_shorten_signature), *_MISMATCH),
        Case(
            "of another secret",
            lambda scene: Ask("PUT", KEPT, body=_BODY, keys=KeyPair(scene.keys.access_key_id, "wrong"))(scene),
            *_MISMATCH,
        ),
        Case("of another region", Ask("PUT", KEPT, body=_BODY, tamper=_change("Authorization", "us-east-1", "us-west-2")), *_MISMATCH),
        Case("of nobody", Ask("PUT", KEPT, body=_BODY, keys=KeyPair("AKIANOBODY", "secret")), 403, "InvalidAccessKeyId"),
        Case(
            "of another header", Ask("PUT", KEPT, {"x-amz-meta-note": "a"}, _BODY, tamper=_change("x-amz-meta-note", "a", "b")), *_MISMATCH
        ),
        Case("of another path", _sent_as(Ask("PUT", NEW, body=_BODY), NEW, KEPT), *_MISMATCH),
        Case("of another method", _sent_as(Ask("GET", KEPT), "GET", "DELETE"), *_MISMATCH),
        Case("of another query", _sent_as(Ask("GET", "/{bucket}?prefix=a"), "prefix=a", "prefix=b"), *_MISMATCH),
        Case("of another host", _sent_as(Ask("PUT", KEPT, body=_BODY), "Host: 127.0.0.1", "Host: localhost"), *_MISMATCH),
        Case("of another payload", Ask("PUT", KEPT, body=_BODY, tamper=_set("X-Amz-Content-SHA256", "0" * 64)), *_MISMATCH),
        Case("with a session token", Ask("PUT", KEPT, {"x-amz-security-token": "FwoGZXIvYXdzE"}, _BODY), 400, "InvalidToken"),
    ]


def _sent_as(ask: Ask, old: str, new: str) -> Build:
    """Signed as `ask` says, and changed on its way."""
    return lambda scene: ask(scene).replace(scene.fill(old).encode(), scene.fill(new).encode(), 1)


def _set(name: str, value: str) -> Tamper:
    def tamper(headers: dict[str, str]) -> None:
        headers[name] = value

    return tamper


def _times() -> list[Case]:
    found = [
        Case(f"{minutes} minutes off", Ask("PUT", KEPT, body=_BODY, later=timedelta(minutes=minutes)), 403, "RequestTimeTooSkewed")
        for minutes in (-16, 16, -24 * 60, 24 * 60, -60 * 24 * 400)
    ]
    found += [
        Case(f"x-amz-date: {text}", Ask("PUT", KEPT, body=_BODY, tamper=_set("X-Amz-Date", text)), *_DENIED, words="Date")
        for text in _UNREADABLE_TIMES
    ]
    return [*found, Case("none", Ask("PUT", KEPT, body=_BODY, tamper=_drop("X-Amz-Date")), *_DENIED, words="Date")]


_UNREADABLE_TIMES = (
    "",
    "yesterday",
    "2026-03-20T17:09:45Z",
    "20261301T000000Z",
    "20260320T250000Z",
    "20260320T1709",
    "Fri, 99 Mar 2026 17:09:45 GMT",
)


def _unsigned() -> list[Case]:
    added = ("x-amz-meta-note: x", "x-amz-acl: private", "x-amz-copy-source: /{bucket}/{joined}", "x-amz-storage-class: STANDARD")
    found = [Case(line, Ask("PUT", KEPT, body=_BODY, behind=_header(line)), *_DENIED, words="not signed") for line in added]
    host = Ask("PUT", KEPT, body=_BODY, tamper=_change("Authorization", "host;", ""))
    return [*found, Case("host", host, *_DENIED, words="not signed")]


def _header(line: str) -> dict[str, str]:
    name, _, value = line.partition(": ")
    return {name: value}


# --- by query -----------------------------------------------------------------------------------------------------------------------


def _presigned() -> list[Case]:
    return [
        Case("expired", _url(expires_s=60, later=timedelta(minutes=-5)), *_DENIED, words="expired"),
        Case("not valid yet", _url(later=timedelta(minutes=20)), *_DENIED, words="not valid yet"),
        *[
            Case(f"X-Amz-Expires={text}", _url(change={"X-Amz-Expires": text}), *_QUERY)
            for text in ("0", "-1", "604801", "9" * 20, "soon", "1.5")
        ],
        *[Case(f"without {name}", _url(change={name: None}), *_QUERY) for name in _PARAMETERS],
        *[Case(f"an empty {name}", _url(change={name: ""}), *_QUERY) for name in _PARAMETERS],
        Case("another algorithm", _url(change={"X-Amz-Algorithm": "AWS4-HMAC-MD5"}), *_QUERY),
        Case("a date of another form", _url(change={"X-Amz-Date": "2026-03-20T17:09:45Z"}), *_QUERY),
        Case("another day", _url(change={"X-Amz-Date": "20200101T000000Z"}), *_QUERY),
        Case("a credential of three parts", _url(change={"X-Amz-Credential": "a%2Fb%2Fc"}), *_QUERY),
        Case("a wrong signature", _url(change={"X-Amz-Signature": "0" * 64}), *_MISMATCH),
        Case("another expiry than signed", _url(change={"X-Amz-Expires": "3600"}), *_MISMATCH),
        Case("a parameter twice", _url(more="&X-Amz-Expires=60"), 400, "InvalidArgument"),
        Case("a parameter more", _url(more="&uploadId=x"), *_MISMATCH),
        Case("a session token", _url(more="&X-Amz-Security-Token=x"), 400, "InvalidToken"),
        Case("for another method", _url("GET", sent="PUT"), *_MISMATCH),
        Case("for another key", _url(target=NEW, instead=KEPT), *_MISMATCH),
        Case("with an unsigned header", _url(headers="x-amz-meta-note: x"), *_DENIED, words="not signed"),
        Case(
            "with unsigned chunks that it does not name", _url(headers="x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER"), *_DENIED
        ),
        Case("and an Authorization header", _url(headers="Authorization: AWS4-HMAC-SHA256 x"), 400, "InvalidArgument"),
        Case(
            "by signature version 2",
            raw(f"PUT {KEPT}?AWSAccessKeyId=a&Signature=b&Expires=9999999999 HTTP/1.1\nHost: {{host}}\nContent-Length: 0"),
            400,
            "InvalidRequest",
        ),
    ]


_PARAMETERS = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature")


def _url(
    method: str = "PUT",
    target: str = KEPT,
    *,
    sent: str = "",
    instead: str = "",
    expires_s: int = 60,
    later: timedelta = timedelta(0),
    more: str = "",
    headers: str = "",
    change: Mapping[str, str | None] = MappingProxyType({}),
) -> Build:
    """A presigned request, some of whose parameters `change` (None: are taken away) after signing."""

    def build(scene: Scene) -> bytes:
        path, _, query = presign(scene, method, scene.fill(target), expires_s=expires_s, later=later).partition("?")
        pairs: dict[str, str | None] = {**dict(piece.split("=") for piece in query.split("&")), **change}
        query = "&".join(f"{name}={value}" for name, value in pairs.items() if value is not None) + more
        lines = {"Host": scene.host, "Content-Length": str(len(_BODY))} | (_header(headers) if headers else {})
        return head(sent or method, f"{scene.fill(instead) or path}?{query}", lines) + _BODY

    return build


# --- otherwise ----------------------------------------------------------------------------------------------------------------------


def _tokens() -> list[Case]:
    put = "PUT /{bucket}/{key} HTTP/1.1\nHost: {host}\nContent-Length: 5\nX-Proxy-Token: "
    return [Case(repr(token), raw(put + token, _BODY), *_DENIED) for token in ("", "wrong", "\xff\xfe", "a,b", "x" * 5000)]


def _others() -> list[Case]:
    """Nobody learns whether it exists: a bucket of somebody else and one of nobody are answered alike."""
    found = []
    for bucket in ("{foreign}", "nobodys"):
        found += [
            Case(f"PUT {bucket}", Ask("PUT", f"/{bucket}/secret.bin", body=_BODY), *_DENIED),
            Case(f"GET {bucket}", Ask("GET", f"/{bucket}/secret.bin"), *_DENIED),
            Case(f"HEAD {bucket}", Ask("HEAD", f"/{bucket}/secret.bin"), 403),
            Case(f"DELETE {bucket}", Ask("DELETE", f"/{bucket}/secret.bin"), *_DENIED),
            Case(f"list {bucket}", Ask("GET", f"/{bucket}?list-type=2"), *_DENIED),
            Case(f"create {bucket}", Ask("PUT", f"/{bucket}"), *_DENIED),
            Case(f"start an upload in {bucket}", Ask("POST", f"/{bucket}/new?uploads"), *_DENIED),
            Case(f"copy from {bucket}", Ask("PUT", NEW, {"x-amz-copy-source": f"/{bucket}/secret.bin"}), *_DENIED),
            Case(
                f"copy a part from {bucket}",
                Ask("PUT", "/{bucket}/{slow}?partNumber=3&uploadId={upload}", {"x-amz-copy-source": f"/{bucket}/secret.bin"}),
                *_DENIED,
            ),
        ]
    return found
