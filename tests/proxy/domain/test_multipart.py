"""Which finished parts make an object."""

from __future__ import annotations

import pytest

from s3o_proxy.domain.errors import InvalidPart, PartTooSmall
from s3o_proxy.domain.model import Digests, Part
from s3o_proxy.domain.multipart import FinishedPart, chosen_parts
from s3o_proxy.domain.placement import MIN_PART_BYTES


def part(number: int, size: int = MIN_PART_BYTES) -> Part:
    return Part(number, size, f"etag{number}", f"backend{number}", 0, Digests("hash", {"CRC32": f"crc{number}"}))


STORED = {1: part(1), 2: part(2), 7: part(7, 3)}


def test_parts_are_chosen_by_number_and_etag() -> None:
    assert chosen_parts([FinishedPart(1, "etag1"), FinishedPart(7, "etag7")], STORED) == (STORED[1], STORED[7])


@pytest.mark.parametrize("finished", [FinishedPart(3, "etag3"), FinishedPart(1, "other"), FinishedPart(1, "etag1", {"CRC32": "wrong"})])
def test_a_part_that_is_not_there_or_differs_is_invalid(finished: FinishedPart) -> None:
    with pytest.raises(InvalidPart) as refusal:
        chosen_parts([finished], STORED)
    assert refusal.value.part_number == finished.part_number


def test_a_checksum_that_a_part_does_not_have_cannot_be_promised() -> None:
    with pytest.raises(InvalidPart):
        chosen_parts([FinishedPart(1, "etag1", {"SHA256": "x"})], STORED)


def test_every_part_has_a_crc64nvme() -> None:
    assert chosen_parts([FinishedPart(1, "etag1", {"CRC64NVME": "hash"})], STORED) == (STORED[1],)
    with pytest.raises(InvalidPart):
        chosen_parts([FinishedPart(1, "etag1", {"CRC64NVME": "other"})], STORED)


def test_only_the_last_part_may_be_small() -> None:
    with pytest.raises(PartTooSmall, match=f"3 bytes; every part but the last needs {MIN_PART_BYTES}"):
        chosen_parts([FinishedPart(7, "etag7"), FinishedPart(2, "etag2")], STORED)
    assert chosen_parts([FinishedPart(7, "etag7")], STORED) == (STORED[7],)
