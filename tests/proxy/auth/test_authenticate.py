"""Who sent it, by header and by token: what an independent signer signs is accepted, and each fault has its own answer."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.wire import HOST, KEY_ID, SECRET, Keys, credential, facts, refusal_of, signed_by_botocore

from s3o_proxy.auth import authenticate as module
from s3o_proxy.auth.authenticate import Authentication, Authenticator
from s3o_proxy.auth.chunk_signature import UncheckedSignatures
from s3o_proxy.auth.sigv4 import Claim, verify
from s3o_proxy.config.snapshot import Credential
from s3o_proxy.domain.signing_key import Scope, derive_signing_key
from s3o_proxy.s3.dates import amz_date
from s3o_proxy.s3.errors import S3Error
from s3o_proxy.s3.request import RequestFacts

NOW_MS = 1_774_026_585_000
ME = credential()
URL = f"http://{HOST}"
AWKWARD_TARGETS = (
    "/photos/plain",
    "/photos/a%20b%2Bc%7Ed",
    "/photos/a+b",
    "/photos/%E2%82%AC/%25/~-_.",
    "/photos//double//slash/",
    "/photos/../dots/./x",
    "/photos/semi;colon,comma'quote(paren)!star*",
    "/photos/a%2Fb",
    "/photos/x=y&z",
    "/photos?list-type=2&prefix=a%2Fb%20c&delimiter=%2F",
    "/photos?uploads",
    "/photos?prefix=&max-keys=3",
    "/photos?b=2&a=1&a-b=3&%E2%82%AC=1",
    "/",
)


def authenticate(request: RequestFacts, keys: Keys | None = None, now_ms: int = NOW_MS) -> Authentication:
    return Authenticator().authenticate(request, keys or Keys(ME), now_ms)


def with_headers(request: RequestFacts, **headers: str | None) -> RequestFacts:
    changed = {**request.headers, **{name.replace("_", "-"): value for name, value in headers.items() if value is not None}}
    return replace(request, headers={name: value for name, value in changed.items() if headers.get(name.replace("-", "_"), "") is not None})


def signed(target: str = "/photos/key", method: str = "GET", **headers: str) -> RequestFacts:
    return signed_by_botocore(method, URL + target, {name.replace("_", "-"): value for name, value in headers.items()}, at_ms=NOW_MS)


# --- what must be accepted -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", AWKWARD_TARGETS)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_what_botocore_signs_is_accepted(method: str, target: str) -> None:
    assert authenticate(signed(target, method)) == Authentication(ME, "header")


@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40), st.text("ab &=+%/ü", max_size=8)
)
def test_any_key_and_prefix_as_botocore_quotes_them(key: str, prefix: str) -> None:
    request = signed(f"/photos/{quote(key, safe='/~')}?prefix={quote(prefix, safe='')}")
    assert authenticate(request).credential is ME


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "auto", "garage"])
def test_every_region_is_ours(region: str) -> None:
    assert authenticate(signed_by_botocore("GET", URL + "/photos/k", at_ms=NOW_MS, region=region)).credential is ME


def test_header_values_are_trimmed_and_their_spaces_joined() -> None:
    request = signed(method="PUT", x_amz_meta_note="  two   spaces  ", content_type="text/plain")
    assert authenticate(request).credential is ME


def test_a_path_signed_encoded_and_sent_bare_is_accepted() -> None:
    """Some clients sign `%28` and send `(`; both name the same key."""
    request = signed("/photos/a%28b%29%2B")
    assert authenticate(replace(request, raw_path=b"/photos/a(b)+")).credential is ME
    request = signed("/photos?prefix=a%20b%2Fc")
    assert authenticate(replace(request, raw_query=b"prefix=a+b/c")).credential is ME


def test_the_same_request_twice_comes_from_memory_and_a_changed_one_does_not_pass() -> None:
    authenticator, keys, request = Authenticator(), Keys(ME), signed()
    assert authenticator.authenticate(request, keys, NOW_MS) == authenticator.authenticate(request, keys, NOW_MS)
    refusal_of("SignatureDoesNotMatch", authenticator.authenticate, replace(request, raw_path=b"/photos/other"), keys, NOW_MS)


def test_a_rotated_secret_counts_at_once() -> None:
    authenticator, request = Authenticator(), signed()
    authenticator.authenticate(request, Keys(ME), NOW_MS)
    rotated = Keys(credential(secret="another"))
    refusal_of("SignatureDoesNotMatch", authenticator.authenticate, request, rotated, NOW_MS)
    again = signed_by_botocore("GET", URL + "/photos/key", at_ms=NOW_MS, secret="another")
    assert authenticator.authenticate(again, rotated, NOW_MS).method == "header"


def test_a_date_header_alone_will_do() -> None:
    """SigV4 takes Date where there is no x-amz-date; the signed time is the same instant in SigV4's form."""
    request = facts("GET", "/photos/key", {"date": "Fri, 20 Mar 2026 17:09:45 GMT", "x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
    scope = Scope("20260320", "us-east-1")
    key = derive_signing_key(SECRET, scope)
    verdict = verify(request, Claim(KEY_ID, scope, ("date", "host")), "", key, "20260320T170945Z", "UNSIGNED-PAYLOAD")
    signature = key.sign(verdict.string_to_sign)
    authorization = f"AWS4-HMAC-SHA256 Credential={KEY_ID}/{scope.text}, SignedHeaders=date;host, Signature={signature}"
    assert authenticate(with_headers(request, authorization=authorization)).credential is ME


# --- what must be refused, and how ---------------------------------------------------------------------------------


def test_nothing_at_all_is_access_denied() -> None:
    assert refusal_of("AccessDenied", authenticate, facts("GET", "/photos/key")).status == 403


def test_an_unknown_key() -> None:
    error = refusal_of("InvalidAccessKeyId", authenticate, signed(), Keys())
    assert (error.status, error.extra) == (403, {"AWSAccessKeyId": KEY_ID})


def test_a_wrong_secret_shows_what_was_signed_here() -> None:
    error = refusal_of("SignatureDoesNotMatch", authenticate, signed("/photos/a%20b"), Keys(credential(secret="other")))
    assert error.status == 403
    assert error.extra["CanonicalRequest"].startswith("GET\n/photos/a%20b\n\nhost:")
    assert error.extra["StringToSign"].startswith("AWS4-HMAC-SHA256\n20260320T170945Z\n20260320/us-east-1/s3/aws4_request\n")
    assert SECRET not in str(error.extra)
    assert "other" not in str(error.extra)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda request: replace(request, method="PUT"), id="method"),
        pytest.param(lambda request: replace(request, raw_path=b"/photos/other"), id="path"),
        pytest.param(lambda request: replace(request, raw_query=b"acl"), id="query"),
        pytest.param(lambda request: with_headers(request, host="elsewhere"), id="host"),
        pytest.param(lambda request: with_headers(request, x_amz_meta_a="2"), id="signed header"),
        pytest.param(lambda request: with_headers(request, x_amz_content_sha256="UNSIGNED-PAYLOAD"), id="payload hash"),
        pytest.param(lambda request: with_headers(request, x_amz_date="20260320T170946Z"), id="time"),
    ],
)
def test_whatever_is_signed_cannot_be_changed(change: Callable[[RequestFacts], RequestFacts]) -> None:
    refusal_of("SignatureDoesNotMatch", authenticate, change(signed("/photos/key", x_amz_meta_a="1")))


def test_an_unsigned_amz_header_is_refused_by_name() -> None:
    error = refusal_of("AccessDenied", authenticate, with_headers(signed(), x_amz_acl="private", x_amz_meta_b="1"))
    assert error.message == "There were headers present in the request which were not signed"
    assert error.extra == {"HeadersNotSigned": "x-amz-acl, x-amz-meta-b"}


def test_host_must_be_signed() -> None:
    request = signed()
    authorization = request.headers["authorization"].replace("SignedHeaders=host;", "SignedHeaders=")
    error = refusal_of("AccessDenied", authenticate, with_headers(request, authorization=authorization))
    assert error.extra == {"HeadersNotSigned": "host"}


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_clock_that_is_too_far_off(minutes: int) -> None:
    error = refusal_of("RequestTimeTooSkewed", authenticate, signed(), None, NOW_MS + minutes * 60_000)
    assert error.status == 403
    assert error.extra["RequestTime"] == "20260320T170945Z"
    assert error.extra["MaxAllowedSkewMilliseconds"] == "900000"
    assert set(error.extra) == {"RequestTime", "ServerTime", "MaxAllowedSkewMilliseconds"}


@pytest.mark.parametrize("minutes", [-15, 0, 15])
def test_a_quarter_of_an_hour_is_forgiven(minutes: int) -> None:
    assert authenticate(signed(), now_ms=NOW_MS + minutes * 60_000).credential is ME


@pytest.mark.parametrize("date", ["", "yesterday", "2026-03-20T17:09:45Z", "20261320T170945Z", "20260320T250945Z", None])
def test_without_a_date_that_can_be_read(date: str | None) -> None:
    error = refusal_of("AccessDenied", authenticate, with_headers(signed(), x_amz_date=date))
    assert "valid Date or x-amz-date" in error.message


def test_a_key_of_another_day() -> None:
    request = with_headers(signed(), x_amz_date="20260321T000000Z")
    error = refusal_of("AuthorizationHeaderMalformed", authenticate, request, None, NOW_MS + 7 * 3600 * 1000)
    assert "Invalid credential date" in error.message


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("Signature=", "Sig=", "three components"),
        ("Credential=", "Cred=", "three components"),
        ("SignedHeaders=", "SignedHeaders=,X=", "three components"),
        (f"{KEY_ID}/20260320/us-east-1/s3/aws4_request", "nonsense", "mal-formed"),
        ("SignedHeaders=host;", "SignedHeaders=host;x-amz-date;Host;", "more than once"),
        ("/s3/", "/ec2/", 'incorrect service "ec2"'),
        ("aws4_request", "aws5_request", "incorrect terminal"),
        ("/20260320/", "/2026-03-20/", "incorrect date format"),
        (f"Credential={KEY_ID}/", "Credential=/", "mal-formed"),
    ],
)
def test_a_malformed_authorization(old: str, new: str, reason: str) -> None:
    request = signed()
    authorization = request.headers["authorization"].replace(old, new, 1)
    error = refusal_of("AuthorizationHeaderMalformed", authenticate, with_headers(request, authorization=authorization))
    assert error.status == 400
    assert reason in error.message


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (f"AWS {KEY_ID}:frJIUN8DYpKDtOLCwo//yllqDzg=", "InvalidRequest"),
        ("AWS4-ECDSA-P256-SHA256 Credential=x", "InvalidRequest"),
        ("Basic dXNlcjpwYXNz", "InvalidArgument"),
        ("", "InvalidArgument"),
        ("Signature=", "InvalidArgument"),
    ],
)
def test_other_ways_to_authorize(authorization: str, code: str) -> None:
    refusal_of(code, authenticate, facts("GET", "/photos/key", {"authorization": authorization}))


def test_header_and_query_at_once() -> None:
    request = replace(signed(), raw_query=b"X-Amz-Signature=00")
    assert "Only one auth mechanism" in refusal_of("InvalidArgument", authenticate, request).message


def test_without_the_payload_hash() -> None:
    request = with_headers(signed(), x_amz_content_sha256=None)
    assert refusal_of("InvalidRequest", authenticate, request).message.endswith("x-amz-content-sha256")


@pytest.mark.parametrize("value", ["abc", "STREAMING-NONSENSE", "e3b0" * 17, "É"])
def test_a_malformed_payload_hash(value: str) -> None:
    refusal_of("InvalidArgument", authenticate, with_headers(signed(), x_amz_content_sha256=value))


def test_a_session_token_is_never_right() -> None:
    assert refusal_of("InvalidToken", authenticate, with_headers(signed(), x_amz_security_token="t")).status == 400


@given(st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=200))
def test_any_authorization_gets_an_answer_of_s3(authorization: str) -> None:
    for text in (authorization, "AWS4-HMAC-SHA256 " + authorization):
        with pytest.raises(S3Error):
            authenticate(with_headers(signed(), authorization=text))


# --- memory --------------------------------------------------------------------------------------------------------


def test_what_proved_wrong_leaves_nothing_behind() -> None:
    """Bug class: a cache of signing keys that random key ids fill."""
    authenticator = Authenticator()
    for number in range(20):
        request = signed()
        stranger = request.headers["authorization"].replace(KEY_ID, f"STRANGER{number}")
        refusal_of("InvalidAccessKeyId", authenticator.authenticate, with_headers(request, authorization=stranger), Keys(ME), NOW_MS)
        forged = request.headers["authorization"].replace("us-east-1", f"region-{number}")
        refusal_of("SignatureDoesNotMatch", authenticator.authenticate, with_headers(request, authorization=forged), Keys(ME), NOW_MS)
    assert not authenticator._keys
    assert not authenticator._claims


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_REMEMBERED", 8)
    authenticator = Authenticator()
    for number in range(30):
        request = signed_by_botocore("GET", URL + "/photos/k", at_ms=NOW_MS, region=f"region-{number}")
        authenticator.authenticate(request, Keys(ME), NOW_MS)
    assert (len(authenticator._keys), len(authenticator._claims)) == (8, 8)


def test_what_is_long_is_accepted_and_not_remembered() -> None:
    authenticator = Authenticator()
    request = signed_by_botocore("GET", URL + "/photos/k", at_ms=NOW_MS, region="r" * 2000)
    assert authenticator.authenticate(request, Keys(ME), NOW_MS).credential is ME
    assert (authenticator._keys, authenticator._claims) == ({}, {})


# --- tokens and streams --------------------------------------------------------------------------------------------

TOKEN_HOLDER = Credential(("photos/legacy",), frozenset({"photos"}), token="open sesame")


def test_a_token_opens_without_a_signature() -> None:
    request = facts("GET", "/photos/key", {"x-proxy-token": "open sesame"})
    assert authenticate(request, Keys(ME, TOKEN_HOLDER)) == Authentication(TOKEN_HOLDER, "token")


@pytest.mark.parametrize("token", ["", "open", "open sesame ", "É"])
def test_a_wrong_token_opens_nothing(token: str) -> None:
    refusal_of("AccessDenied", authenticate, facts("GET", "/photos/key", {"x-proxy-token": token}), Keys(ME, TOKEN_HOLDER))


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", UncheckedSignatures),
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", UncheckedSignatures),
        ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", type(None)),
        ("UNSIGNED-PAYLOAD", type(None)),
    ],
)
def test_signed_chunks_under_a_token_are_read_and_not_checked(payload: str, kind: type) -> None:
    request = facts("PUT", "/photos/key", {"x-proxy-token": "open sesame", "x-amz-content-sha256": payload})
    assert type(authenticate(request, Keys(TOKEN_HOLDER)).chunk_signatures) is kind


def test_how_long_it_takes() -> None:
    """A figure for the log, with a bound that only a mistake of method would break (the aim is 15 µs)."""
    authenticator, keys, request = Authenticator(), Keys(ME), signed()
    rounds = 2000
    started = time.perf_counter()
    for _ in range(rounds):
        authenticator.authenticate(request, keys, NOW_MS)
    each_us = (time.perf_counter() - started) / rounds * 1e6
    print(f"authenticate: {each_us:.1f} µs")
    assert each_us < 500


def test_who_proves_nothing_cannot_fill_the_memory_by_naming_a_header_often() -> None:
    """A long header was copied for each mention: 2.4 GiB and ten seconds for one request of 63 KB."""
    headers = {
        "host": HOST,
        "e": "x" * 35_000,
        "x-amz-date": amz_date(NOW_MS),
        "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
        "authorization": f"AWS4-HMAC-SHA256 Credential={KEY_ID}/{amz_date(NOW_MS)[:8]}/r/s3/aws4_request, "
        f"SignedHeaders=host;x-amz-date;{';'.join(['e'] * 14_000)}, Signature=00",
    }
    tracemalloc.start()
    try:
        refusal_of("AuthorizationHeaderMalformed", authenticate, facts("GET", "/photos/key", headers))
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_who_proves_nothing_cannot_hold_the_loop_by_the_names_he_lists() -> None:
    """Each header was looked for among all that were said to be signed: 60 KiB of head took a third of a second."""
    listed = ";".join(["host", *[f"a{number:x}" for number in range(7_000)]])
    amz_time = amz_date(NOW_MS)
    headers = {f"x-amz-{number:x}": "" for number in range(2_700)} | {
        "host": HOST,
        "x-amz-date": amz_time,
        "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
        "authorization": f"AWS4-HMAC-SHA256 Credential=A/{amz_time[:8]}/r/s3/aws4_request, SignedHeaders={listed}, Signature=00",
    }
    began = time.process_time()
    refusal_of("AccessDenied", authenticate, facts("GET", "/photos/key", headers))
    assert time.process_time() - began < 0.1
