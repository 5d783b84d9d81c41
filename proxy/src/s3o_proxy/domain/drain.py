"""What emptying a backend takes, before the first byte moves; and why one that stands still does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from s3o_proxy.domain.model import Usage
from s3o_proxy.domain.moving import Outcome
from s3o_proxy.domain.operation import Flow, Plan
from s3o_proxy.domain.placement import Candidate, Strategy, free_bytes

Reason = Literal["InsufficientCapacity", "ObjectTooLarge", "NoBackendWithoutCopy", "BackendUnreachable", "MovesFailed"]

REASONS: Mapping[Outcome, Reason] = {
    "no_room": "InsufficientCapacity",
    "too_large": "ObjectTooLarge",
    "nowhere": "NoBackendWithoutCopy",
    "unreachable": "BackendUnreachable",
    "gone": "MovesFailed",
    "corrupt": "MovesFailed",
    "failed": "MovesFailed",
}

_SHARES = 64
"""Into how many parts a group of objects is cut when the plan spreads it."""
DELETES_PER_CALL = 1000


class Group(Protocol):
    """Objects of one backend and one order of magnitude, all with further copies on the same `others`."""

    @property
    def others(self) -> frozenset[str]: ...

    @property
    def objects(self) -> int: ...

    @property
    def bytes(self) -> int: ...

    @property
    def largest_bytes(self) -> int: ...


@dataclass(slots=True)
class _Room:
    candidate: Candidate
    free: int
    bytes_in: int = 0
    objects: int = 0

    def fullness(self) -> tuple[float, int]:
        quota = self.candidate.quota_bytes
        return (1 - self.free / quota if quota else 0.0), self.bytes_in

    def takes(self, largest_bytes: int) -> bool:
        return self.candidate.largest_bytes is None or largest_bytes <= self.candidate.largest_bytes


def plan_drain(
    backend: str,
    groups: Sequence[Group],
    candidates: Sequence[Candidate],
    closed: Collection[str],
    usage: Mapping[str, Usage],
    strategy: Strategy,
) -> Plan:
    """Where the objects of `backend` would go by the strategy, as far as whole groups can tell. `candidates` come in Pack order."""
    rooms = [
        _Room(candidate, free_bytes(candidate, usage))
        for candidate in candidates
        if candidate.accepts_writes and candidate.name != backend and candidate.name not in closed
    ]
    fits = True
    for group in sorted(groups, key=lambda group: -group.largest_bytes):
        fits = _place(group, rooms, strategy) and fits
    objects, moved_bytes = sum(group.objects for group in groups), sum(group.bytes for group in groups)
    out = Flow(bytes_out=moved_bytes, calls=objects + -(-objects // DELETES_PER_CALL))
    flows = {backend: out} | {room.candidate.name: Flow(bytes_in=room.bytes_in, calls=room.objects) for room in rooms if room.objects}
    return Plan(
        objects=objects,
        bytes=moved_bytes,
        calls=sum(flow.calls for flow in flows.values()),
        fits=fits,
        required_bytes=moved_bytes,
        available_bytes=available_bytes([room.candidate for room in rooms], usage),
        backends=flows,
    )


def available_bytes(candidates: Sequence[Candidate], usage: Mapping[str, Usage]) -> int | None:
    """What the quotas of `candidates` leave together; None where one has none."""
    if any(candidate.quota_bytes is None for candidate in candidates):
        return None
    return sum(free_bytes(candidate, usage) for candidate in candidates)


def why_stalled(outcomes: Counter[Outcome]) -> Reason | None:
    """The reason of most of the objects that could not move; None where none was held up."""
    held_up = [(count, outcome) for outcome, count in outcomes.items() if outcome in REASONS]
    return REASONS[max(held_up)[1]] if held_up else None


def _place(group: Group, rooms: Sequence[_Room], strategy: Strategy) -> bool:
    left, left_bytes = group.objects, group.bytes
    average = -(-group.bytes // group.objects)
    share = max(1, -(-left // _SHARES))
    while left:
        able = [
            room
            for room in rooms
            if room.candidate.name not in group.others and room.takes(group.largest_bytes) and room.free >= max(1, average)
        ]
        if not able:
            return False
        best = min(able, key=_Room.fullness) if strategy == "Spread" else able[0]
        count = min(left, share, best.free // average if average else left)
        size_bytes = left_bytes * count // left
        best.free -= size_bytes
        best.bytes_in += size_bytes
        best.objects += count
        left, left_bytes = left - count, left_bytes - size_bytes
    return True
