"""Who gives and who takes in one rebalance, by the strategy that places new objects.

The figures are decided before the first byte moves, and nobody gives and takes in one run: so a run ends, and the next one finds nothing to
do. Only backends that take new writes take part. What counts is what objects use: bytes that wait to be deleted are leaving by themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from s3o_proxy.domain.model import StoredObject, Usage
from s3o_proxy.domain.operation import Flow, Plan
from s3o_proxy.domain.placement import Candidate, Strategy, free_bytes

_SLACK_PERCENT = 1
"""A backend so close to its share is left alone: evening out the last bytes costs calls and gains nothing."""
_DELETES_PER_CALL = 1000


@dataclass(slots=True)
class Share:
    """What one backend may still give or take."""

    candidate: Candidate
    give: int = 0
    take: int = 0


def shares(candidates: Sequence[Candidate], closed: Collection[str], usage: Mapping[str, Usage], strategy: Strategy) -> dict[str, Share]:
    """By backend, in Pack order. `candidates` come in Pack order, too."""
    able = [Share(each) for each in candidates if each.accepts_writes and each.name not in closed]
    if strategy == "Pack":
        _pack(able, usage)
    else:
        _level([share for share in able if share.candidate.quota_bytes], usage)
        _level([share for share in able if share.candidate.quota_bytes is None], usage)
    return {share.candidate.name: share for share in able}


def plan_rebalance(found: Mapping[str, Share], usage: Mapping[str, Usage]) -> Plan:
    given, taken = sum(share.give for share in found.values()), sum(share.take for share in found.values())
    moves = min(given, taken)
    flows: dict[str, Flow] = {}
    for name, share in found.items():
        bytes_out, bytes_in = _part(share.give, moves, given), _part(share.take, moves, taken)
        if bytes_out:
            objects = _objects(bytes_out, usage.get(name, Usage(name)))
            flows[name] = Flow(bytes_out=bytes_out, calls=objects + -(-objects // _DELETES_PER_CALL))
        elif bytes_in:
            flows[name] = Flow(bytes_in=bytes_in)
    objects = sum(_objects(flow.bytes_out, usage.get(name, Usage(name))) for name, flow in flows.items() if flow.bytes_out)
    for name, flow in flows.items():
        if flow.bytes_in:
            flows[name] = Flow(bytes_in=flow.bytes_in, calls=-(-objects * flow.bytes_in // moves))
    return Plan(
        objects=objects,
        bytes=moves,
        calls=sum(flow.calls for flow in flows.values()),
        fits=True,
        required_bytes=moves,
        available_bytes=taken,
        backends=flows,
    )


def takers(found: StoredObject, given: Mapping[str, Share], strategy: Strategy) -> list[Candidate]:
    """Those that may take this object, best first: none that holds a copy, none that it would fill beyond its share."""
    held = {copy.backend for copy in found.copies}
    able = [share for name, share in given.items() if share.take >= found.size_bytes and name not in held and _allows(share, found)]
    if strategy == "Spread":
        able.sort(key=lambda share: -share.take)
    return [share.candidate for share in able]


def _allows(share: Share, found: StoredObject) -> bool:
    return share.candidate.largest_bytes is None or found.size_bytes <= share.candidate.largest_bytes


def _level(group: Sequence[Share], usage: Mapping[str, Usage]) -> None:
    """To one ratio of used to quota; backends without a quota to one number of bytes."""
    weights = [share.candidate.quota_bytes or 1 for share in group]
    used = [_used(share, usage) for share in group]
    for share, weight, mine in zip(group, weights, used, strict=True):
        goal = sum(used) * weight // sum(weights)
        slack = (share.candidate.quota_bytes or goal) * _SLACK_PERCENT // 100
        if mine > goal + slack:
            share.give = mine - goal
        elif mine < goal - slack:
            share.take = min(goal - mine, free_bytes(share.candidate, usage))


def _pack(group: Sequence[Share], usage: Mapping[str, Usage]) -> None:
    """The first is filled from the last; whoever is filled has nobody behind it left to give more."""
    left = [_used(share, usage) for share in group]
    for index, share in enumerate(group):
        room = 0 if share.give else free_bytes(share.candidate, usage)
        for later in range(len(group) - 1, index, -1):
            moved = min(room, left[later])
            share.take += moved
            group[later].give += moved
            left[later] -= moved
            room -= moved


def _used(share: Share, usage: Mapping[str, Usage]) -> int:
    known = usage.get(share.candidate.name)
    return known.used_bytes if known else 0


def _objects(size_bytes: int, usage: Usage) -> int:
    """How many, if they are of the average size there."""
    return -(-size_bytes * usage.objects // usage.used_bytes) if usage.used_bytes else 0


def _part(mine: int, moves: int, total: int) -> int:
    return mine * moves // total if total else 0
