"""Signature Version 4 in the Authorization header, for requests that are prepared before the clock starts.

A client library signs in some hundred microseconds; a window of PUTs plays some ten thousand requests, each with a key of its own. The
parts that all of them share are computed once here. (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html)
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from urllib.parse import quote

UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY = hashlib.sha256(b"").hexdigest()

_NOTHING: Mapping[str, str] = MappingProxyType({})


class Signer:
    """Signs requests to one host with one date. S3 accepts them for fifteen minutes (RequestTimeTooSkewed)."""

    def __init__(self, access_key_id: str, secret_access_key: str, region: str, host: str, now: datetime) -> None:
        """`now` is in UTC; `host` is the Host header, with its port."""
        self._host = host
        self._date = now.strftime("%Y%m%dT%H%M%SZ")
        day = self._date[:8]
        self._scope = f"{day}/{region}/s3/aws4_request"
        self._credential = f"AWS4-HMAC-SHA256 Credential={access_key_id}/{self._scope}, SignedHeaders="
        key = f"AWS4{secret_access_key}".encode()
        for part in (day, region, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._key = key

    def headers(
        self, method: str, path: str, query: Mapping[str, str], payload_sha256: str, further: Mapping[str, str] = _NOTHING
    ) -> dict[str, str]:
        """The headers to send, Host included. `path` is not encoded yet. `further`: x-amz-* headers in lower case, to be sent too."""
        signed = {"host": self._host, "x-amz-content-sha256": payload_sha256, "x-amz-date": self._date, **further}
        names = sorted(signed)
        canonical = "\n".join(
            (
                method,
                quote(path, safe="/-_.~"),
                canonical_query(query),
                *(f"{name}:{signed[name]}" for name in names),
                "",
                ";".join(names),
                payload_sha256,
            )
        )
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        to_sign = f"AWS4-HMAC-SHA256\n{self._date}\n{self._scope}\n{digest}"
        signature = hmac.digest(self._key, to_sign.encode(), "sha256").hex()
        return {
            "Host": self._host,
            "X-Amz-Date": self._date,
            "X-Amz-Content-SHA256": payload_sha256,
            "Authorization": f"{self._credential}{';'.join(names)}, Signature={signature}",
            **further,
        }


def canonical_query(query: Mapping[str, str]) -> str:
    """Encoded and in the order of the signature; also what stands in the request line."""
    return "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in sorted(query.items()))
