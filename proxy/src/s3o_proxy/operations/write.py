"""The write path: place → reserve → upload → commit, or abandon. Every new object goes through here, whatever its bytes come from.

Reserve before upload: a crash in between leaves an intent without bytes, which the reaper clears; the other order would leave bytes that
no row mentions. Commit before answer: a 200 is a promise.
"""

from __future__ import annotations

import re

from s3o_proxy.backends.port import Backend, Traits
from s3o_proxy.domain.errors import (
    AllBackendsFailed,
    BackendError,
    BackendRejected,
    BadDigest,
    BytesDiffer,
    DomainError,
    NoBackendAccepts,
    QuotaExceeded,
)
from s3o_proxy.domain.frozen import frozen
from s3o_proxy.domain.model import Conditions, Description, Digests, Intent, NewObject
from s3o_proxy.domain.placement import rank
from s3o_proxy.domain.storage_key import key_metadata
from s3o_proxy.operations.attempt import StartedBody, attempt, new_intent, reserve
from s3o_proxy.operations.context import Context
from s3o_proxy.operations.finish import finish
from s3o_proxy.operations.whereabouts import bucket_here, looked_for_elsewhere
from s3o_proxy.s3.body import Body
from s3o_proxy.s3.operation import ObjectWritten

_MD5 = re.compile("[0-9a-fA-F]{32}")


@frozen
class Draft:
    """An object about to be written."""

    bucket: str
    key: str
    description: Description
    conditions: Conditions


async def write_object(context: Context, draft: Draft, body: Body) -> ObjectWritten:
    """Store `body` as `draft` on the best backend that takes it. Raises NoSpace, BodyError, AllBackendsFailed, MetadataError, …"""
    ranked = rank(context.candidates(), context.usage.by_backend, context.snapshot.config.routing_strategy, body.size_bytes)
    source = StartedBody(body, context.lease)
    failures: dict[str, str] = {}
    full: list[int] = []
    fenced: list[str] = []
    for candidate in ranked:
        intent = new_intent(context, draft, candidate.name, body.size_bytes, "PutObject")
        answer = await reserve(context, intent, candidate.quota_bytes)
        if answer.fenced:
            fenced.append(candidate.name)
            continue
        if not answer.granted:
            full.append(answer.free_bytes)
            continue
        try:
            return await _upload_and_commit(context, draft, intent, source)
        except BackendError as error:
            if source.started:
                raise  # The client's bytes are spent; only the client can send them again.
            failures[candidate.name] = str(error)
    failures |= await looked_for_elsewhere(context, {name: bucket_here(context, name) for name in fenced})
    if failures:
        raise AllBackendsFailed(failures)
    if not full:
        raise NoBackendAccepts(tuple(candidate.name for candidate in ranked))
    raise QuotaExceeded(body.size_bytes, max(full))


async def _upload_and_commit(context: Context, draft: Draft, intent: Intent, source: StartedBody) -> ObjectWritten:
    async with attempt(context, intent, "write_failed", source) as this:
        backend = context.backends.get(intent.backend)
        etag = await _upload(backend, draft, intent, source)
        this.landed = True
        digests = digests_of(source.body)
        new = NewObject(
            bucket=draft.bucket,
            key=draft.key,
            write_id=intent.write_id,
            size_bytes=intent.size_bytes,
            etag=etag,
            modified_ms=context.clock(),
            description=draft.description,
            digests=digests,
        )
        await commit(context, new, draft.conditions)
    return ObjectWritten(etag, digests)


async def _upload(backend: Backend, draft: Draft, intent: Intent, source: StartedBody) -> str:
    # Read once, where the call begins: a reload may change them at any moment, and these are of the client that gets the bytes.
    body, traits = source.body, backend.traits
    ask_for_digests(body, traits)
    try:
        stored = await backend.put(
            intent.storage_key,
            source,
            intent.size_bytes,
            content_type=draft.description.headers.get("content-type", ""),
            metadata=key_metadata(draft.bucket, draft.key, intent.write_id),
            content_md5=body.content_md5 if traits.verifies_content_md5 else "",
        )
    except BackendRejected as error:
        raise blamed(error) from error
    return agreed_etag(backend.name, traits, stored.etag, body.md5_hex)


async def commit(context: Context, new: NewObject, conditions: Conditions) -> None:
    await finish(context.metadata.commit_write(new, conditions))
    context.wake_cleanup()  # It may have displaced an older copy.


def ask_for_digests(body: Body, traits: Traits) -> None:
    """Of the backend that is asked next; one before it may have been asked in another way. Compute no MD5 that somebody else vouches for:
    64 MiB of it cost three times as much as moving them."""
    vouched_for = traits.verifies_content_md5 or not body.content_md5
    if traits.etag_is_md5 and vouched_for:
        body.hand_on_md5()
    else:
        body.want_md5()


def agreed_etag(backend: str, traits: Traits, backend_etag: str, md5_hex: str) -> str:
    """The ETag of these bytes. Where both the backend and we know their MD5, the two must agree: else they changed on the way.
    `traits`: those by which the body was asked for digests."""
    if not traits.etag_is_md5:
        if not md5_hex:
            raise BytesDiffer(backend, "stored bytes whose MD5 nobody computed")
        return md5_hex
    if not _MD5.fullmatch(backend_etag):
        # The object's ETag could not be made of such parts', and its client could not hold it against anything.
        raise BytesDiffer(backend, f"answered the ETag {backend_etag}, which is no MD5: is its etagIsMD5 right?")
    if md5_hex and md5_hex != backend_etag:
        raise BytesDiffer(backend, f"stored bytes with MD5 {backend_etag}, was sent {md5_hex}")
    return backend_etag


def blamed(error: BackendRejected) -> DomainError:
    """A backend to which we handed on Content-MD5 refuses the client's bytes, not ours."""
    return BadDigest("Content-MD5") if error.code in ("BadDigest", "InvalidDigest") else error


def digests_of(body: Body) -> Digests:
    """What the client vouched for, or CRC64NVME where it asked for nothing, as S3 does."""
    checksums = dict(body.checksums) or {"CRC64NVME": body.content_hash}
    return Digests(content_hash=body.content_hash, checksums=checksums)
