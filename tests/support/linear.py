"""Whether a recorded history of one key is linearizable: could every call have taken effect at one moment between its beginning and its
end, one after the other, so that each got the answer it got?

The key is a register that holds a value (the ETag of an object) or None. A search in the manner of Wing and Gong (1993), which remembers
what it has tried, as Lowe proposes (2017): call by call that may come next, and a step back where an answer contradicts. A call whose
outcome nobody knows may have taken effect at any time after its beginning, or never.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Literal, NamedTuple

Value = str | None

Kind = Literal["read", "write", "create", "replace", "delete"]
"""create: only where there is none (If-None-Match: *). replace: only where `expected` stands (If-Match)."""

_MOST_STATES = 2_000_000


@dataclass(frozen=True)
class Call:
    """`value`: what was read, or is written. `refused`: answered 412, or (a replace of nothing) 404. `ended_s`: inf where the outcome is
    not known (a read without an answer says nothing, and is left out of a history)."""

    kind: Kind
    value: Value
    began_s: float
    ended_s: float
    expected: Value = None
    refused: bool = False
    told_by: str = field(default="", compare=False)

    def after(self, held: Value) -> tuple[bool, Value]:
        """Whether its answer is possible where `held` stands, and what stands there afterwards."""
        known = self.ended_s < inf
        match self.kind:
            case "read":
                return self.value == held, held
            case "write":
                return True, self.value
            case "delete":
                return True, None
            case "create":
                applies = held is None
            case "replace":
                applies = held is not None and held == self.expected
        if known:
            return applies != self.refused, held if self.refused else self.value
        return applies, self.value  # If it does not apply it changed nothing: as if it had never been.


def is_linearizable(calls: Sequence[Call], initially: Value = None) -> bool:
    """Of one key. The cost grows with how many calls overlap, hardly with how many there are. Raises RuntimeError if undecided."""
    search = _Search(calls)
    tried: set[_State] = set()
    stack = [_State(0, 0, 0, initially)]
    while stack:
        state = stack.pop()
        if state.first == len(search.known):
            return True
        if state not in tried:
            tried.add(state)
            stack += search.next_states(state)
            if len(tried) > _MOST_STATES:
                raise RuntimeError(f"not decided after {_MOST_STATES} states of {len(calls)} calls")
    return False


class _State(NamedTuple):
    """`first`: all known calls before it are done; `beyond`: which of those from it on, as bits. `unknown`: which of the others."""

    first: int
    beyond: int
    unknown: int
    held: Value


class _Search:
    def __init__(self, calls: Sequence[Call]) -> None:
        in_order = sorted(calls, key=lambda call: call.began_s)
        self.known = [call for call in in_order if call.ended_s < inf]
        self.unknown = [call for call in in_order if call.ended_s == inf]
        observed = {call.value for call in self.known if call.kind == "read"} | {call.expected for call in calls}
        self._unseen = [call.kind == "write" and call.value not in observed for call in self.unknown]

    def next_states(self, state: _State) -> list[_State]:
        """After each call that may come next, the likeliest last: the known one that ended first, and none of unknown outcome before it."""
        first_end, number = inf, state.first
        next_known: list[tuple[float, int]] = []
        while number < len(self.known) and self.known[number].began_s <= first_end:
            if not state.beyond >> (number - state.first) & 1:
                first_end = min(first_end, self.known[number].ended_s)
                next_known.append((self.known[number].ended_s, number))
            number += 1
        after_known = [self._after_known(state, number) for _, number in sorted(next_known, reverse=True)]
        return [*self._after_unknown(state, first_end), *(each for each in after_known if each is not None)]

    def _after_known(self, state: _State, number: int) -> _State | None:
        possible, held = self.known[number].after(state.held)
        if not possible:
            return None
        first, beyond = state.first, state.beyond | 1 << (number - state.first)
        while beyond & 1:
            first, beyond = first + 1, beyond >> 1
        return _State(first, beyond, state.unknown, held)

    def _after_unknown(self, state: _State, before_s: float) -> Iterator[_State]:
        unseen_is_in = False
        for number, call in enumerate(self.unknown):
            if call.began_s > before_s:
                return
            if state.unknown >> number & 1 or (self._unseen[number] and unseen_is_in):
                continue  # Of writes whose values nobody saw one is as good as another.
            unseen_is_in = unseen_is_in or self._unseen[number]
            possible, held = call.after(state.held)
            if possible:
                yield _State(state.first, state.beyond, state.unknown | 1 << number, held)


def shortest_contradiction(calls: Sequence[Call], initially: Value = None) -> Sequence[Call]:
    """Of a history that is not linearizable, the calls until it first is not: what a person has to look at."""
    calls = sorted(calls, key=lambda call: call.began_s)
    low, high = 0, len(calls)
    while low + 1 < high:
        middle = (low + high) // 2
        if is_linearizable(_until(calls, middle), initially):
            low = middle
        else:
            high = middle
    return calls[:high]


def _until(calls: Sequence[Call], count: int) -> list[Call]:
    """The first calls, as if nothing had been recorded after the last of them began: what was under way is of unknown outcome."""
    if count == len(calls):
        return list(calls)
    at_s = calls[count].began_s
    kept = []
    for call in calls[:count]:
        if call.ended_s <= at_s:
            kept.append(call)
        elif call.kind != "read":
            kept.append(Call(call.kind, call.value, call.began_s, inf, call.expected, told_by=call.told_by))
    return kept
