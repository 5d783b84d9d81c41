"""The plan of a drain, and the reason of one that stands still."""

from __future__ import annotations

from collections import Counter

import pytest

from s3o_proxy.domain.drain import available_bytes, plan_drain, why_stalled
from s3o_proxy.domain.model import Usage
from s3o_proxy.domain.moving import Outcome
from s3o_proxy.domain.operation import Flow, Plan
from s3o_proxy.domain.placement import Candidate, Strategy
from s3o_proxy.metadata.port import Weight


def a_backend(name: str, quota: int | None = None, *, accepts: bool = True, largest: int | None = None) -> Candidate:
    return Candidate(name, accepts, quota, largest)


def objects(count: int, size: int, *others: str) -> Weight:
    return Weight(frozenset(others), count, count * size, size)


def plan(
    groups: list[Weight], *backends: Candidate, strategy: Strategy = "Pack", held: dict[str, int] | None = None, closed: str = ""
) -> Plan:
    usage = {name: Usage(name, used_bytes=size) for name, size in (held or {}).items()}
    return plan_drain("old", groups, [a_backend("old"), *backends], {closed}, usage, strategy)


def test_the_first_that_has_room_takes_all_when_backends_are_packed() -> None:
    found = plan([objects(10, 7)], a_backend("b", 100), a_backend("c", 100))
    assert found == Plan(10, 70, 21, True, 70, 200, {"old": Flow(bytes_out=70, calls=11), "b": Flow(bytes_in=70, calls=10)})


def test_what_does_not_fit_into_the_first_goes_to_the_next() -> None:
    found = plan([objects(10, 10)], a_backend("b", 45), a_backend("c", 100))
    assert (found.backends["b"], found.backends["c"]) == (Flow(bytes_in=40, calls=4), Flow(bytes_in=60, calls=6))
    assert found.fits


def test_spread_fills_by_ratio() -> None:
    found = plan([objects(60, 10)], a_backend("b", 1000), a_backend("c", 2000), strategy="Spread", held={"b": 100, "c": 200})
    assert found.backends["b"].bytes_in == pytest.approx(200, abs=20)
    assert found.backends["c"].bytes_in == pytest.approx(400, abs=20)


def test_too_little_room_does_not_fit_and_both_figures_say_so() -> None:
    found = plan([objects(10, 10)], a_backend("b", 90), held={"b": 20})
    assert (found.fits, found.required_bytes, found.available_bytes) == (False, 100, 70)
    assert found.backends["b"].bytes_in == 70


def test_room_in_crumbs_takes_no_object() -> None:
    assert not plan([objects(1, 50)], a_backend("b", 30), a_backend("c", 30)).fits


def test_the_largest_object_must_be_allowed() -> None:
    assert not plan([objects(3, 50)], a_backend("b", largest=49)).fits
    assert plan([objects(3, 50)], a_backend("b", largest=49), a_backend("c")).backends["c"].bytes_in == 150


def test_no_two_copies_of_an_object_come_to_lie_on_one_backend() -> None:
    found = plan([objects(4, 10, "b"), objects(1, 10)], a_backend("b"), a_backend("c"))
    assert (found.backends["c"].bytes_in, found.backends["b"].bytes_in) == (40, 10)
    assert not plan([objects(4, 10, "b")], a_backend("b")).fits


def test_cordoned_and_fenced_backends_take_nothing() -> None:
    found = plan([objects(1, 10)], a_backend("b", accepts=False), a_backend("c"), closed="c")
    assert (found.fits, found.available_bytes) == (False, 0)


def test_an_empty_backend_needs_nothing() -> None:
    assert plan([], a_backend("b", 10)) == Plan(0, 0, 0, True, 0, 10, {"old": Flow()})


def test_a_million_objects_of_no_size_are_planned_too() -> None:
    assert plan([objects(10**6, 0)], a_backend("b", 10)).backends["b"] == Flow(bytes_in=0, calls=10**6)


def test_without_a_quota_there_is_no_figure_for_what_is_available() -> None:
    assert available_bytes([a_backend("b", 10), a_backend("c")], {}) is None
    assert available_bytes([a_backend("b", 10)], {"b": Usage("b", used_bytes=15)}) == 0


def test_the_reason_is_that_of_most_objects() -> None:
    assert why_stalled(Counter[Outcome](["too_large", "no_room", "no_room"])) == "InsufficientCapacity"
    assert why_stalled(Counter[Outcome](["moved", "moved", "unreachable"])) == "BackendUnreachable"
    assert why_stalled(Counter[Outcome](["moved", "superseded"])) is None
