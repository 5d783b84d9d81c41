"""The chain of signatures over a streamed body: each chunk's includes the one before, the first the request's own.

Source: AWS, S3 API Reference, "Signature Calculations for the Authorization Header: Transferring Payload in Multiple Chunks" and
"… Including Trailing Headers".
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from hmac import compare_digest

from s3o_proxy.auth.signing_key import SigningKey
from s3o_proxy.domain.errors import ChunkSignatureMismatch

_EMPTY_SHA256 = sha256(b"").hexdigest()


class ChunkSignatures:
    """Hold each chunk against its signature, in order; the empty last chunk as well."""

    __slots__ = ("_chunk_head", "_key", "_previous", "_trailer_head")

    def __init__(self, key: SigningKey, amz_time: str, scope_text: str, seed_signature: str) -> None:
        self._key, self._previous = key, seed_signature
        self._chunk_head = f"AWS4-HMAC-SHA256-PAYLOAD\n{amz_time}\n{scope_text}\n"
        self._trailer_head = f"AWS4-HMAC-SHA256-TRAILER\n{amz_time}\n{scope_text}\n"

    def check_chunk(self, signature: bytes, chunk_sha256: str) -> None:
        """`chunk_sha256`: hex, of the chunk's data. Raises ChunkSignatureMismatch."""
        self._check(signature, f"{self._chunk_head}{self._previous}\n{_EMPTY_SHA256}\n{chunk_sha256}")

    def check_trailer(self, signature: bytes, trailers: Iterable[tuple[str, str]]) -> None:
        """`trailers`: names and values as they came, without x-amz-trailer-signature. Raises ChunkSignatureMismatch."""
        text = "".join([f"{name.lower()}:{value.strip()}\n" for name, value in trailers])
        self._check(signature, f"{self._trailer_head}{self._previous}\n{sha256(text.encode('latin-1', 'replace')).hexdigest()}")

    def _check(self, signature: bytes, string_to_sign: str) -> None:
        expected = self._key.sign(string_to_sign.encode("utf-8", "replace"))
        if not compare_digest(expected.encode(), signature):
            raise ChunkSignatureMismatch
        self._previous = expected
