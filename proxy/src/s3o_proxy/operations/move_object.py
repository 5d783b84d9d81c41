"""The move of one copy to another backend: reserve → transfer → commit, as any write.

Where both lie with the same account of a provider, that is asked to copy; else the bytes stream through here.

The bytes get a name of their own where they go, and are held against the object's content hash before their last piece is handed on.
Readers see the old copy until the commit, and the new one from then on; an overwrite or a delete that comes first wins.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from s3o_proxy.backends.port import Backend
from s3o_proxy.domain.cleanup import Reason
from s3o_proxy.domain.errors import (
    BackendError,
    BackendNotFound,
    BackendUnavailable,
    BytesDiffer,
    NoCopyReadable,
    WriteLost,
)
from s3o_proxy.domain.model import Copy, Intent, StoredObject
from s3o_proxy.domain.moving import MAX_SINGLE_PUT_BYTES, Moved, Outcome
from s3o_proxy.domain.placement import MIN_PART_BYTES, Candidate
from s3o_proxy.domain.storage_key import key_metadata
from s3o_proxy.operations.attempt import StartedBody, attempt, new_intent, reserve
from s3o_proxy.operations.context import Context
from s3o_proxy.operations.copied_body import CopiedBody
from s3o_proxy.operations.finish import finish
from s3o_proxy.operations.whereabouts import require_there
from s3o_proxy.s3.checksums import combine_full_object

_MAX_PARTS = 10_000

Transfer = Callable[[Context, Backend, StoredObject, Copy, Intent, StartedBody], Awaitable[None]]
"""Brings the bytes of a copy under the storage key of the intent, and verifies them. The body is that of the copy, not yet begun."""


async def move_copy(
    context: Context, found: StoredObject, source: Copy, ranked: Sequence[Candidate], max_put_bytes: int = MAX_SINGLE_PUT_BYTES
) -> Moved:
    """Move `source` to the first of `ranked` that takes it. Raises MetadataError; what a backend does wrong is an outcome."""
    failed: Moved | None = None
    for candidate, transfer in _ways(context, found, source, ranked, max_put_bytes):
        # Beside a plain PUT it is a copy, or parts that are joined: these take a backend as long.
        intent = new_intent(context, found, candidate.name, found.size_bytes, "PutObject" if transfer is _transfer else "CopyObject")
        if not (await reserve(context, intent, candidate.quota_bytes)).granted:
            continue
        try:
            moved = await _transfer_and_commit(context, found, source, intent, transfer)
        except (BackendError, NoCopyReadable) as error:
            failed = await _failure(context, found, source, candidate.name, error)
            if isinstance(error, NoCopyReadable) or error.backend == source.backend != candidate.name:
                break  # It cannot be read: another target would not help.
            continue
        except WriteLost as error:  # We stood still for longer than our lease.
            failed = Moved("failed", candidate.name, str(error))
            continue
        return Moved("moved" if moved else "superseded", candidate.name)
    return failed or Moved("no_room", error=f"no backend has {found.size_bytes} bytes left")


def _ways(
    context: Context, found: StoredObject, source: Copy, ranked: Sequence[Candidate], max_put_bytes: int
) -> Iterator[tuple[Candidate, Transfer]]:
    """How each candidate may get the bytes. Each way has an intent of its own: bytes are never written twice under one name."""
    for candidate in ranked:
        if found.size_bytes > max_put_bytes:
            yield candidate, partial(_transfer_by_parts, max_put_bytes=max_put_bytes)
            continue
        if _can_copy(context, found, source, candidate):
            yield candidate, _copy_there
        yield candidate, _transfer


def _can_copy(context: Context, found: StoredObject, source: Copy, candidate: Candidate) -> bool:
    """Whether the provider can copy, and what it says of the copy proves the bytes: their MD5, which is known."""
    try:
        here, there = context.backends.get(source.backend), context.backends.get(candidate.name)
    except BackendUnavailable:
        return False
    return bool(there.account) and here.account == there.account and there.traits.etag_is_md5 and "-" not in found.etag


async def _transfer_and_commit(context: Context, found: StoredObject, source: Copy, intent: Intent, transfer: Transfer) -> bool:
    sent = StartedBody(CopiedBody(context, _read_first(found, source), None), context.lease)
    # By parts there may be an upload on the backend, which this reason makes the cleanup abort.
    reason: Reason = "upload_move_failed" if isinstance(transfer, partial) else "move_failed"
    # A copy, or the joining of parts, may still be at work there although we heard of a failure: of these no body tells.
    async with attempt(context, intent, reason, sent if transfer is _transfer else None) as this:
        await transfer(context, context.backends.get(intent.backend), found, source, intent, sent)
        this.landed = True
        moved = await finish(context.metadata.commit_move(found, source, intent, context.clock()))
    context.wake_cleanup()
    return moved


async def _copy_there(context: Context, target: Backend, found: StoredObject, source: Copy, intent: Intent, _: StartedBody) -> None:
    context.lease.require()  # As for the last piece of a body.
    there = await target.copy(
        source.storage_key,
        intent.storage_key,
        content_type=found.description.headers.get("content-type", ""),
        metadata=key_metadata(found.bucket, found.key, intent.write_id),
        source_bucket=context.backends.get(source.backend).bucket,
    )
    if there.etag != found.etag:
        raise BytesDiffer(target.name, f"copied bytes with MD5 {there.etag}, they had {found.etag}")


async def _transfer(_: Context, target: Backend, found: StoredObject, __: Copy, intent: Intent, sent: StartedBody) -> None:
    # The ETag of an object that was written in one piece is the MD5 of its bytes, so the target's can be held against it for nothing.
    known_md5 = "" if "-" in found.etag else found.etag
    traits = target.traits
    if traits.etag_is_md5 and not known_md5:
        sent.body.want_md5()
    stored = await target.put(
        intent.storage_key,
        sent,
        found.size_bytes,
        content_type=found.description.headers.get("content-type", ""),
        metadata=key_metadata(found.bucket, found.key, intent.write_id),
    )
    if not traits.etag_is_md5:
        await _require_size(target, intent)
    elif stored.etag != (known_md5 or sent.body.md5_hex):
        raise BytesDiffer(target.name, f"stored bytes with MD5 {stored.etag}, was sent {known_md5 or sent.body.md5_hex}")


async def _transfer_by_parts(
    context: Context, target: Backend, found: StoredObject, source: Copy, intent: Intent, _: StartedBody, *, max_put_bytes: int
) -> None:
    """Beyond what one PUT takes. The parts become an object only after all of them together have the object's content hash."""
    upload_id = await target.create_multipart(
        intent.storage_key,
        content_type=found.description.headers.get("content-type", ""),
        metadata=key_metadata(found.bucket, found.key, intent.write_id),
    )
    part_bytes = max(MIN_PART_BYTES, min(max_put_bytes, -(-found.size_bytes // _MAX_PARTS)), min(max_put_bytes, 64 * 1024**2))
    parts: list[tuple[int, str]] = []
    hashes: list[tuple[str, int]] = []
    for number, first in enumerate(range(0, found.size_bytes, part_bytes), start=1):
        last = min(first + part_bytes, found.size_bytes) - 1
        body, traits = CopiedBody(context, _read_first(found, source), (first, last)), target.traits
        if traits.etag_is_md5:
            body.want_md5()
        stored = await target.upload_part(intent.storage_key, upload_id, number, body, body.size_bytes)
        if traits.etag_is_md5 and stored.etag != body.md5_hex:
            raise BytesDiffer(target.name, f"stored a part with MD5 {stored.etag}, was sent {body.md5_hex}")
        parts.append((number, stored.etag))
        hashes.append((body.content_hash, body.size_bytes))
    if combine_full_object("CRC64NVME", hashes) != found.digests.content_hash:
        raise BytesDiffer(source.backend, f"{found.key!r} does not match its content hash")
    context.lease.require()  # As for the last piece of a body.
    await target.complete_multipart(intent.storage_key, upload_id, parts)
    await _require_size(target, intent)


async def _require_size(target: Backend, intent: Intent) -> None:
    there = await target.head(intent.storage_key)
    if there.size_bytes != intent.size_bytes:
        raise BytesDiffer(target.name, f"stored {there.size_bytes} of {intent.size_bytes} bytes")


def _read_first(found: StoredObject, source: Copy) -> StoredObject:
    """Any copy holds the bytes; the one that moves is asked first, so that what it costs falls where the plan said."""
    return replace(found, copies=(source, *(copy for copy in found.copies if copy != source)))


async def _failure(context: Context, found: StoredObject, source: Copy, target: str, error: BackendError | NoCopyReadable) -> Moved:
    outcome = _outcome(source, error)
    if outcome == "gone":
        try:
            for copy in found.copies:
                await require_there(context, copy.backend, context.backends.get(copy.backend).bucket)
        except BackendUnavailable as elsewhere:
            return Moved("unreachable", target, str(elsewhere))
    return Moved(outcome, target, str(error))


def _outcome(source: Copy, error: BackendError | NoCopyReadable) -> Outcome:
    if isinstance(error, NoCopyReadable):
        if isinstance(error.__cause__, BackendNotFound):
            return "gone"
        return "corrupt" if error.corrupt else "unreachable"
    if isinstance(error, BytesDiffer):
        return "corrupt" if error.backend == source.backend else "failed"
    return "unreachable" if isinstance(error, BackendUnavailable) else "failed"
