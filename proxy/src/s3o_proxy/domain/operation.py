"""One-shot operations: what was asked for, how far it is, and what it is expected to move.

An operation is known by who asked (`subject`, the uid of a custom resource), what for (`kind`) and a `token`: asked again, it is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from s3o_proxy.domain.frozen import frozen

Kind = Literal["Drain", "Rebalance", "Purge"]
State = Literal["Pending", "Running", "Stalled", "Succeeded", "Cancelled"]

KINDS: tuple[Kind, ...] = ("Drain", "Rebalance", "Purge")
ACTIVE: frozenset[State] = frozenset(("Pending", "Running", "Stalled"))
"""Somebody works on it, or will."""


@frozen
class Wish:
    """What somebody asks for. `subject`: the uid of the resource that wants it; `token`: its name for this one time."""

    kind: Kind
    subject: str
    token: str
    backend: str = ""
    bucket: str = ""


@frozen
class Flow:
    """What an operation moves into and out of one backend, and how many calls it makes there."""

    bytes_in: int = 0
    bytes_out: int = 0
    calls: int = 0


@frozen
class Plan:
    """Before the first byte moves. `fits`: every object has a place elsewhere, as far as can be told; `available_bytes`: what the quotas of
    the backends that may take them leave (None: without a limit)."""

    objects: int
    bytes: int
    calls: int
    fits: bool
    required_bytes: int
    available_bytes: int | None
    backends: Mapping[str, Flow] = field(default_factory=dict)


@frozen
class Progress:
    """`objects_moved`, `bytes_moved`: moved or deleted so far. `estimated_ms`: when it will be done, 0 when nobody can tell."""

    objects_total: int = 0
    objects_moved: int = 0
    objects_remaining: int = 0
    objects_failed: int = 0
    bytes_total: int = 0
    bytes_moved: int = 0
    bytes_remaining: int = 0
    bytes_per_second: int = 0
    estimated_ms: int = 0
    uploads_remaining: int = 0
    intents_remaining: int = 0
    cleanups_remaining: int = 0
    last_error: str = ""


@frozen
class Operation:
    """`reason`: one CamelCase word for why it is in its state, where there is more to say; `message`: the same as a sentence."""

    operation_id: str
    kind: Kind
    subject: str
    token: str
    created_ms: int
    backend: str = ""
    bucket: str = ""
    state: State = "Pending"
    reason: str = ""
    message: str = ""
    plan: Plan | None = None
    progress: Progress = Progress()
    started_ms: int = 0
    finished_ms: int = 0
    updated_ms: int = 0

    @property
    def fences(self) -> bool:
        """Whether its backend takes no new writes from the moment it is asked for."""
        return bool(self.backend)

    @property
    def target(self) -> str:
        return self.backend or self.bucket or "all backends"


@frozen
class Remains:
    """The rows that still mention bytes on a backend. `error`: of a deletion there that failed, rather of one that was given up."""

    copies: int = 0
    copy_bytes: int = 0
    intents: int = 0
    uploads: int = 0
    cleanups: int = 0
    dead: int = 0
    error: str = ""

    @property
    def nothing(self) -> bool:
        return not (self.copies or self.intents or self.uploads or self.cleanups or self.dead)
