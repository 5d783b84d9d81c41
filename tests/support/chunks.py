"""Bodies in aws-chunked framing, signed by the book: written from AWS' description, not from our code."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class ChunkSigner:
    """The signing side of a chain. `seed` is the signature of the request's head."""

    key: bytes
    seed: str
    amz_time: str = "20260320T101530Z"
    scope: str = "20260320/us-east-1/s3/aws4_request"
    previous: str = field(init=False)

    def __post_init__(self) -> None:
        self.previous = self.seed

    def chunk(self, data: bytes) -> str:
        empty = hashlib.sha256(b"").hexdigest()
        return self._sign("AWS4-HMAC-SHA256-PAYLOAD", f"{empty}\n{hashlib.sha256(data).hexdigest()}")

    def trailer(self, text: bytes) -> str:
        return self._sign("AWS4-HMAC-SHA256-TRAILER", hashlib.sha256(text).hexdigest())

    def _sign(self, algorithm: str, rest: str) -> str:
        text = f"{algorithm}\n{self.amz_time}\n{self.scope}\n{self.previous}\n{rest}"
        self.previous = hmac.new(self.key, text.encode(), hashlib.sha256).hexdigest()
        return self.previous


def frame(
    chunks: Sequence[bytes], trailer: Sequence[tuple[str, str]] = (), signer: ChunkSigner | None = None, *, sign_trailer: bool = False
) -> bytes:
    """The wire form of `chunks` and the empty one that ends them."""
    wire = b""
    for chunk in (*chunks, b""):
        extension = f";chunk-signature={signer.chunk(chunk)}" if signer else ""
        wire += f"{len(chunk):x}{extension}\r\n".encode() + chunk + (b"\r\n" if chunk else b"")
    wire += b"".join(f"{name}:{value}\r\n".encode() for name, value in trailer)
    if signer and sign_trailer:
        text = b"".join(f"{name}:{value}\n".encode() for name, value in trailer)
        wire += f"x-amz-trailer-signature:{signer.trailer(text)}\r\n".encode()
    return wire + b"\r\n"
