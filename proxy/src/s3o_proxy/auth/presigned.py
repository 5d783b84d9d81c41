"""SigV4 by query: a presigned URL. What it may do, and until when, is under its signature.

Source: AWS, S3 API Reference, "Authenticating Requests: Using Query Parameters".
"""

from __future__ import annotations

from collections.abc import Mapping

from s3o_proxy.auth.sigv4 import (
    ALGORITHM,
    MAX_SKEW_MS,
    Claim,
    check_scope_date,
    check_signed_headers,
    headers_not_signed,
    parse_credential,
    parse_signed_headers,
)
from s3o_proxy.domain.frozen import frozen
from s3o_proxy.domain.signing_key import Scope
from s3o_proxy.s3.body_promises import UNSIGNED_PAYLOAD, payload_mode
from s3o_proxy.s3.dates import iso_date, parse_amz_date
from s3o_proxy.s3.errors import S3Error

MAX_EXPIRES_S = 7 * 24 * 3600

_REQUIRED = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Expires")
_HASH_PARAMETERS = ("X-Amz-Content-Sha256", "x-amz-content-sha256")


@frozen
class PresignedClaim:
    """A claim from the query, found valid now but for its signature."""

    claim: Claim
    signature: str
    amz_time: str
    payload_hash: str


def is_presigned_v4(raw_query: bytes) -> bool:
    return b"X-Amz-Signature=" in raw_query or b"X-Amz-Algorithm=" in raw_query


def parse_presigned(parameters: Mapping[str, str], headers: Mapping[str, str], now_ms: int) -> PresignedClaim:
    """Raises AuthorizationQueryParametersError for what cannot be read, AccessDenied for what is not valid now."""
    if not all(parameters.get(name) for name in _REQUIRED):
        raise S3Error(
            "AuthorizationQueryParametersError",
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, "
            "X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
        )
    if parameters["X-Amz-Algorithm"] != ALGORITHM:
        raise _malformed(f'X-Amz-Algorithm only supports "{ALGORITHM}"')
    access_key_id, scope = parse_credential(parameters["X-Amz-Credential"], _malformed_credential)
    amz_time = _valid_time(parameters, scope, now_ms)
    signed_headers = parse_signed_headers(parameters["X-Amz-SignedHeaders"], _malformed)
    check_signed_headers(headers, signed_headers)
    payload_hash = _payload_hash(parameters, headers, signed_headers)
    return PresignedClaim(Claim(access_key_id, scope, signed_headers), parameters["X-Amz-Signature"], amz_time, payload_hash)


def _valid_time(parameters: Mapping[str, str], scope: Scope, now_ms: int) -> str:
    amz_time = parameters["X-Amz-Date"]
    signed_ms = parse_amz_date(amz_time)
    if signed_ms is None:
        raise _malformed("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    check_scope_date(scope, amz_time, _malformed)
    expires_s = _expires_s(parameters["X-Amz-Expires"])
    # Clocks differ, so a start a little ahead of ours is no fraud; one far ahead would make a URL that outlives its seven days.
    if signed_ms > now_ms + MAX_SKEW_MS:
        raise S3Error("AccessDenied", "Request is not valid yet", extra={"X-Amz-Date": amz_time, "ServerTime": iso_date(now_ms)})
    expiry_ms = signed_ms + expires_s * 1000
    if now_ms > expiry_ms:
        raise expired(expiry_ms, now_ms, {"X-Amz-Expires": str(expires_s)})
    return amz_time


def _expires_s(text: str) -> int:
    if not (text.isascii() and text.removeprefix("-").isdigit()):
        raise _malformed("X-Amz-Expires should be a number")
    if text.startswith("-"):
        raise _malformed("X-Amz-Expires must be non-negative")
    if len(text) > 9 or int(text) > MAX_EXPIRES_S:
        raise _malformed(f"X-Amz-Expires must be less than a week (in seconds) that is less than {MAX_EXPIRES_S}")
    if int(text) == 0:
        raise _malformed("X-Amz-Expires must be at least one second")
    return int(text)


def _payload_hash(parameters: Mapping[str, str], headers: Mapping[str, str], signed_headers: tuple[str, ...]) -> str:
    """What the signature says of the body: nothing, unless the signer put a hash into the query or signed the header."""
    mode = payload_mode(headers)
    for name in _HASH_PARAMETERS:
        if name in parameters:
            pinned = payload_mode({"x-amz-content-sha256": parameters[name]})
            if mode not in ("", pinned):
                # The body is held against the header: whoever got the URL could free himself of what its signer pinned.
                raise headers_not_signed(["x-amz-content-sha256"])
            return pinned
    if mode and "x-amz-content-sha256" in signed_headers:
        return mode
    if mode.startswith("STREAMING-"):  # It would change how the body is read, and nobody signed for that.
        raise headers_not_signed(["x-amz-content-sha256"])
    return UNSIGNED_PAYLOAD


def expired(expiry_ms: int, now_ms: int, extra: Mapping[str, str]) -> S3Error:
    return S3Error("AccessDenied", "Request has expired", extra={**extra, "Expires": iso_date(expiry_ms), "ServerTime": iso_date(now_ms)})


def _malformed(what: str) -> S3Error:
    return S3Error("AuthorizationQueryParametersError", what)


def _malformed_credential(what: str) -> S3Error:
    return S3Error("AuthorizationQueryParametersError", f"Error parsing the X-Amz-Credential parameter; {what}")
