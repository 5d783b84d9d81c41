"""One attempt to write bytes: its reservation, and what becomes of it when it does not reach its commit.

Every attempt has an intent and a name for its bytes of its own. From the reservation on a row mentions them, and whatever ends the attempt
early, a row still does (I2): not even a process that stood still until its intent was reaped leaves bytes that nobody knows of.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from s3o_proxy.domain.cleanup import Reason
from s3o_proxy.domain.errors import BackendError, BodyError, DomainError, MetadataError, OutcomeUnknown
from s3o_proxy.domain.lease import OwnLease
from s3o_proxy.domain.model import Intent
from s3o_proxy.domain.patience import Making
from s3o_proxy.domain.storage_key import storage_key
from s3o_proxy.metadata.port import Reserved
from s3o_proxy.operations.context import Context
from s3o_proxy.operations.finish import finish
from s3o_proxy.operations.whereabouts import bucket_here
from s3o_proxy.s3.body import Body


class Addressed(Protocol):
    """What has a bucket and a key: a draft, or an object that moves."""

    @property
    def bucket(self) -> str: ...

    @property
    def key(self) -> str: ...


def new_intent(context: Context, addressed: Addressed, backend: str, size_bytes: int, making: Making) -> Intent:
    """`making`: what will be asked of the backend."""
    write_id = context.new_id()
    return Intent(
        write_id=write_id,
        bucket=addressed.bucket,
        key=addressed.key,
        backend=backend,
        storage_key=storage_key(addressed.bucket, addressed.key, write_id),
        size_bytes=size_bytes,
        owner=context.instance,
        created_ms=context.clock(),
        settle_ms=context.snapshot.settle_ms(backend, making),
    )


async def reserve(context: Context, intent: Intent, quota_bytes: int | None) -> Reserved:
    """For a whole object, or for the part that the intent names."""
    bucket = bucket_here(context, intent.backend)
    if not bucket and not intent.upload_id:
        return Reserved(granted=False, fenced=True)  # Wherever the ledger has it: we could not write there.
    try:
        if intent.upload_id:
            answer = await finish(context.metadata.reserve_part(intent, quota_bytes))
        else:
            answer = await finish(context.metadata.reserve_write(intent, quota_bytes, bucket))
    except BaseException as error:
        # Cancelled or unknown: the reservation may stand, or even be granted only after we asked to take it back.
        if not isinstance(error, DomainError) or isinstance(error, OutcomeUnknown):
            await _cancel(context, intent)
        raise
    if answer.granted and not intent.upload_id and bucket_here(context, intent.backend) != bucket:
        # The backend's client was exchanged while we asked: the bytes would go to another bucket than the ledger granted.
        await _cancel(context, intent)
        return Reserved(granted=False, fenced=True)
    if answer.granted:
        context.usage.reserved(intent.backend, intent.size_bytes)
    return answer


async def _cancel(context: Context, intent: Intent) -> None:
    await now_or_later(context, intent.write_id, lambda: context.metadata.cancel_reservation(intent))


class StartedBody:
    """A body that knows how much of it was handed over: bytes once taken cannot be sent to a second backend.

    Its end (the last piece, or that there is none) is handed over only while our lease lasts. Without it no object forms; with it, one
    could after our intent was reaped, and its bytes might be there twice when their space has been given to somebody else (I3).
    """

    def __init__(self, body: Body, lease: OwnLease) -> None:
        self.body = body
        self.started = self.ended = False
        self._lease = lease

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.started = True
        left_bytes = self.body.size_bytes
        async for piece in self.body:
            left_bytes -= len(piece)
            if left_bytes <= 0:
                self._end()
            yield piece
        if not self.body.size_bytes:
            self._end()

    def _end(self) -> None:
        self._lease.require()
        self.ended = True


@dataclass(slots=True)
class Attempt:
    """`landed`: the backend said that all bytes lie there."""

    landed: bool = False


@asynccontextmanager
async def attempt(context: Context, intent: Intent, reason: Reason, sent: StartedBody | None = None) -> AsyncIterator[Attempt]:
    """From the upload to the commit of `intent`; what raises in between ends it. `sent`: the body that is uploaded; None where the backend
    is asked to make the object of what it has, by a copy or by joining parts."""
    it = Attempt()
    try:
        yield it
    except OutcomeUnknown:
        forsake(context, intent, reason, context.clock())  # I8: nothing is touched before the ledger can say how it ended.
        raise
    except BaseException as error:
        # Before it landed, the one complaint of a ledger is that our lease had ended: the end of the bytes, or a copy, was not asked for.
        lies_still = it.landed or isinstance(error, MetadataError) or certainly_not_landed(error, sent)
        await abandon(context, intent, reason, context.clock() + (0 if lies_still else intent.settle_ms))
        raise


def certainly_not_landed(error: BaseException, sent: StartedBody | None) -> bool:
    """Whether no object, or part, can form of what was sent: its end is missing, or the backend refused it."""
    if sent is not None and (not sent.ended or isinstance(error, BodyError)):
        return True
    return isinstance(error, BackendError) and not error.ambiguous


async def abandon(context: Context, intent: Intent, reason: Reason, due_ms: int) -> None:
    """Turn the intent into a cleanup row."""
    await now_or_later(context, intent.write_id, lambda: context.metadata.abandon_write(intent, reason, due_ms))
    context.wake_cleanup()


async def now_or_later(context: Context, write_id: str, record: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Cancelled or not. What the database cannot be told now, the reaper tells it, even if nobody is left here to hear of that."""

    async def told() -> None:
        try:
            await record()
        except MetadataError:
            context.forsaken.add(write_id, record)

    await finish(told())


def forsake(context: Context, intent: Intent, reason: Reason, due_ms: int) -> None:
    context.forsaken.add(intent.write_id, lambda: context.metadata.abandon_write(intent, reason, due_ms))
