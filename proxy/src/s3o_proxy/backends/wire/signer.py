"""SigV4 by header: the signing key is derived once a day, the timestamp written once a second.

Source: AWS, "Signature Version 4 signing process"; for S3 the path is neither normalised nor encoded twice. Beside `host` and the `x-amz-*`
headers, what says what is asked for is signed; what only says how to transfer it is not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from hashlib import sha256

from s3o_proxy.domain.signing_key import Scope, SigningKey, derive_signing_key

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
EMPTY_PAYLOAD = sha256(b"").hexdigest()

_ALWAYS = "host;x-amz-content-sha256;x-amz-date"


class Signer:
    """`host` is the value of the Host header. `clock_s`: seconds since the epoch."""

    def __init__(self, access_key_id: str, secret: str, region: str, host: str, clock_s: Callable[[], float] = time.time) -> None:
        self._access_key_id, self._secret, self._region, self._host = access_key_id, secret, region, host
        self._clock_s = clock_s
        self._second = -1
        self._timestamp = ""
        self._scope = Scope("", region)
        self._key: SigningKey
        self._credential = ""
        self._to_sign = ""

    def sign(self, method: str, path: str, query: str, payload_hash: str, headers: Iterable[tuple[str, str]] = ()) -> str:
        """The header lines that make the request a signed one, each with its CRLF.

        `path` and `query` as on the wire, the query's parameters sorted. `headers`: lower-case names, each once.
        """
        second = int(self._clock_s())
        if second != self._second:
            self._begin_second(second)
        if headers:
            always = (("host", self._host), ("x-amz-content-sha256", payload_hash), ("x-amz-date", self._timestamp))
            fields = sorted((*always, *headers))
            names = ";".join([name for name, _ in fields])
            lines = "".join([f"{name}:{' '.join(value.split())}\n" for name, value in fields])
        else:
            names = _ALWAYS
            lines = f"host:{self._host}\nx-amz-content-sha256:{payload_hash}\nx-amz-date:{self._timestamp}\n"
        request = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{payload_hash}"
        signature = self._key.sign((self._to_sign + sha256(request.encode()).hexdigest()).encode())
        return (
            f"x-amz-date: {self._timestamp}\r\nx-amz-content-sha256: {payload_hash}\r\n"
            f"authorization: {self._credential}, SignedHeaders={names}, Signature={signature}\r\n"
        )

    def _begin_second(self, second: int) -> None:
        self._second = second
        self._timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        date = self._timestamp[:8]
        if date != self._scope.date:
            self._scope = Scope(date, self._region)
            self._key = derive_signing_key(self._secret, self._scope)
            self._credential = f"AWS4-HMAC-SHA256 Credential={self._access_key_id}/{self._scope.text}"
        self._to_sign = f"AWS4-HMAC-SHA256\n{self._timestamp}\n{self._scope.text}\n"
