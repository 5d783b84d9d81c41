"""aws-chunked bodies whose framing, signatures or trailers are wrong, and HTTP's own chunks."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType

from tests.probe.malformed.case import KEPT, NEW, Build, Case, head, named
from tests.probe.malformed.scene import MAX_OBJECT_BYTES, Scene, chunk_signer, sign
from tests.support.chunks import ChunkSigner, frame

UNSIGNED = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"

DATA = b"hello world"
CRC32 = ("x-amz-checksum-crc32", base64.b64encode(zlib.crc32(DATA).to_bytes(4, "big")).decode())
_WRONG_CRC32 = ("x-amz-checksum-crc32", "AAAAAA==")
_INCOMPLETE = (400, "IncompleteBody")
_TRAILER = (400, "MalformedTrailerError")
_MISMATCH = (403, "SignatureDoesNotMatch")
_NO_LENGTH = (411, "MissingContentLength")

Wire = Callable[[ChunkSigner], bytes]


def cases() -> list[Case]:
    return [
        *named("chunk size line", _size_lines()),
        *named("chunk ends", _ends()),
        *named("chunks cut short", _cuts()),
        *named("decoded length", _decoded_lengths()),
        *named("trailer", _trailers()),
        *named("chunk signature", _signatures()),
        *named("trailer signature", _trailer_signatures()),
        *named("HTTP's chunks", _http_chunks()),
    ]


def chunked(
    wire: bytes | Wire,
    mode: str = UNSIGNED,
    *,
    target: str = KEPT,
    decoded: str | None = str(len(DATA)),
    trailer: str = "",
    over_http: bool = False,
    more: Mapping[str, str] = MappingProxyType({}),
) -> Build:
    """A PUT of a body that is framed as `wire` says; a function gets the signer of its chunks."""

    def build(scene: Scene) -> bytes:
        optional = {"x-amz-decoded-content-length": decoded, "x-amz-trailer": trailer or None}
        headers = {"Content-Encoding": "aws-chunked"} | {name: value for name, value in optional.items() if value is not None} | dict(more)
        path = scene.fill(target)
        signed = sign(scene, "PUT", path, headers, mode)
        body = wire if isinstance(wire, bytes) else wire(chunk_signer(scene, signed))
        if over_http:
            return head("PUT", path, signed | {"Transfer-Encoding": "chunked"}) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        return head("PUT", path, signed | {"Content-Length": str(len(body))}) + body

    return build


# --- without signatures -------------------------------------------------------------------------------------------------------------


def _size_lines() -> list[Case]:
    lines = (
        "",
        "0xb",
        "-b",
        "+b",
        " b",
        "b ",
        "b;",
        "b;ext=1",
        f"b;chunk-signature={'0' * 64}",
        "g",
        "b_",
        "11.",
        "00000000000000000b",
        "\u0662",
        "b\r",
        "b\0",
        "B" * 17,
    )
    found = [
        Case(f"{line!r}{', over HTTP chunks' if over_http else ''}", chunked(_one_chunk(line.encode()), over_http=over_http), *_INCOMPLETE)
        for line in lines
        for over_http in (False, True)
    ]
    return [
        *found,
        Case("without end", chunked(b"b" * 5000), *_INCOMPLETE),
        Case("far too large", chunked(_one_chunk(b"f" * 15)), *_INCOMPLETE),
    ]


def _one_chunk(size_line: bytes) -> bytes:
    return size_line + b"\r\n" + DATA + b"\r\n0\r\n\r\n"


def _ends() -> list[Case]:
    wires = {
        "line feeds alone": frame([DATA]).replace(b"\r\n", b"\n"),
        "carriage returns alone": frame([DATA]).replace(b"\r\n", b"\r"),
        "nothing behind the data": b"b\r\n" + DATA + b"0\r\n\r\n",
        "a line feed behind the data": b"b\r\n" + DATA + b"\n0\r\n\r\n",
        "one byte more than it says": b"b\r\n" + DATA + b"!\r\n0\r\n\r\n",
        "one byte less than it says": b"b\r\n" + DATA[1:] + b"\r\n0\r\n\r\n",
        "bytes behind the end": frame([DATA]) + b"more",
        "another body behind the end": frame([DATA]) * 2,
        "an empty chunk in the middle": b"5\r\nhello\r\n0\r\n\r\n6\r\n world\r\n0\r\n\r\n",
        "the plain bytes": DATA,
        "nothing": b"",
        "line ends alone": b"\r\n" * 10,
        "zeros": bytes(100),
    }
    return [Case(name, chunked(wire, target=NEW), *_INCOMPLETE) for name, wire in wires.items()]


def _cuts() -> list[Case]:
    """Every beginning of a good body, as a body that claims to be whole."""
    wire = frame([DATA[:5], DATA[5:]], [CRC32])
    return [Case(f"after {size} bytes", chunked(wire[:size], trailer=CRC32[0]), *_INCOMPLETE) for size in range(1, len(wire) - 1)]


def _decoded_lengths() -> list[Case]:
    found = [Case(f"{size} for {len(DATA)}", chunked(frame([DATA]), decoded=str(size)), *_INCOMPLETE) for size in (0, 1, 10, 12, 5_000_000)]
    found += [
        Case(repr(text), chunked(frame([DATA]), decoded=text), *_NO_LENGTH) for text in ("", "-1", "eleven", "1e1", "0xb", "11.0", "9" * 30)
    ]
    found += [
        Case("none", chunked(frame([DATA]), decoded=None), *_NO_LENGTH),
        Case("none, over HTTP's chunks", chunked(frame([DATA]), decoded=None, over_http=True), *_NO_LENGTH),
        Case("too large for the endpoint", chunked(frame([DATA]), decoded=str(MAX_OBJECT_BYTES + 1)), 400, "EntityTooLarge"),
        Case("too large for S3", chunked(frame([DATA]), decoded=str(5 * 1024**3 + 1)), 400, "EntityTooLarge"),
    ]
    return found


def _trailers() -> list[Case]:
    announced = CRC32[0]
    sha1 = ("x-amz-checksum-sha1", base64.b64encode(bytes(20)).decode())
    lines = {
        "not announced": ([CRC32], "", *_TRAILER),
        "announced and not sent": ([], announced, *_TRAILER),
        "another than announced": ([sha1], announced, *_TRAILER),
        "one more than announced": ([CRC32, sha1], announced, *_TRAILER),
        "twice": ([CRC32, CRC32], announced, *_TRAILER),
        "metadata": ([CRC32, ("x-amz-meta-a", "b")], announced, *_TRAILER),
        "a signature that is not due": ([CRC32, ("x-amz-trailer-signature", "0" * 64)], announced, *_TRAILER),
        "no name": ([("", "AAAAAA==")], announced, *_TRAILER),
        "a space before the colon": ([(CRC32[0] + " ", CRC32[1])], announced, *_TRAILER),
        "far too long": ([(CRC32[0], "A" * 20_000)], announced, *_TRAILER),
        "of other bytes": ([_WRONG_CRC32], announced, 400, "BadDigest"),
        "no base64": ([(CRC32[0], "not=base-64")], announced, 400, "InvalidRequest"),
        "of another length": ([(CRC32[0], "AAAA")], announced, 400, "InvalidRequest"),
        "empty": ([(CRC32[0], "")], announced, 400, "InvalidRequest"),
    }
    found = [
        Case(name, chunked(frame([DATA], trailer), trailer=announced), status, code)
        for name, (trailer, announced, status, code) in lines.items()
    ]
    unreadable = (
        "content-md5",
        "x-amz-content-sha256",
        "x-amz-checksum-crc16",
        "x-amz-meta-a",
        f"{announced},x-amz-checksum-sha1",
        f",{announced}",
    )
    behind_an_empty_line = frame([DATA]) + f"{CRC32[0]}:{CRC32[1]}\r\n".encode()
    return [
        *found,
        *[Case(f"announced as {name}", chunked(frame([DATA], [CRC32]), trailer=name), 400, "InvalidRequest") for name in unreadable],
        Case("no colon", chunked(frame([DATA])[:-2] + b"nonsense\r\n\r\n", trailer=announced), *_TRAILER),
        Case("behind an empty line", chunked(behind_an_empty_line, trailer=announced), *_TRAILER),
        Case("a later S3's", chunked(frame([DATA]), trailer="x-amz-checksum-sha512"), 501, "NotImplemented"),
        Case("and a header", chunked(frame([DATA], [CRC32]), trailer=announced, more=dict([CRC32])), 400, "InvalidRequest"),
    ]


# --- with signatures ----------------------------------------------------------------------------------------------------------------


def _signed(signer: ChunkSigner) -> bytes:
    return frame([DATA[:5], DATA[5:]], signer=signer)


def _signatures() -> list[Case]:
    wrong = {
        "zeros": ("0" * 64, _MISMATCH),
        "nothing": ("", _INCOMPLETE),
        "a word": ("invalid", _MISMATCH),
        "two digits more": ("0" * 66, _MISMATCH),
        "a parameter behind it": ("0" * 64 + ";extra=1", _INCOMPLETE),
    }
    changed: dict[str, Callable[[bytes], bytes]] = {
        "another name": lambda wire: wire.replace(b"chunk-signature", b"chunk-signatura"),
        "no last chunk": lambda wire: wire.rpartition(b"0;")[0],
    }
    mismatched: dict[str, tuple[Callable[[bytes], bytes], int]] = {
        "of other bytes": (lambda wire: wire.replace(b"world", b"w0rld"), 11),
        "of chunks that were cut anew": (lambda wire: wire.replace(b"5;", b"4;").replace(b"hello\r\n", b"hell\r\n"), 10),
        "the first chunk left out": (lambda wire: wire.partition(b"hello\r\n")[2], 6),
    }
    return [
        *[
            Case(f"{name} on chunk {number}", _resigned(_at(number, text)), *answer)
            for number in range(3)
            for name, (text, answer) in wrong.items()
        ],
        *[Case(name, _changed(change), *_INCOMPLETE) for name, change in changed.items()],
        *[Case(name, _changed(change, size), *_MISMATCH) for name, (change, size) in mismatched.items()],
        Case("exchanged", _resigned(lambda good: [good[1], good[0], good[2]]), *_MISMATCH),
        Case("the same for all", _resigned(lambda good: [good[0]] * 3), *_MISMATCH),
        Case("none", chunked(frame([DATA]), SIGNED), *_INCOMPLETE),
        Case("by another key", chunked(lambda signer: _signed(_other(signer, key=b"k" * 32)), SIGNED), *_MISMATCH),
        Case("behind another head", chunked(lambda signer: _signed(_other(signer, seed="0" * 64)), SIGNED), *_MISMATCH),
        Case("and a trailer", chunked(lambda signer: frame([DATA], [CRC32], signer), SIGNED), *_TRAILER),
    ]


def _at(number: int, text: str) -> Callable[[list[str]], list[str]]:
    return lambda signatures: [*signatures[:number], text, *signatures[number + 1 :]]


def _other(signer: ChunkSigner, *, key: bytes = b"", seed: str = "") -> ChunkSigner:
    return ChunkSigner(key or signer.key, seed or signer.seed, signer.amz_time, signer.scope)


def _changed(change: Callable[[bytes], bytes], decoded_bytes: int = len(DATA)) -> Build:
    """A good signed body, changed on its way."""
    return chunked(lambda signer: change(_signed(signer)), SIGNED, decoded=str(decoded_bytes))


def _resigned(change: Callable[[list[str]], list[str]]) -> Build:
    """The three signatures of a good body, changed before they are sent."""

    def wire(signer: ChunkSigner) -> bytes:
        chunks = [DATA[:5], DATA[5:], b""]
        signatures = change([signer.chunk(chunk) for chunk in chunks])
        pairs = zip(chunks, signatures, strict=True)
        lines = [f"{len(chunk):x};chunk-signature={signature}\r\n".encode() + chunk for chunk, signature in pairs]
        return b"\r\n".join(lines) + b"\r\n"

    return chunked(wire, SIGNED)


def _trailer_signatures() -> list[Case]:
    def with_trailer(change: Callable[[bytes], bytes] = bytes, *, sign_trailer: bool = True, key: bytes = b"") -> Build:
        def wire(signer: ChunkSigner) -> bytes:
            good = frame([DATA], [CRC32], signer, sign_trailer=sign_trailer)
            return change(good)

        return chunked(wire, SIGNED_TRAILER, trailer=CRC32[0])

    def resigned(wire: bytes) -> bytes:
        return wire[:-68] + b"0" * 64 + wire[-4:]

    return [
        Case("none", with_trailer(sign_trailer=False), *_TRAILER),
        Case("zeros", with_trailer(resigned), *_MISMATCH),
        Case("of another value", with_trailer(lambda wire: wire.replace(CRC32[1].encode(), b"AAAAAA==")), *_MISMATCH),
        Case("a trailer behind it", with_trailer(lambda wire: wire[:-2] + b"x-amz-checksum-sha1:AAAA\r\n\r\n"), *_TRAILER),
        Case("twice", with_trailer(lambda wire: wire[:-2] + b"x-amz-trailer-signature:" + b"0" * 64 + b"\r\n\r\n"), *_TRAILER),
        Case("empty", with_trailer(lambda wire: wire[:-68] + wire[-4:]), *_MISMATCH),
    ]


# --- HTTP's chunks ------------------------------------------------------------------------------------------------------------------


def _http_chunks() -> list[Case]:
    """The coding below the framing: what the parser cannot follow ends the body and the connection."""
    wires = {
        "no size": b"\r\nhello\r\n0\r\n\r\n",
        "a size that is none": b"xyz\r\nhello\r\n0\r\n\r\n",
        "a negative size": b"-5\r\nhello\r\n0\r\n\r\n",
        "a size of 17 digits": b"f" * 17 + b"\r\nhello\r\n0\r\n\r\n",
        "more than it says": b"3\r\nhello\r\n0\r\n\r\n",
        "a bare line feed": b"5\nhello\n0\n\n",
    }

    def build(wire: bytes) -> Build:
        def with_head(scene: Scene) -> bytes:
            path = scene.fill(KEPT)
            headers = {"x-amz-decoded-content-length": "5"}
            return head("PUT", path, sign(scene, "PUT", path, headers, "UNSIGNED-PAYLOAD") | {"Transfer-Encoding": "chunked"}) + wire

        return with_head

    lengths = {
        "one byte more than promised": b"6\r\nhello!\r\n0\r\n\r\n",
        "one byte less than promised": b"4\r\nhell\r\n0\r\n\r\n",
        "nothing": b"0\r\n\r\n",
    }
    return [Case(name, build(wire), *_INCOMPLETE) for name, wire in (wires | lengths).items()]
