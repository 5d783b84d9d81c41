"""A request's body as operations see it: unframed, and held against every promise of its headers before its last piece is handed on."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping

from s3o_proxy.domain.errors import BadDigest, DocumentTooLong, IncompleteBody, InvalidTrailer, PayloadHashMismatch
from s3o_proxy.http.chunked import ChunkedDecoder, ChunkVerifier
from s3o_proxy.http.exchange import Exchange
from s3o_proxy.s3.body_promises import BodyPromises, Framing
from s3o_proxy.s3.checksum_headers import checksum_header
from s3o_proxy.s3.checksums import Hasher, is_checksum, new_hasher, to_base64
from s3o_proxy.s3.errors import S3Error

_CONTENT_HASH = "CRC64NVME"


class RequestBody:
    """Implements `s3.body.Body`. `verifier` follows the chunk signatures; None where the request's signature does not begin their chain.

    Raises S3Error InvalidRequest for signed chunks without one.
    """

    def __init__(self, exchange: Exchange, promises: BodyPromises, verifier: ChunkVerifier | None) -> None:
        self.size_bytes = promises.size_bytes
        self.content_md5 = promises.content_md5
        self._exchange, self._promises = exchange, promises
        self._decoder = _decoder(promises, verifier)
        self._received_bytes = 0
        self._wants_md5 = bool(promises.content_md5)
        self._wanted_checksums: tuple[str, ...] = ()
        self._md5: hashlib._Hash | None = None
        self._sha256: hashlib._Hash | None = None
        self._asked: set[str] = set()
        self._hashers: dict[str, Hasher] = {}
        self._checksums: dict[str, str] = {}
        self._content_hash = ""

    # --- before the first byte ---------------------------------------------------------------------------------------------------

    def hand_on_md5(self) -> None:
        self._wants_md5 = False

    def want_md5(self) -> None:
        self._wants_md5 = True

    def want_checksum(self, algorithm: str) -> None:
        self._wanted_checksums += (algorithm,)

    # --- the bytes ---------------------------------------------------------------------------------------------------------------

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self._begin()
        held = b""
        while raw := await self._exchange.receive():
            piece = raw if self._decoder is None else b"".join(self._decoder.feed(raw))
            if not piece:
                continue  # Framing alone.
            self._take(piece)
            if self._received_bytes < self.size_bytes:
                yield piece
            else:
                held = piece  # The last: the promises come first.
        self._verify()
        if held:
            yield held

    async def read_all(self, limit_bytes: int) -> bytes:
        if self.size_bytes > limit_bytes:
            raise DocumentTooLong(self.size_bytes, limit_bytes)
        return b"".join([piece async for piece in self])

    # --- after the end -----------------------------------------------------------------------------------------------------------

    @property
    def md5_hex(self) -> str:
        return self._md5.hexdigest() if self._md5 is not None else ""

    @property
    def content_hash(self) -> str:
        return self._content_hash

    @property
    def checksums(self) -> Mapping[str, str]:
        return self._checksums

    # --- helpers -----------------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Most requests have no body, so nothing is made for one before it is read."""
        promises = self._promises
        self._asked = {*promises.checksums, promises.trailer_algorithm, promises.requested_algorithm, *self._wanted_checksums} - {""}
        self._hashers = {algorithm: new_hasher(algorithm) for algorithm in {_CONTENT_HASH, *self._asked}}
        self._md5 = hashlib.md5(usedforsecurity=False) if self._wants_md5 else None
        self._sha256 = hashlib.sha256() if promises.content_sha256 else None

    def _take(self, piece: bytes) -> None:
        self._received_bytes += len(piece)
        if self._received_bytes > self.size_bytes:
            raise IncompleteBody(self.size_bytes, self._received_bytes)
        for hasher in self._hashers.values():
            hasher.update(piece)
        if self._md5 is not None:
            self._md5.update(piece)
        if self._sha256 is not None:
            self._sha256.update(piece)

    def _verify(self) -> None:
        """Every promise, now that all bytes are here. Length first: whatever else differs then, that is the reason."""
        if self._decoder is not None:
            self._decoder.finish()
        if self._received_bytes != self.size_bytes:
            raise IncompleteBody(self.size_bytes, self._received_bytes)
        if self._sha256 is not None and self._sha256.hexdigest() != self._promises.content_sha256:
            raise PayloadHashMismatch
        if self._md5 is not None and self.content_md5 and to_base64(self._md5.digest()) != self.content_md5:
            raise BadDigest("Content-MD5")
        computed = {algorithm: hasher.base64() for algorithm, hasher in self._hashers.items()}
        for algorithm, promised in {**self._promises.checksums, **self._trailing_checksum()}.items():
            if computed[algorithm] != promised:
                raise BadDigest(checksum_header(algorithm))
        self._content_hash = computed[_CONTENT_HASH]
        self._checksums = {algorithm: computed[algorithm] for algorithm in sorted(self._asked)}

    def _trailing_checksum(self) -> dict[str, str]:
        algorithm = self._promises.trailer_algorithm
        if not algorithm or self._decoder is None:
            return {}
        name = checksum_header(algorithm)
        value = self._decoder.trailers[name]
        if not is_checksum(algorithm, value):
            raise InvalidTrailer(name)
        return {algorithm: value}


def _decoder(promises: BodyPromises, verifier: ChunkVerifier | None) -> ChunkedDecoder | None:
    if promises.framing is Framing.PLAIN:
        return None
    announced = frozenset({checksum_header(promises.trailer_algorithm)} if promises.trailer_algorithm else ())
    signed_trailer = promises.framing is Framing.SIGNED_CHUNKS_AND_TRAILER
    if verifier is None and promises.framing is not Framing.UNSIGNED_CHUNKS:
        # Its signatures would be a promise that nothing holds anybody to.
        raise S3Error("InvalidRequest", "Signed chunks need a request that is signed in its Authorization header, payload mode included")
    return ChunkedDecoder(promises.size_bytes, announced, verifier, signed_trailer=signed_trailer)
