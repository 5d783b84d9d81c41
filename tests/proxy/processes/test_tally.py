"""Who has more connections than another leaves the next one to that one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import pytest

from s3o_proxy.processes.tally import Tally, slots_bytes


@pytest.fixture
def tallies() -> Iterator[list[Tally]]:
    with tempfile.TemporaryFile() as shared:
        shared.truncate(slots_bytes(3))
        made = [Tally(shared.fileno(), number) for number in range(3)]
        for tally in made:
            tally.open()
        yield made


def yielding(tallies: list[Tally]) -> list[bool]:
    return [tally.has_more_than_another() for tally in tallies]


def test_with_as_many_as_the_others_anybody_may_take_the_next(tallies: list[Tally]) -> None:
    assert yielding(tallies) == [False, False, False]
    for tally in tallies:
        tally.entered()
    assert yielding(tallies) == [False, False, False]


def test_one_more_than_another_is_enough(tallies: list[Tally]) -> None:
    tallies[0].entered()
    assert yielding(tallies) == [True, False, False]
    tallies[1].entered()
    assert yielding(tallies) == [True, True, False]
    tallies[0].left()
    tallies[1].left()
    assert yielding(tallies) == [False, False, False]


def test_nobody_leaves_anything_to_one_that_takes_none(tallies: list[Tally]) -> None:
    tallies[0].entered()
    tallies[1].close()
    tallies[0].absent(2)
    assert not tallies[0].has_more_than_another()
    tallies[1].left()
    tallies[1].entered()
    assert not tallies[0].has_more_than_another(), "counting made it present again"
    tallies[2].open()
    assert tallies[0].has_more_than_another()
