"""Writes of unknown outcome are asked about until the ledger answers."""

from __future__ import annotations

import pytest

from s3o_proxy.domain.errors import MetadataUnavailable
from s3o_proxy.domain.forsaken import Forsaken


async def test_what_is_settled_is_not_asked_about_again() -> None:
    forsaken, asked = Forsaken(), []

    async def settle() -> None:
        asked.append("once")

    forsaken.add("write-1", settle)
    assert await forsaken.settle_all() == 1
    assert await forsaken.settle_all() == 0
    assert asked == ["once"]


async def test_what_cannot_be_settled_now_is_asked_about_later() -> None:
    forsaken, away = Forsaken(), [True]

    async def settle() -> None:
        if away.pop():
            raise MetadataUnavailable("away")

    away.insert(0, False)
    forsaken.add("write-1", settle)
    with pytest.raises(MetadataUnavailable):
        await forsaken.settle_all()
    assert len(forsaken) == 1
    assert await forsaken.settle_all() == 1
    assert len(forsaken) == 0


async def test_one_that_cannot_be_settled_keeps_no_other_from_it() -> None:
    forsaken, asked = Forsaken(), list[str]()

    async def never() -> None:
        raise MetadataUnavailable("its batch is refused")

    async def settle() -> None:
        asked.append("settled")

    forsaken.add("write-1", never)
    forsaken.add("write-2", settle)
    with pytest.raises(MetadataUnavailable, match="refused"):
        await forsaken.settle_all()
    assert (asked, len(forsaken)) == (["settled"], 1)


async def test_what_is_forsaken_again_while_it_is_settled_is_settled_again() -> None:
    forsaken, asked = Forsaken(), list[str]()

    async def second() -> None:
        asked.append("second")

    async def first() -> None:
        asked.append("first")
        forsaken.add("write-1", second)

    forsaken.add("write-1", first)
    await forsaken.settle_all()
    assert len(forsaken) == 1
    await forsaken.settle_all()
    assert (asked, len(forsaken)) == (["first", "second"], 0)
