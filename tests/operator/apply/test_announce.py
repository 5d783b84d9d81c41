"""Events are told at a pace that leaves the API server to the work."""

from __future__ import annotations

import pytest

from s3o_operator.apply.announce import Turns


def test_a_few_go_at_once_and_a_flood_goes_in_turn() -> None:
    turns = Turns(per_second=10, at_once=3)
    assert [turns.wait_s(100.0) for _ in range(5)] == pytest.approx([0, 0, 0, 0.1, 0.2])


def test_whoever_was_quiet_for_a_while_may_go_at_once_again() -> None:
    turns = Turns(per_second=10, at_once=3)
    for _ in range(5):
        turns.wait_s(100.0)
    assert [turns.wait_s(101.0) for _ in range(4)] == pytest.approx([0, 0, 0, 0.1])
