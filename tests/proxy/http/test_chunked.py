"""aws-chunked bodies: whatever way they are cut on the wire, and whatever is broken in them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.chunks import ChunkSigner, frame

from s3o_proxy.auth.chunk_signature import ChunkSignatures
from s3o_proxy.domain.errors import BodyError, ChunkSignatureMismatch, IncompleteBody, MalformedBody, MalformedTrailer
from s3o_proxy.domain.signing_key import SigningKey
from s3o_proxy.http.chunked import ChunkedDecoder

KEY = bytes(range(32))
SEED = "5" * 64
CRC = ("x-amz-checksum-crc32", "AAAAAA==")
NAMES = frozenset({CRC[0]})

chunk_lists = st.lists(st.binary(min_size=1, max_size=40), max_size=5)


def signer() -> ChunkSigner:
    return ChunkSigner(KEY, SEED)


def verifier() -> ChunkSignatures:
    of = signer()
    return ChunkSignatures(SigningKey(KEY), of.amz_time, of.scope, SEED)


def decode(decoder: ChunkedDecoder, wire: bytes, cuts: list[int]) -> bytes:
    edges = sorted({0, len(wire), *(cut % (len(wire) + 1) for cut in cuts)})
    payload = b"".join(b"".join(decoder.feed(wire[start:end])) for start, end in pairwise(edges))
    decoder.finish()
    return payload


@given(chunk_lists, st.lists(st.integers(0, 10_000), max_size=12))
def test_unsigned_chunks_with_a_trailer_in_any_cut(chunks: list[bytes], cuts: list[int]) -> None:
    payload = b"".join(chunks)
    decoder = ChunkedDecoder(len(payload), NAMES, None)
    assert decode(decoder, frame(chunks, [CRC]), cuts) == payload
    assert decoder.trailers == dict([CRC])


@given(chunk_lists, st.lists(st.integers(0, 10_000), max_size=12))
def test_signed_chunks_in_any_cut(chunks: list[bytes], cuts: list[int]) -> None:
    payload = b"".join(chunks)
    assert decode(ChunkedDecoder(len(payload), frozenset(), verifier()), frame(chunks, signer=signer()), cuts) == payload


@given(chunk_lists, st.lists(st.integers(0, 10_000), max_size=12))
def test_signed_chunks_with_a_signed_trailer_in_any_cut(chunks: list[bytes], cuts: list[int]) -> None:
    payload = b"".join(chunks)
    decoder = ChunkedDecoder(len(payload), NAMES, verifier(), signed_trailer=True)
    assert decode(decoder, frame(chunks, [CRC], signer(), sign_trailer=True), cuts) == payload
    assert decoder.trailers == dict([CRC])


@given(chunk_lists, st.data())
def test_any_changed_byte_of_a_signed_body_is_noticed(chunks: list[bytes], data: st.DataObject) -> None:
    wire = bytearray(frame(chunks, [CRC], signer(), sign_trailer=True))
    at = data.draw(st.integers(0, len(wire) - 1))
    wire[at] ^= data.draw(st.integers(1, 255))
    decoder = ChunkedDecoder(sum(map(len, chunks)), NAMES, verifier(), signed_trailer=True)
    try:
        payload = decode(decoder, bytes(wire), [])
    except BodyError:
        return
    # What may differ without a change of meaning: the case of a hex size or of a trailer's name.
    assert payload == b"".join(chunks)
    assert decoder.trailers == dict([CRC])


@given(chunk_lists, st.integers(1, 10_000))
def test_a_body_that_breaks_off_is_incomplete(chunks: list[bytes], missing: int) -> None:
    wire = frame(chunks, [CRC])
    decoder = ChunkedDecoder(sum(map(len, chunks)), NAMES, None)
    with pytest.raises(IncompleteBody):
        decode(decoder, wire[: max(0, len(wire) - missing)], [])


@given(st.binary(max_size=200), st.integers(0, 50))
def test_bytes_that_are_no_framing_are_a_body_error(garbage: bytes, size: int) -> None:
    with pytest.raises(BodyError):
        decode(ChunkedDecoder(size, NAMES, None), garbage, [1, 7])


def test_trailing_headers_may_end_in_lf_alone() -> None:
    """As AWS' own example of a signed trailer is written, and minio-go sends it."""
    decoder = ChunkedDecoder(3, NAMES, None)
    assert decode(decoder, b"3\r\nabc\r\n0\r\n" + f"{CRC[0]}: {CRC[1]}\n".encode() + b"\r\n", []) == b"abc"
    assert decoder.trailers == dict([CRC])


@pytest.mark.parametrize(
    "wire",
    [
        b"3\r\nabc\r\n0\r\n\r\nmore",  # bytes behind the end
        b"3\r\nabc\r\n0\r\n\r\n\r\n",
        b"3\nabc\r\n0\r\n\r\n",  # line feeds alone
        b"3\r\nabc\n0\r\n\r\n",
        b"3\r\nabcd\r\n0\r\n\r\n",  # longer than it says
        b"0x3\r\nabc\r\n0\r\n\r\n",
        b" 3\r\nabc\r\n0\r\n\r\n",
        b"+3\r\nabc\r\n0\r\n\r\n",
        b"-3\r\nabc\r\n0\r\n\r\n",
        b"\r\nabc\r\n0\r\n\r\n",
        b"00000000000000003\r\nabc\r\n0\r\n\r\n",
        b"3;chunk-signature=" + b"0" * 64 + b"\r\nabc\r\n0\r\n\r\n",  # signed, where nobody checks it
        b"3" * 100_000,  # a line that does not end
        b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n",  # not announced
        b"3\r\nabc\r\n0\r\nno header\r\n\r\n",
        b"3\r\nabc\r\n0\r\n:value\r\n\r\n",
        b"3\r\nabc\r\n0\r\n" + b"x" * 20_000 + b"\r\n\r\n",
    ],
)
def test_framing_that_is_refused(wire: bytes) -> None:
    with pytest.raises(MalformedBody):
        decode(ChunkedDecoder(3, frozenset(), None), wire, [])


@pytest.mark.parametrize(
    "trailer",
    [
        [],  # announced, and not sent
        [CRC, CRC],
        [CRC, ("x-amz-meta-a", "b")],
        [("x-amz-checksum-sha1", "AAAAAA==")],
        [CRC, ("x-amz-trailer-signature", "0" * 64)],  # a signature where none is due
    ],
)
def test_trailers_that_were_not_announced_so(trailer: list[tuple[str, str]]) -> None:
    with pytest.raises(MalformedTrailer):
        decode(ChunkedDecoder(3, NAMES, None), frame([b"abc"], trailer), [])


@pytest.mark.parametrize(("promised", "chunks"), [(2, [b"abc"]), (4, [b"abc"]), (0, [b"abc"]), (5, [b"abc", b"def"])])
def test_another_length_than_promised(promised: int, chunks: list[bytes]) -> None:
    with pytest.raises(IncompleteBody):
        decode(ChunkedDecoder(promised, frozenset(), None), frame(chunks), [])


@pytest.mark.parametrize("signature", ["invalid", "0" * 63, "0" * 65, "F" * 64])
def test_a_signature_of_another_length_is_a_wrong_one(signature: str) -> None:
    with pytest.raises(ChunkSignatureMismatch):
        decode(ChunkedDecoder(3, frozenset(), verifier()), f"3;chunk-signature={signature}\r\nabc\r\n".encode(), [])


@pytest.mark.parametrize("size", [0, 3])
def test_a_signed_chunk_without_its_signature(size: int) -> None:
    with pytest.raises(MalformedBody):
        decode(ChunkedDecoder(size, frozenset(), verifier()), frame([b"abc"] if size else []), [])


def test_chunks_in_another_order_do_not_verify() -> None:
    of = signer()
    first, second = of.chunk(b"one"), of.chunk(b"two")
    last = of.chunk(b"")
    wire = f"3;chunk-signature={second}\r\ntwo\r\n3;chunk-signature={first}\r\none\r\n0;chunk-signature={last}\r\n\r\n".encode()
    with pytest.raises(ChunkSignatureMismatch):
        decode(ChunkedDecoder(6, frozenset(), verifier()), wire, [])


def test_a_signed_body_that_leaves_out_its_last_chunks_does_not_verify() -> None:
    of = signer()
    wire = f"3;chunk-signature={of.chunk(b'one')}\r\none\r\n".encode()
    with pytest.raises(ChunkSignatureMismatch):
        decode(ChunkedDecoder(3, frozenset(), verifier()), wire + f"0;chunk-signature={'0' * 64}\r\n\r\n".encode(), [])


def test_a_trailer_must_be_signed_and_its_signature_must_be_the_last() -> None:
    unsigned = frame([b"abc"], [CRC], signer())
    with pytest.raises(MalformedBody):
        decode(ChunkedDecoder(3, NAMES, verifier(), signed_trailer=True), unsigned, [])
    signed = frame([b"abc"], [CRC], signer(), sign_trailer=True)
    forged = signed.replace(CRC[1].encode(), b"BBBBBB==")
    with pytest.raises(ChunkSignatureMismatch):
        decode(ChunkedDecoder(3, NAMES, verifier(), signed_trailer=True), forged, [])
    late = signed[:-2] + b"x-amz-checksum-sha1:AAAA\r\n\r\n"
    with pytest.raises(MalformedBody):
        decode(ChunkedDecoder(3, NAMES | {"x-amz-checksum-sha1"}, verifier(), signed_trailer=True), late, [])


@pytest.mark.parametrize("cuts", [[], [900]], ids=["whole", "cut"])
def test_a_trailing_header_is_too_long_however_it_is_cut(cuts: list[int]) -> None:
    def wire(size_bytes: int) -> bytes:
        return b"0\r\nx:" + b"y" * (size_bytes - 2) + b"\r\n\r\n"

    decode(ChunkedDecoder(0, frozenset({"x"}), None), wire(1023), cuts)
    with pytest.raises(MalformedTrailer):
        decode(ChunkedDecoder(0, frozenset({"x"}), None), wire(1024), cuts)
