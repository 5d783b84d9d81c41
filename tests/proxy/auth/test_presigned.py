"""Presigned URLs: valid for what they were signed for, from when to when they say, and for nothing else."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

import pytest
from tests.support.wire import HOST, KEY_ID, Keys, credential, facts, refusal_of, signed_by_botocore, signed_by_botocore_v2

from s3o_proxy.auth.authenticate import Authentication, Authenticator
from s3o_proxy.auth.chunk_signature import ChunkSignatures
from s3o_proxy.auth.sigv4 import Claim, verify
from s3o_proxy.domain.signing_key import Scope, derive_signing_key
from s3o_proxy.s3.operation import GetObject, PutObject, Unsupported
from s3o_proxy.s3.request import RequestFacts
from s3o_proxy.s3.router import route

NOW_MS = 1_774_026_585_000
ME = credential()
URL = f"http://{HOST}"
KEYS_OF_OBJECTS = ("plain", "a b+c~d", "€/%/~-_.", "semi;colon,comma'quote(paren)!star*", "//x//")


def authenticate(request: RequestFacts, now_ms: int = NOW_MS, *, allow_sig_v2: bool = False, domain: str = "") -> Authentication:
    return Authenticator().authenticate(request, Keys(ME), now_ms, allow_sig_v2=allow_sig_v2, virtual_host_domain=domain)


def presigned(target: str = "/photos/key", method: str = "GET", expires_s: int = 3600, **headers: str) -> RequestFacts:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return signed_by_botocore(method, URL + target, named, at_ms=NOW_MS, presigned=True, expires_s=expires_s)


def with_parameter(request: RequestFacts, name: str, value: str | None) -> RequestFacts:
    pieces = [piece for piece in request.raw_query.decode().split("&") if not piece.startswith(name + "=")]
    return replace(request, raw_query="&".join(pieces + ([] if value is None else [f"{name}={quote(value, safe='')}"])).encode())


@pytest.mark.parametrize("key", KEYS_OF_OBJECTS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_what_botocore_presigns_is_accepted(method: str, key: str) -> None:
    request = presigned(f"/photos/{quote(key, safe='/~')}?response-content-type=text%2Fplain", method)
    assert authenticate(request) == Authentication(ME, "presigned")


def test_the_signing_parameters_ask_for_nothing() -> None:
    assert route(presigned()) == GetObject("photos", "key")


def test_a_header_that_was_signed_must_come_as_it_was_signed() -> None:
    request = presigned(method="PUT", content_type="text/plain")
    assert authenticate(request).method == "presigned"
    refusal_of("SignatureDoesNotMatch", authenticate, replace(request, headers={**request.headers, "content-type": "text/html"}))


def test_headers_that_a_presigner_moved_into_the_query_count_as_headers() -> None:
    request = presigned("/photos/key?x-amz-meta-a=1&x-amz-storage-class=STANDARD", "PUT")
    authenticate(request)
    operation = route(request)
    assert isinstance(operation, PutObject)
    assert operation.description.user_metadata == {"a": "1"}


@pytest.mark.parametrize("name", ["X-Amz-Meta-a\r\nSet-Cookie: b=c\r\nx", "X-Amz-Meta-a b", "X-Amz-Meta-\u00e4"])
def test_a_parameter_that_no_header_can_be_called_like_is_refused(name: str) -> None:
    """It would be stored, and be a header of every answer from then on: whoever may write could answer for us."""
    request = presigned(f"/photos/key?{quote(name, safe='')}=1", "PUT")
    authenticate(request)
    refusal_of("InvalidArgument", route, request)


def test_one_header_cannot_be_moved_into_the_query_twice() -> None:
    refusal_of("InvalidArgument", route, presigned("/photos/key?x-amz-meta-a=1&X-Amz-Meta-A=2", "PUT"))


def test_a_body_that_the_url_pins_cannot_be_freed_by_an_unsigned_header() -> None:
    pinned = "a" * 64
    request = presigned(f"/photos/key?X-Amz-Content-Sha256={pinned}", "PUT")
    for other in ("UNSIGNED-PAYLOAD", "b" * 64):
        error = refusal_of("AccessDenied", authenticate, replace(request, headers={**request.headers, "x-amz-content-sha256": other}))
        assert error.extra == {"HeadersNotSigned": "x-amz-content-sha256"}
    # The same again is no other promise: only the signature, of which botocore left the hash out, is wrong with it.
    refusal_of("SignatureDoesNotMatch", authenticate, replace(request, headers={**request.headers, "x-amz-content-sha256": pinned}))


def test_a_payload_hash_in_the_query_is_the_one_that_was_signed() -> None:
    assert authenticate(presigned("/photos/key?X-Amz-Content-Sha256=UNSIGNED-PAYLOAD", "PUT")).method == "presigned"


def test_an_unsigned_amz_header_is_refused() -> None:
    request = presigned(method="PUT")
    error = refusal_of("AccessDenied", authenticate, replace(request, headers={**request.headers, "x-amz-acl": "private"}))
    assert error.extra == {"HeadersNotSigned": "x-amz-acl"}


def test_an_unsigned_payload_hash_may_come_but_not_change_how_the_body_is_read() -> None:
    request = presigned(method="PUT")
    authenticate(replace(request, headers={**request.headers, "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}))
    streaming = {**request.headers, "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
    refusal_of("AccessDenied", authenticate, replace(request, headers=streaming))


def test_a_signed_streaming_hash_chains_from_the_urls_signature() -> None:
    request = presigned("/photos/key?X-Amz-Content-Sha256=STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "PUT")
    refusal_of("SignatureDoesNotMatch", authenticate, request)  # botocore signed UNSIGNED-PAYLOAD
    scope = Scope("20260320", "us-east-1")
    key = derive_signing_key(ME.secret_access_key, scope)
    claim = Claim(KEY_ID, scope, ("host",))
    verdict = verify(request, claim, "", key, "20260320T170945Z", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", presigned=True)
    request = with_parameter(request, "X-Amz-Signature", key.sign(verdict.string_to_sign))
    assert isinstance(authenticate(request).chunk_signatures, ChunkSignatures)


# --- time ----------------------------------------------------------------------------------------------------------


def test_it_holds_to_its_last_second_and_no_longer() -> None:
    request = presigned(expires_s=60)
    authenticate(request, NOW_MS + 60_000)
    error = refusal_of("AccessDenied", authenticate, request, NOW_MS + 60_001)
    assert error.message == "Request has expired"
    assert error.extra == {
        "X-Amz-Expires": "60",
        "Expires": "2026-03-20T17:10:45.000Z",
        "ServerTime": "2026-03-20T17:10:45.000Z",
    }


def test_it_does_not_hold_before_its_time() -> None:
    authenticate(presigned(), NOW_MS - 14 * 60_000)
    assert refusal_of("AccessDenied", authenticate, presigned(), NOW_MS - 16 * 60_000).message == "Request is not valid yet"


@pytest.mark.parametrize("expires", ["0", "-1", "604801", "99999999999", "1e3", "soon", "٣"])
def test_from_one_second_to_seven_days(expires: str) -> None:
    refusal_of("AuthorizationQueryParametersError", authenticate, with_parameter(presigned(), "X-Amz-Expires", expires))


@pytest.mark.parametrize("expires_s", [1, 604_800])
def test_the_shortest_and_the_longest(expires_s: int) -> None:
    assert authenticate(presigned(expires_s=expires_s)).method == "presigned"


# --- faults --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature"]
)
def test_every_parameter_is_needed(name: str) -> None:
    for value in (None, ""):
        error = refusal_of("AuthorizationQueryParametersError", authenticate, with_parameter(presigned(), name, value))
        assert error.status == 400


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Amz-Algorithm", "AWS4-ECDSA-P256-SHA256"),
        ("X-Amz-Credential", "nonsense"),
        ("X-Amz-Credential", f"{KEY_ID}/20260320/us-east-1/iam/aws4_request"),
        ("X-Amz-Credential", f"{KEY_ID}/20260319/us-east-1/s3/aws4_request"),
        ("X-Amz-Date", "today"),
        ("X-Amz-SignedHeaders", "host;e;host"),
        ("X-Amz-Date", "20260320T990000Z"),
    ],
)
def test_parameters_that_cannot_be_read(name: str, value: str) -> None:
    refusal_of("AuthorizationQueryParametersError", authenticate, with_parameter(presigned(), name, value))


@pytest.mark.parametrize("value", ["0" * 64, "zz", "é"])
def test_a_wrong_signature(value: str) -> None:
    refusal_of("SignatureDoesNotMatch", authenticate, with_parameter(presigned(), "X-Amz-Signature", value))


def test_a_session_token_is_never_right() -> None:
    refusal_of("InvalidToken", authenticate, with_parameter(presigned(), "X-Amz-Security-Token", "t"))


def test_an_added_parameter_breaks_the_signature() -> None:
    refusal_of("SignatureDoesNotMatch", authenticate, with_parameter(presigned(), "response-content-type", "text/html"))


# --- SigV2 ---------------------------------------------------------------------------------------------------------


def presigned_v2(target: str = "/photos/key", method: str = "GET", **headers: str) -> RequestFacts:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return signed_by_botocore_v2(method, URL + target, named, at_ms=NOW_MS)


@pytest.mark.parametrize("key", KEYS_OF_OBJECTS)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_v2_what_botocore_presigns_is_accepted(method: str, key: str) -> None:
    target = f"/photos/{quote(key, safe='/~')}?response-content-disposition=attachment%3B%20filename%3Dx"
    assert authenticate(presigned_v2(target, method), allow_sig_v2=True) == Authentication(ME, "presigned-v2")


def test_v2_with_headers_that_botocore_moves_into_the_query() -> None:
    request = presigned_v2(method="PUT", content_type="text/plain", x_amz_meta_a="1")
    authenticate(replace(request, headers={"host": HOST, "content-type": "text/plain"}), allow_sig_v2=True)
    bare = replace(request, headers={"host": HOST})
    authenticate(bare, allow_sig_v2=True)
    operation = route(bare)
    assert isinstance(operation, PutObject)
    assert operation.description.headers["content-type"] == "text/plain"
    assert operation.description.user_metadata == {"a": "1"}


@pytest.mark.parametrize("name", ["Content-Type", "CONTENT-TYPE", "Content-MD5", "content-mD5"])
def test_v2_what_nobody_signed_does_not_become_a_header(name: str) -> None:
    """Bug: whoever held the URL gave the object a type, as text/html, by spelling the name otherwise than what is signed."""
    request = presigned_v2(method="PUT")
    added = replace(request, raw_query=request.raw_query + f"&{name}=text/html".encode())
    authenticate(added, allow_sig_v2=True)
    assert isinstance(route(added), Unsupported)


@pytest.mark.parametrize("name", ["content-type", "content-md5", "X-Amz-Meta-A"])
def test_v2_what_becomes_a_header_is_signed(name: str) -> None:
    request = presigned_v2(method="PUT")
    refusal_of("SignatureDoesNotMatch", authenticate, with_parameter(request, name, "text/html"), allow_sig_v2=True)


def test_v2_a_part_is_signed_with_its_upload_and_number() -> None:
    request = presigned_v2("/photos/key?uploadId=u1&partNumber=2", "PUT")
    authenticate(request, allow_sig_v2=True)
    changed = replace(request, raw_query=request.raw_query.replace(b"partNumber=2", b"partNumber=3"))
    refusal_of("SignatureDoesNotMatch", authenticate, changed, allow_sig_v2=True)


def test_v2_in_virtual_host_style_names_the_bucket() -> None:
    by_path = presigned_v2("/photos/key")
    host = "photos.s3.example.com:9000"
    by_host = replace(by_path, raw_path=b"/key", host=host, headers={"host": host})
    authenticate(by_host, allow_sig_v2=True, domain="s3.example.com")


def test_v2_only_where_it_is_allowed() -> None:
    assert "AWS4-HMAC-SHA256" in refusal_of("InvalidRequest", authenticate, presigned_v2()).message


def test_v2_expires() -> None:
    authenticate(presigned_v2(), NOW_MS + 3600_000, allow_sig_v2=True)
    error = refusal_of("AccessDenied", authenticate, presigned_v2(), NOW_MS + 3600_001, allow_sig_v2=True)
    assert error.message == "Request has expired"


@pytest.mark.parametrize("expires", ["", "soon", "-1", "9" * 30, "٣"])
def test_v2_with_an_expiry_that_cannot_be_read(expires: str) -> None:
    request = with_parameter(presigned_v2(), "Expires", expires)
    assert "Invalid date" in refusal_of("AccessDenied", authenticate, request, allow_sig_v2=True).message


def test_v2_faults() -> None:
    request = presigned_v2()
    refusal_of("SignatureDoesNotMatch", authenticate, replace(request, raw_path=b"/photos/other"), allow_sig_v2=True)
    refusal_of("SignatureDoesNotMatch", authenticate, with_parameter(request, "Signature", "ü"), allow_sig_v2=True)
    refusal_of("InvalidAccessKeyId", authenticate, with_parameter(request, "AWSAccessKeyId", "NOBODY"), allow_sig_v2=True)
    refusal_of("AccessDenied", authenticate, with_parameter(request, "AWSAccessKeyId", ""), allow_sig_v2=True)
    misleading = facts("GET", "/photos/key?xAWSAccessKeyId=a&xSignature=b")
    refusal_of("AccessDenied", authenticate, misleading, allow_sig_v2=True)
