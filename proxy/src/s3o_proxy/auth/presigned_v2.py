"""SigV2 by query: what boto3 still presigns for us-east-1. Only behind an option: HMAC-SHA1, and only some parameters are signed.

Source: AWS, S3 User Guide, "Signing and authenticating REST requests", query string request authentication alternative.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping

from s3o_proxy.auth.presigned import expired
from s3o_proxy.domain.frozen import frozen
from s3o_proxy.s3.errors import S3Error
from s3o_proxy.s3.request import RequestFacts
from s3o_proxy.s3.target import virtual_host_bucket

_SIGNED_PARAMETERS = frozenset(
    {
        "accelerate",
        "acl",
        "analytics",
        "cors",
        "defaultObjectAcl",
        "delete",
        "encryption",
        "inventory",
        "lifecycle",
        "location",
        "logging",
        "metrics",
        "notification",
        "object-lock",
        "partNumber",
        "policy",
        "replication",
        "requestPayment",
        "response-cache-control",
        "response-content-disposition",
        "response-content-encoding",
        "response-content-language",
        "response-content-type",
        "response-expires",
        "restore",
        "select",
        "select-type",
        "storageClass",
        "tagging",
        "torrent",
        "uploadId",
        "uploads",
        "versionId",
        "versioning",
        "versions",
        "website",
    }
)


@frozen
class PresignedV2Claim:
    access_key_id: str
    signature: str
    string_to_sign: bytes


def is_presigned_v2(raw_query: bytes) -> bool:
    return b"AWSAccessKeyId=" in raw_query and b"Signature=" in raw_query


def parse_presigned_v2(facts: RequestFacts, parameters: Mapping[str, str], now_ms: int, virtual_host_domain: str) -> PresignedV2Claim:
    """Raises AccessDenied for what is missing, unreadable or expired."""
    access_key_id, signature = parameters.get("AWSAccessKeyId", ""), parameters.get("Signature", "")
    if not access_key_id or not signature:
        raise S3Error("AccessDenied", "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters")
    expires = parameters.get("Expires", "")
    if not (expires.isascii() and expires.isdigit() and len(expires) <= 11):
        raise S3Error("AccessDenied", f"Invalid date (should be seconds since epoch): {expires}")
    if now_ms > int(expires) * 1000:
        raise expired(int(expires) * 1000, now_ms, {})
    string_to_sign = "\n".join(
        [
            facts.method,
            _standard(facts, parameters, "content-md5"),
            _standard(facts, parameters, "content-type"),
            expires,
            *_amz_headers(facts, parameters),
            _resource(facts, parameters, virtual_host_domain),
        ]
    )
    return PresignedV2Claim(access_key_id, signature, string_to_sign.encode("latin-1", "replace"))


def matches_v2(claim: PresignedV2Claim, secret: str) -> bool:
    expected = base64.b64encode(hmac.digest(secret.encode(), claim.string_to_sign, "sha1"))
    return hmac.compare_digest(expected, claim.signature.encode("utf-8", "replace"))


def _standard(facts: RequestFacts, parameters: Mapping[str, str], name: str) -> str:
    return facts.headers.get(name, _as_header(parameters.get(name, ""))).strip()


def _amz_headers(facts: RequestFacts, parameters: Mapping[str, str]) -> list[str]:
    """Headers and those that the presigner moved into the query, where a header sent as one counts as it was sent."""
    found = {name.lower(): _as_header(value) for name, value in parameters.items() if name.lower().startswith("x-amz-")}
    found |= {name: value for name, value in facts.headers.items() if name.startswith("x-amz-")}
    return [f"{name}:{found[name].strip()}" for name in sorted(found)]


def _resource(facts: RequestFacts, parameters: Mapping[str, str], virtual_host_domain: str) -> str:
    bucket = virtual_host_bucket(facts.host, virtual_host_domain)
    path = ("/" + bucket if bucket else "") + facts.raw_path.decode("latin-1")
    bare = {piece for piece in facts.raw_query.decode("latin-1").split("&") if "=" not in piece}
    signed = [
        name if name in bare else f"{name}={_as_header(value)}" for name, value in sorted(parameters.items()) if name in _SIGNED_PARAMETERS
    ]
    return f"{path}?{'&'.join(signed)}" if signed else path


def _as_header(text: str) -> str:
    return text.encode().decode("latin-1")
