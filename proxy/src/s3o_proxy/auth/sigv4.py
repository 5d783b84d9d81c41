"""SigV4 by header: the Authorization header read, and a signature held against the request.

Source: AWS, S3 API Reference, "Authenticating Requests: Using the Authorization Header". Any region is accepted: an S3 endpoint that stands
alone has no other region to send its clients to, and what counts is that both sides derive the key from the same one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from hmac import compare_digest

from s3o_proxy.auth.canonical import canonical_requests
from s3o_proxy.domain.frozen import frozen
from s3o_proxy.domain.signing_key import Scope, SigningKey
from s3o_proxy.s3.dates import amz_date, iso_date, parse_amz_date, parse_http_date
from s3o_proxy.s3.errors import S3Error
from s3o_proxy.s3.request import RequestFacts

ALGORITHM = "AWS4-HMAC-SHA256"
MAX_SKEW_MS = 15 * 60 * 1000

Refusal = Callable[[str], S3Error]
"""What is wrong with a credential → the error that says so: its code differs between header and query."""

_DATE = re.compile(r"[0-9]{8}")
_UNSIGNED_ALLOWED = frozenset({"x-amz-content-sha256", "x-amz-cf-id"})
"""The payload hash stands in the signed text itself; CloudFront adds its id on the way."""


@frozen
class Claim:
    """What a request says of its signature, but for the signature."""

    access_key_id: str
    scope: Scope
    signed_headers: tuple[str, ...]


def parse_authorization(authorization: str) -> tuple[Claim, str]:
    """Claim and signature of `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`. Raises AuthorizationHeaderMalformed."""
    fields: dict[str, str] = {}
    for field in authorization[len(ALGORITHM) :].split(","):
        name, equals, value = field.strip().partition("=")
        if equals:
            fields[name] = value
    if not all(fields.get(name) for name in ("Credential", "SignedHeaders", "Signature")):
        raise malformed("the authorization header requires three components: Credential, SignedHeaders, and Signature.")
    access_key_id, scope = parse_credential(fields["Credential"], malformed)
    return Claim(access_key_id, scope, parse_signed_headers(fields["SignedHeaders"], malformed)), fields["Signature"]


def parse_credential(credential: str, refusal: Refusal) -> tuple[str, Scope]:
    """`<key id>/<date>/<region>/s3/aws4_request`; a key id may hold slashes itself. Raises `refusal(what is wrong)`."""
    pieces = credential.rsplit("/", 4)
    if len(pieces) != 5 or not pieces[0]:
        raise refusal('the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".')
    access_key_id, date, region, service, terminator = pieces
    if not _DATE.fullmatch(date):
        raise refusal(f'incorrect date format "{date}". This date in the credential must be in the format "yyyyMMdd".')
    if service != "s3":
        raise refusal(f'incorrect service "{service}". This endpoint belongs to "s3".')
    if terminator != "aws4_request":
        raise refusal(f'incorrect terminal "{terminator}". This endpoint uses "aws4_request".')
    return access_key_id, Scope(date, region)


def parse_signed_headers(text: str, refusal: Refusal) -> tuple[str, ...]:
    """Raises `refusal(what is wrong)` for a name that comes twice: its header would be copied into the signed text as often, and one head
    of 64 KiB make gigabytes of it before anybody has proved anything."""
    names = tuple(text.lower().split(";"))
    if len(set(names)) < len(names):
        raise refusal("SignedHeaders names a header more than once.")
    return names


def request_time(headers: Mapping[str, str]) -> tuple[str, int]:
    """x-amz-date, else Date, as SigV4 writes it and in milliseconds. Raises AccessDenied where neither can be read."""
    text = headers.get("x-amz-date") or headers.get("date", "")
    at_ms = parse_amz_date(text)
    if at_ms is not None:
        return text, at_ms
    at_ms = parse_http_date(text)
    if at_ms is not None:
        return amz_date(at_ms), at_ms
    raise S3Error("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header")


def check_skew(request_text: str, request_ms: int, now_ms: int) -> None:
    """Raises RequestTimeTooSkewed beyond 15 minutes."""
    if abs(request_ms - now_ms) > MAX_SKEW_MS:
        raise S3Error(
            "RequestTimeTooSkewed",
            extra={
                "RequestTime": request_text,
                "ServerTime": iso_date(now_ms),
                "MaxAllowedSkewMilliseconds": str(MAX_SKEW_MS),
            },
        )


def check_scope_date(scope: Scope, request_text: str, refusal: Refusal) -> None:
    """A key derived for one day signs requests of that day alone."""
    if scope.date != request_text[:8]:
        raise refusal(f'Invalid credential date "{scope.date}". This date is not the same as X-Amz-Date: "{request_text[:8]}".')


def check_signed_headers(headers: Mapping[str, str], signed_headers: Sequence[str]) -> None:
    """`host` and every x-amz-* header must be under the signature: else who sees a request could change what it does.

    Raises AccessDenied.
    """
    # A set: nobody has proved anything yet, and names times headers of one full head would hold the loop for a third of a second.
    signed = _UNSIGNED_ALLOWED.union(signed_headers)
    unsigned = [name for name in headers.keys() - signed if name.startswith("x-amz-")]
    if "host" not in signed:
        unsigned.append("host")
    if unsigned:
        raise headers_not_signed(unsigned)


def headers_not_signed(names: Iterable[str]) -> S3Error:
    return S3Error(
        "AccessDenied",
        "There were headers present in the request which were not signed",
        extra={"HeadersNotSigned": ", ".join(sorted(names))},
    )


@frozen
class Verdict:
    """`matches`; and for the explanation of a mismatch, what was signed here."""

    matches: bool
    string_to_sign: bytes
    canonical_request: bytes


def verify(
    facts: RequestFacts, claim: Claim, signature: str, key: SigningKey, amz_time: str, payload_hash: str, *, presigned: bool = False
) -> Verdict:
    """Hold `signature` against every form in which the client may have signed this request."""
    head = f"{ALGORITHM}\n{amz_time}\n{claim.scope.text}\n".encode("utf-8", "replace")
    given = signature.encode("utf-8", "replace")
    forms = canonical_requests(facts, claim.signed_headers, payload_hash, presigned=presigned)
    as_sent = _signed(head, next(forms), key, given)
    if as_sent.matches:
        return as_sent
    return next((verdict for verdict in _verdicts(head, forms, key, given) if verdict.matches), as_sent)


def _verdicts(head: bytes, forms: Iterator[bytes], key: SigningKey, given: bytes) -> Iterator[Verdict]:
    for canonical in forms:
        yield _signed(head, canonical, key, given)


def _signed(head: bytes, canonical: bytes, key: SigningKey, given: bytes) -> Verdict:
    string_to_sign = head + sha256(canonical).hexdigest().encode()
    return Verdict(compare_digest(key.sign(string_to_sign).encode(), given), string_to_sign, canonical)


def signature_mismatch(access_key_id: str, signature: str, verdict: Verdict) -> S3Error:
    """SignatureDoesNotMatch with what we signed, as S3 gives it: only by comparing can a client's author find the difference."""
    return S3Error(
        "SignatureDoesNotMatch",
        extra={
            "AWSAccessKeyId": access_key_id,
            "StringToSign": verdict.string_to_sign.decode("utf-8", "replace"),
            "SignatureProvided": signature,
            "StringToSignBytes": verdict.string_to_sign.hex(" "),
            "CanonicalRequest": verdict.canonical_request.decode("utf-8", "replace"),
            "CanonicalRequestBytes": verdict.canonical_request.hex(" "),
        },
    )


def malformed(what: str) -> S3Error:
    return S3Error("AuthorizationHeaderMalformed", f"The authorization header is malformed; {what}")
