"""The aws-chunked framing of a body, taken apart piece by piece as it arrives. Pure: bytes in, bytes out.

Wire form (AWS: "Signature Calculations for the Authorization Header: Transferring Payload in Multiple Chunks", and the
"Including Trailing Headers" variant of it)::

    <hex size>[;chunk-signature=<64 hex>]\\r\\n <size bytes> \\r\\n     any number of times
    0[;chunk-signature=<64 hex>]\\r\\n
    [<name>:<value>\\r\\n …] [x-amz-trailer-signature:<64 hex>\\r\\n]
    \\r\\n
"""

from __future__ import annotations

from typing import Protocol

from s3o_proxy.domain.errors import IncompleteBody, MalformedBody, MalformedTrailer

_LINE_LIMIT_BYTES = 1024
_TRAILER_LIMIT_BYTES = 16 * 1024
_SIGNATURE = b"chunk-signature="
_TRAILER_SIGNATURE = "x-amz-trailer-signature"

Piece = bytes | memoryview


class ChunkVerifier(Protocol):
    """Follows the chain of signatures. Each of the two `check`s raises `ChunkSignatureMismatch`."""

    def update(self, data: Piece) -> None:
        """Bytes of the chunk that is arriving."""
        ...

    def check_chunk(self, signature: str) -> None:
        """The chunk has ended; the last one is empty."""
        ...

    def check_trailer(self, trailer: bytes, signature: str) -> None:
        """`trailer`: each trailing header as `name:value\\n`, in the order sent, without the signature itself."""
        ...


class ChunkedDecoder:
    """Feed it the raw body; it gives back the payload. After `finish`, `trailers` holds the trailing headers by lower-case name.

    `announced`: the names in x-amz-trailer; each must come, and no other may. `verifier`: None for the unsigned form.
    """

    def __init__(self, size_bytes: int, announced: frozenset[str], verifier: ChunkVerifier | None, *, signed_trailer: bool = False) -> None:
        self.trailers: dict[str, str] = {}
        self._size_bytes, self._announced, self._verifier = size_bytes, announced, verifier
        self._signed_trailer = signed_trailer
        self._decoded_bytes = 0
        self._state = self._size_line
        self._unparsed = b""
        self._chunk_left_bytes = 0
        self._signature = ""
        self._trailer_bytes = 0
        self._trailer_text: list[bytes] = []
        self._trailer_signature: str | None = None
        self._done = False

    def feed(self, data: bytes) -> list[Piece]:
        """The payload in `data`, as slices of it. Raises MalformedBody, IncompleteBody, ChunkSignatureMismatch."""
        if self._unparsed:
            data, self._unparsed = self._unparsed + data, b""
        pieces: list[Piece] = []
        view = memoryview(data)
        position, end = 0, len(data)
        while position < end:
            if self._chunk_left_bytes:
                piece = view[position : position + self._chunk_left_bytes]
                position += len(piece)
                self._take(piece)
                pieces.append(piece)
                continue
            # No further than a line may be long: else it would depend on the network's cuts whether a longer one is taken.
            line_end = data.find(b"\n", position, position + _LINE_LIMIT_BYTES + 1)
            if line_end < 0:
                self._keep(data[position:])
                break
            self._state(data[position : line_end + 1])
            position = line_end + 1
        return pieces

    def finish(self) -> None:
        """The raw body has ended. Raises IncompleteBody where the payload or the framing stops short of its end."""
        if not self._done:
            raise IncompleteBody(self._size_bytes, self._decoded_bytes)

    # --- one line of framing after the other; each method is the state in which its line is expected ---------------------------

    def _size_line(self, line: bytes) -> None:
        size_text, separator, extension = _without_crlf(line).partition(b";")
        size = _hex_size(size_text)
        self._signature = self._signature_of(separator, extension)
        if self._decoded_bytes + size > self._size_bytes:
            raise IncompleteBody(self._size_bytes, self._decoded_bytes + size)
        self._chunk_left_bytes = size
        if size:
            self._state = self._chunk_end
            return
        if self._decoded_bytes != self._size_bytes:
            raise IncompleteBody(self._size_bytes, self._decoded_bytes)
        if self._verifier is not None:
            self._verifier.check_chunk(self._signature)
        self._state = self._trailer_line

    def _chunk_end(self, line: bytes) -> None:
        if line != b"\r\n":
            raise MalformedBody("a chunk is longer than its size says")
        if self._verifier is not None:
            self._verifier.check_chunk(self._signature)
        self._state = self._size_line

    def _trailer_line(self, line: bytes) -> None:
        self._trailer_bytes += len(line)
        if self._trailer_bytes > _TRAILER_LIMIT_BYTES:
            raise MalformedTrailer("the trailer is too long")
        if line == b"\r\n":
            self._end_trailer()
            return
        # Some signers end a trailing header with LF alone, as AWS' own example does.
        name, value = _trailing_header(line.removesuffix(b"\n").removesuffix(b"\r"))
        if self._trailer_signature is not None:
            raise MalformedTrailer("a trailing header follows the trailer's signature")
        if self._signed_trailer and name == _TRAILER_SIGNATURE:
            self._trailer_signature = value
            return
        if name not in self._announced or name in self.trailers:
            raise MalformedTrailer(f"the trailing header {name!r} was not announced, or comes twice")
        self.trailers[name] = value
        self._trailer_text.append(f"{name}:{value}\n".encode("latin-1"))

    def _after_end(self, line: bytes) -> None:
        raise MalformedBody(f"{len(line)} bytes follow the end of the body")

    # --- helpers ---------------------------------------------------------------------------------------------------------------

    def _take(self, piece: memoryview) -> None:
        self._chunk_left_bytes -= len(piece)
        self._decoded_bytes += len(piece)
        if self._verifier is not None:
            self._verifier.update(piece)

    def _keep(self, rest: bytes) -> None:
        """Part of a line. What can no longer become one is refused now: nothing grows while a client dawdles."""
        if self._done:
            self._after_end(rest)
        if len(rest) > _LINE_LIMIT_BYTES or (self._state == self._chunk_end and rest != b"\r"):
            kind = MalformedTrailer if self._state == self._trailer_line else MalformedBody
            raise kind("a line of the chunk framing does not end")
        self._unparsed = rest

    def _signature_of(self, separator: bytes, extension: bytes) -> str:
        if self._verifier is None:
            if separator:
                raise MalformedBody("an unsigned chunk has an extension")
            return ""
        signature = extension.removeprefix(_SIGNATURE)
        if not extension.startswith(_SIGNATURE) or not signature.isalnum():
            raise MalformedBody("a signed chunk has no chunk-signature")
        return signature.decode("ascii")

    def _end_trailer(self) -> None:
        missing = self._announced - self.trailers.keys()
        if missing:
            raise MalformedTrailer(f"announced trailing headers are missing: {', '.join(sorted(missing))}")
        if self._signed_trailer:
            if self._trailer_signature is None:
                raise MalformedTrailer("the trailer has no x-amz-trailer-signature")
            if self._verifier is not None:
                self._verifier.check_trailer(b"".join(self._trailer_text), self._trailer_signature)
        self._done = True
        self._state = self._after_end


def _without_crlf(line: bytes) -> bytes:
    if not line.endswith(b"\r\n"):
        raise MalformedBody("a line of the chunk framing does not end in CRLF")
    return line[:-2]


def _hex_size(text: bytes) -> int:
    # int() alone would take "0x10", "1_0", " 5" and "-5".
    if not 1 <= len(text) <= 16 or text.strip(b"0123456789abcdefABCDEF"):
        raise MalformedBody(f"{text[:32]!r} is no chunk size")
    return int(text, 16)


def _trailing_header(line: bytes) -> tuple[str, str]:
    name, separator, value = line.partition(b":")
    if not separator or not name or name != name.strip() or b"\r" in value:
        raise MalformedTrailer(f"{line[:64]!r} is no trailing header")
    return name.decode("latin-1").lower(), value.strip().decode("latin-1")
