"""The chain of signatures over a streamed body: each chunk's includes the one before, the first the request's own.

Source: AWS, S3 API Reference, "Signature Calculations for the Authorization Header: Transferring Payload in Multiple Chunks" and
"… Including Trailing Headers".
"""

from __future__ import annotations

from hashlib import sha256
from hmac import compare_digest

from s3o_proxy.domain.errors import ChunkSignatureMismatch
from s3o_proxy.domain.signing_key import SigningKey

_EMPTY_SHA256 = sha256(b"").hexdigest()


class ChunkSignatures:
    """Hold each chunk against its signature, in order; the empty last chunk as well."""

    __slots__ = ("_chunk", "_chunk_head", "_key", "_previous", "_trailer_head")

    def __init__(self, key: SigningKey, amz_time: str, scope_text: str, seed_signature: str) -> None:
        self._key, self._previous = key, seed_signature
        self._chunk_head = f"AWS4-HMAC-SHA256-PAYLOAD\n{amz_time}\n{scope_text}\n"
        self._trailer_head = f"AWS4-HMAC-SHA256-TRAILER\n{amz_time}\n{scope_text}\n"
        self._chunk = sha256()

    def update(self, data: bytes | memoryview) -> None:
        """Bytes of the chunk that is arriving."""
        self._chunk.update(data)

    def check_chunk(self, signature: str) -> None:
        """The chunk has ended. Raises ChunkSignatureMismatch."""
        self._check(signature, f"{self._chunk_head}{self._previous}\n{_EMPTY_SHA256}\n{self._chunk.hexdigest()}")
        self._chunk = sha256()

    def check_trailer(self, trailer: bytes, signature: str) -> None:
        """`trailer`: each trailing header as `name:value\\n`, without the signature itself. Raises ChunkSignatureMismatch."""
        self._check(signature, f"{self._trailer_head}{self._previous}\n{sha256(trailer).hexdigest()}")

    def _check(self, signature: str, string_to_sign: str) -> None:
        expected = self._key.sign(string_to_sign.encode("utf-8", "replace"))
        if not compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
            raise ChunkSignatureMismatch
        self._previous = expected


class UncheckedSignatures:
    """For a body that is framed as signed chunks in a request that proved itself by its token: there is no key to check them by."""

    def update(self, data: bytes | memoryview) -> None:
        del data

    def check_chunk(self, signature: str) -> None:
        del signature

    def check_trailer(self, trailer: bytes, signature: str) -> None:
        del trailer, signature
