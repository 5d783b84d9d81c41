"""The audit: do rows, bytes on the backends, and counters say the same? It changes nothing.

It may run beside live proxies: counters and rows are compared as of one moment, and a difference between rows and bytes counts only if it
is still there when looked at a second time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from s3o_proxy.backends.port import Backend, ListedMultipart
from s3o_proxy.domain.errors import BackendError, BackendNotFound
from s3o_proxy.domain.frozen import frozen
from s3o_proxy.domain.model import Usage
from s3o_proxy.metadata.port import Mention, Metadata


@frozen
class Difference:
    """One thing that should not be. `what` is one of: counter, quota, unmentioned, missing, size, upload, doomed, unseen, elsewhere."""

    backend: str
    what: str
    detail: str

    def __str__(self) -> str:
        return f"{self.backend}: {self.what}: {self.detail}"


async def audit(metadata: Metadata, backends: Mapping[str, Backend], quotas: Mapping[str, int | None]) -> AsyncIterator[Difference]:
    """Every difference there is, backend by backend. `quotas` in bytes, None for none.

    What was not looked at, because its backend did not answer, is not found in order: that is a difference, too.
    """
    async for difference in _audit_counters(metadata, quotas):
        yield difference
    for name, usage in sorted((await metadata.usage()).items()):
        if name not in backends and (usage.objects or usage.held_bytes):
            yield Difference(name, "unseen", f"{usage.objects} objects and {usage.held_bytes} bytes lie there; it is not configured")
    located = await metadata.located()
    for backend in backends.values():
        bucket = located.get(backend.name) or backend.bucket
        if bucket != backend.bucket:
            detail = f"its bytes lie in the bucket {bucket}, not in {backend.bucket}: nothing was compared"
            yield Difference(backend.name, "elsewhere", detail)
            continue
        try:
            async for difference in _audit_backend(metadata, backend, quotas.get(backend.name)):
                yield difference
        except BackendError as error:  # The others are looked at all the same: now of all times they should be.
            yield Difference(backend.name, "unseen", f"not everything there was compared: {error}")


async def _audit_counters(metadata: Metadata, quotas: Mapping[str, int | None]) -> AsyncIterator[Difference]:
    usage, counted = await metadata.compare_usage()
    for name in sorted(counted.keys() | usage.keys()):
        rows, counter = counted.get(name, Usage(name)), usage.get(name, Usage(name))
        for field in ("used_bytes", "orphan_bytes", "reserved_bytes", "objects"):
            if getattr(rows, field) != getattr(counter, field):
                yield Difference(name, "counter", f"{field} says {getattr(counter, field)}, the rows sum to {getattr(rows, field)}")
        quota = quotas.get(name)
        if quota is not None and counter.held_bytes > quota:
            yield Difference(name, "quota", f"{counter.held_bytes} bytes used, orphaned and reserved; the quota is {quota}")


async def _audit_backend(metadata: Metadata, backend: Backend, quota: int | None) -> AsyncIterator[Difference]:
    # Bytes before rows: what is written meanwhile is then mentioned by a row that we still read.
    listed = {found.key: found.size_bytes async for found in backend.list()}
    uploads = [found async for found in backend.list_multipart()]
    mentions: dict[str, Mention] = {}
    async for mention in metadata.mentions(backend.name):
        first = mentions.setdefault(mention.storage_key, mention)  # Copies come first of what mentions the same bytes.
        if first.kind == "copy" != mention.kind and await _is_copy(metadata, backend.name, mention.storage_key):
            yield Difference(
                backend.name, "doomed", f"{mention.storage_key} has a copy row, and one of kind {mention.kind} that ends its bytes"
            )
    for key, size_bytes in listed.items():
        difference = await _check_listed(metadata, backend, key, size_bytes, mentions.get(key))
        if difference:
            yield difference
    for key, mention in mentions.items():
        if mention.kind == "copy" and key not in listed and await _still_missing(metadata, backend, key):
            yield Difference(backend.name, "missing", f"{key} has a copy row of {mention.size_bytes} bytes and is not there")
    for upload in await _forgotten(metadata, backend, [upload for upload in uploads if upload.key not in mentions]):
        yield Difference(backend.name, "upload", f"{upload.key} has a multipart upload {upload.upload_id} that no row mentions")
    held = sum(listed.values())
    if quota is not None and held > quota:
        # A listing takes a while: it may hold bytes that went and bytes that came instead of them. Those that stay are in both.
        held = sum([found.size_bytes async for found in backend.list() if found.key in listed])
    if quota is not None and held > quota:
        yield Difference(backend.name, "quota", f"holds {held} bytes; the quota is {quota}")


async def _check_listed(metadata: Metadata, backend: Backend, key: str, size_bytes: int, mention: Mention | None) -> Difference | None:
    mention = mention or await metadata.mentioned(backend.name, key)
    if mention is None:
        if await _gone(backend, key):
            return None  # It was being cleaned up while we looked.
        return Difference(backend.name, "unmentioned", f"{key} has {size_bytes} bytes that no row mentions")
    if mention.kind == "copy" and mention.size_bytes != size_bytes:
        return Difference(backend.name, "size", f"{key} has {size_bytes} bytes, its row says {mention.size_bytes}")
    return None


async def _forgotten(metadata: Metadata, backend: Backend, suspects: Sequence[ListedMultipart]) -> list[ListedMultipart]:
    """Those that no row mentions and that are still there: an upload that ended while we looked is none."""
    unmentioned = [upload for upload in suspects if await metadata.mentioned(backend.name, upload.key) is None]
    still_there = {found async for found in backend.list_multipart()} if unmentioned else set()
    return [upload for upload in unmentioned if upload in still_there]


async def _still_missing(metadata: Metadata, backend: Backend, key: str) -> bool:
    """Not there, and a live row still says that it is (committed after the listing, or deleted since, are both fine)."""
    if not await _gone(backend, key):
        return False
    return await _is_copy(metadata, backend.name, key)


async def _is_copy(metadata: Metadata, backend: str, storage_key: str) -> bool:
    """Bytes that something else mentions never become a copy's again: what is one now was one when we saw the other row."""
    mention = await metadata.mentioned(backend, storage_key)
    return mention is not None and mention.kind == "copy"


async def _gone(backend: Backend, key: str) -> bool:
    try:
        await backend.head(key)
    except BackendNotFound:
        return True
    return False
