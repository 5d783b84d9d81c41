"""What a status says about *operations*: one-shot work on many objects (a drain, a rebalance, a purge) that a user asked for.

A *token* is the value that asked for it: of an annotation, or one that stands for a change of the spec. It is latched here before anything
is done, so that the same value never starts a second operation.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from s3o_crds.meta import Observation, list_map

Token = Annotated[str, Field(max_length=256)]
Figure = Annotated[int, Field(ge=0)]
OperationState = Literal["Queued", "Running", "Stalled", "Cancelling", "Completed", "Cancelled"]
MOST_OPERATIONS = 10


class OperationEntry(Observation):
    """One operation, in a line."""

    kind: Literal["Drain", "Rebalance", "Purge"]
    """What it does."""
    token: Token
    """The value that asked for it; with the kind and this object's uid it identifies the operation."""
    id: Annotated[str, Field(max_length=64)] | None = None
    """Its id at the proxies; absent until they have it."""
    state: OperationState
    """The state in one word."""
    started_at: datetime | None = None
    """When the proxies took it on."""
    finished_at: datetime | None = None
    """When it ended."""
    message: Annotated[str, Field(max_length=1024)] | None = None
    """How far it is, or how it ended."""


Operations = Annotated[
    tuple[OperationEntry, ...], Field(max_length=MOST_OPERATIONS, json_schema_extra={"x-kubernetes-list-type": "atomic"})
]


class Progress(Observation):
    """An operation, with its figures."""

    id: Annotated[str, Field(max_length=64)] | None = None
    """Its id at the proxies; absent until they have it."""
    trigger: Literal["Annotation", "Spec", "Deletion"] | None = None
    """What asked for it. What the spec says, and a deletion, win over an annotation."""
    token: Token | None = None
    """The value that asked for it."""
    state: OperationState | None = None
    """The state in one word."""
    reason: Annotated[str, Field(max_length=64)] | None = None
    """Why it is in this state, in one word for programs."""
    message: Annotated[str, Field(max_length=1024)] | None = None
    """The same as a sentence."""
    started_at: datetime | None = None
    """When the proxies took it on."""
    finished_at: datetime | None = None
    """When it ended."""
    objects_total: Figure | None = None
    """Objects that it has to do with."""
    objects_moved: Figure | None = None
    """Objects that are done."""
    objects_remaining: Figure | None = None
    """Objects that are left."""
    objects_failed: Figure | None = None
    """Objects that could not be done yet; they are tried again."""
    bytes_total: Figure | None = None
    """Bytes that it has to do with."""
    bytes_moved: Figure | None = None
    """Bytes that are done."""
    bytes_remaining: Figure | None = None
    """Bytes that are left."""
    bytes_per_second: Figure | None = None
    """Recent speed."""
    uploads_remaining: Figure | None = None
    """Multipart uploads that are still under way there; they end by their clients, or of age."""
    required_bytes: Figure | None = None
    """Bytes for which there must be room elsewhere."""
    destination_bytes_available: Figure | None = None
    """Room elsewhere, in bytes."""
    estimated_completion_time: datetime | None = None
    """When it will be done at this speed."""
    reported_at: datetime | None = None
    """When the message of the condition that tells of it was last renewed: no more often than every 30 seconds."""
    last_error: Annotated[str, Field(max_length=1024)] | None = None
    """The last thing that went wrong."""
    summary: Annotated[str, Field(max_length=128)] | None = None
    """The same for people, such as 60% (7211 left)."""


class PlannedTraffic(Observation):
    """What an operation costs at one backend."""

    name: Annotated[str, Field(max_length=63)]
    """Name of the backend."""
    bytes_in: Figure | None = None
    """Bytes that are written there."""
    bytes_out: Figure | None = None
    """Bytes that are read there: most providers charge for them."""
    calls: Figure | None = None
    """Requests that are made there."""


class OperationPlan(Observation):
    """What an operation was going to cost when it began."""

    objects: Figure | None = None
    """Objects that have to be moved."""
    bytes: Figure | None = None
    """Bytes that have to be moved."""
    calls: Figure | None = None
    """Requests to backends."""
    fits: bool | None = None
    """Whether there is room for all of it."""
    required_bytes: Figure | None = None
    """Bytes for which there must be room."""
    available_bytes: Figure | None = None
    """Room, in bytes; absent when there is no limit."""
    backends: Annotated[tuple[PlannedTraffic, ...], *list_map("name", 100)] = ()
    """The same by backend."""
