"""Stories: what a change asks of the database, step by step, without doing any I/O.

A story is a generator. It yields named statements, is sent their rows, and returns its outcomes; between two yields it only
decides. The same story runs over both engines: PostgreSQL awaits each statement, SQLite runs the whole story in its writer
thread. What a story decides against (a condition that fails, a quota that is full) is an outcome and not an exception: only its
member is refused, its neighbours in the transaction go on.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import orjson

from s3o_proxy.domain.errors import DomainError
from s3o_proxy.domain.frozen import frozen

M = TypeVar("M")
R = TypeVar("R")
T = TypeVar("T")


class Row(Protocol):
    """A row of either driver: columns by name or position, or all in order."""

    def __getitem__(self, column: str | int, /) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...


@frozen
class Statement:
    """A named statement of `sql/` and its parameters; a batch travels as one JSON text, `batch`."""

    name: str
    params: Mapping[str, object] = field(default_factory=dict)


@frozen
class Together:
    """Statements that return nothing, and none of which looks at what another of them does: on PostgreSQL they are one round trip."""

    statements: tuple[Statement, ...]

    @property
    def name(self) -> str:
        return "+".join(statement.name for statement in self.statements)


Steps = Generator[Statement | Together, list[Row], T]


def ask(name: str, /, **params: object) -> Steps[list[Row]]:
    """One statement."""
    return (yield Statement(name, params))


def ask_each(name: str, batch: Sequence[Mapping[str, object]], /, **params: object) -> Steps[list[Row]]:
    """One statement over a whole batch; nothing is asked for an empty one."""
    if not batch:
        return []
    return (yield _over(name, batch, **params))


class Book:
    """What one transaction leaves for its end: the byte movements by backend, and rows that none of its stories looks at.

    The movements are settled once, at the end and in backend order: two processes that share backends then never wait for each
    other in a circle, and hold the rows of the counters for no longer than the last statement and the commit.
    """

    def __init__(self) -> None:
        self._moves: dict[str, list[int]] = {}
        self._later: dict[str, list[Mapping[str, object]]] = {}

    def move(self, backend: str, *, used: int = 0, orphan: int = 0, reserved: int = 0, objects: int = 0) -> None:
        sums = self._moves.setdefault(backend, [0, 0, 0, 0])
        for column, change in enumerate((used, orphan, reserved, objects)):
            sums[column] += change

    def held_bytes(self, backend: str) -> int:
        """By how much this transaction, so far, changes what the backend holds."""
        return sum(self._moves.get(backend, (0, 0, 0))[:3])

    def forget(self, backend: str) -> None:
        """Its counters are gone, and with them what this transaction was to add: where nothing is left, both together were nothing."""
        self._moves.pop(backend, None)

    def later(self, name: str, batch: Sequence[Mapping[str, object]], /) -> None:
        """Ask it over the batch at the end, with all else that is left for then, or before another kind that may look at it (`Kind.blind`).
        The caller hears no rows, and whatever else he asks does not look at these."""
        if batch:
            self._later.setdefault(name, []).extend(batch)

    def catch_up(self) -> Steps[None]:
        """What was left for later, now."""
        yield from _together(self._statements_left())

    def settle(self, stripe: int) -> Steps[None]:
        rows = [
            {"backend": backend, "used": used, "orphan": orphan, "reserved": reserved, "objects": objects}
            for backend, (used, orphan, reserved, objects) in sorted(self._moves.items())
        ]
        settling = [_over("settle_usage", rows, stripe=stripe)] if rows else []
        # In which order PostgreSQL carries them out is its own affair: but for the usage, all is under locks that are held already.
        yield from _together([*self._statements_left(), *settling])

    def _statements_left(self) -> list[Statement]:
        left = [_over(name, batch) for name, batch in self._later.items()]
        self._later.clear()
        return left


def _over(name: str, batch: Sequence[Mapping[str, object]], /, **params: object) -> Statement:
    return Statement(name, {"batch": orjson.dumps(batch).decode(), **params})


def _together(statements: Sequence[Statement]) -> Steps[None]:
    if statements:
        yield statements[0] if len(statements) == 1 else Together(tuple(statements))


def no_locks(_member: object) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True)
class Kind(Generic[M, R]):
    """One kind of change. Its members that wait at the same time are carried out by one `run`.

    `identity`: two members with the same one never share a transaction. `locks`: the names a member locks before the transaction
    does anything else; `shares`: those it locks beside others who share them, against whoever
    locks them alone. `scout`: more names, for members that must look up (unlocked) what they lock; `run` must look again.
    `blind`: looks at nothing that others leave for later.
    """

    name: str
    run: Callable[[Sequence[M], Book], Steps[list[R | DomainError]]]
    identity: Callable[[M], str]
    locks: Callable[[M], tuple[str, ...]] = no_locks
    shares: Callable[[M], tuple[str, ...]] = no_locks
    scout: Callable[[Sequence[M]], Steps[list[str]]] | None = None
    blind: bool = False
