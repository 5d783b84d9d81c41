"""Who gives and who takes: by the strategy, within the quotas, and nobody both."""

from __future__ import annotations

import random

import pytest

from s3o_proxy.domain.model import Copy, Description, Digests, StoredObject, Usage
from s3o_proxy.domain.operation import Flow
from s3o_proxy.domain.placement import Candidate, Strategy
from s3o_proxy.domain.rebalance import plan_rebalance, shares, takers


def found(strategy: Strategy, *backends: tuple[str, int | None, int], closed: str = "") -> dict[str, tuple[int, int]]:
    """By name: what it gives and takes. Each backend: name, quota, bytes used."""
    candidates = [Candidate(name, True, quota, None) for name, quota, _ in backends]
    usage = {name: Usage(name, used_bytes=used, objects=10) for name, _, used in backends}
    return {name: (share.give, share.take) for name, share in shares(candidates, {closed}, usage, strategy).items()}


def stored(size: int, *backends: str) -> StoredObject:
    return StoredObject("b", "k", "w", size, "e", 0, Description(), Digests("h"), tuple(Copy(name, "k", size) for name in backends))


def test_spread_evens_out_the_ratio() -> None:
    assert found("Spread", ("a", 1000, 900), ("b", 1000, 0), ("c", 2000, 300)) == {"a": (600, 0), "b": (0, 300), "c": (0, 300)}


def test_spread_leaves_alone_what_is_even_enough() -> None:
    assert found("Spread", ("a", 1000, 505), ("b", 1000, 495)) == {"a": (0, 0), "b": (0, 0)}


def test_backends_without_a_quota_even_out_by_bytes_among_themselves() -> None:
    assert found("Spread", ("a", None, 900), ("b", None, 100), ("c", 1000, 999)) == {"a": (400, 0), "b": (0, 400), "c": (0, 0)}


def test_pack_fills_the_first_from_the_last() -> None:
    assert found("Pack", ("a", 1000, 800), ("b", 1000, 100), ("c", None, 150)) == {"a": (0, 200), "b": (50, 0), "c": (150, 0)}


def test_pack_without_a_quota_takes_everything() -> None:
    assert found("Pack", ("a", None, 0), ("b", 1000, 100), ("c", 1000, 150)) == {"a": (0, 250), "b": (100, 0), "c": (150, 0)}


def test_those_that_take_no_writes_take_no_part() -> None:
    assert found("Spread", ("a", 1000, 900), ("b", 1000, 100), ("c", 1000, 0), closed="c") == {"a": (400, 0), "b": (0, 400)}
    assert shares([Candidate("a", False, 10, None)], set(), {}, "Spread") == {}


@pytest.mark.parametrize("strategy", ["Spread", "Pack"])
@pytest.mark.parametrize("seed", range(30))
def test_nobody_gives_and_takes_and_nobody_takes_beyond_its_quota(strategy: Strategy, seed: int) -> None:
    chance = random.Random(seed)
    quotas = [chance.choice([None, chance.randrange(1, 10_000)]) for _ in range(chance.randrange(1, 7))]
    backends = [(f"b{n}", quota, chance.randrange((quota or 10_000) + 1)) for n, quota in enumerate(quotas)]
    for (name, quota, used), (give, take) in zip(backends, found(strategy, *backends).values(), strict=True):
        assert give == 0 or take == 0, name
        assert 0 <= give <= used
        assert quota is None or used + take <= quota


@pytest.mark.parametrize("strategy", ["Spread", "Pack"])
@pytest.mark.parametrize("seed", range(10))
def test_carried_out_to_the_byte_a_second_run_finds_nothing(strategy: Strategy, seed: int) -> None:
    chance = random.Random(seed)
    backends: list[tuple[str, int | None, int]] = [(f"b{n}", 10_000, chance.randrange(10_000)) for n in range(4)]
    first = found(strategy, *backends)
    after = [(name, quota, used - first[name][0] + first[name][1]) for name, quota, used in backends]
    assert set(found(strategy, *after).values()) == {(0, 0)}


def test_the_plan_has_the_figures_of_each_backend() -> None:
    usage = {"a": Usage("a", used_bytes=900, objects=9), "b": Usage("b"), "c": Usage("c", used_bytes=300, objects=3)}
    candidates = [Candidate("a", True, 1000, None), Candidate("b", True, 1000, None), Candidate("c", True, 2000, None)]
    plan = plan_rebalance(shares(candidates, set(), usage, "Spread"), usage)
    assert (plan.objects, plan.bytes, plan.fits, plan.calls) == (6, 600, True, 13)
    assert plan.backends == {"a": Flow(bytes_out=600, calls=7), "b": Flow(bytes_in=300, calls=3), "c": Flow(bytes_in=300, calls=3)}


def test_an_object_goes_where_it_fits_into_the_share_and_no_copy_lies() -> None:
    candidates = [Candidate("a", True, 1000, None), Candidate("b", True, 1000, 40), Candidate("c", True, 1000, None)]
    usage = {"a": Usage("a", used_bytes=900)}
    given = shares(candidates, set(), usage, "Spread")
    assert [each.name for each in takers(stored(40, "a"), given, "Spread")] == ["b", "c"]
    assert [each.name for each in takers(stored(41, "a"), given, "Spread")] == ["c"]
    assert takers(stored(41, "a", "c"), given, "Spread") == []
    assert takers(stored(301, "a"), given, "Spread") == []
