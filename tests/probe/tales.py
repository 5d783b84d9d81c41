"""The stories that are told at every point: what is there before, what is done, and what may be there afterwards.

Workers are not among them: each that a process runs is a story of its own (`of_worker`), over a world in which all have something to do.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

from tests.probe.world import BUCKET, OTHER_BUCKET, STALE_MS, Site
from tests.support.ledger import an_intent

from s3o_proxy.domain.errors import DomainError, InvalidPart, NoSuchUpload, PreconditionFailed
from s3o_proxy.domain.model import Conditions
from s3o_proxy.domain.operation import Wish
from s3o_proxy.operations.copied_body import NoBody
from s3o_proxy.operations.move_object import move_copy
from s3o_proxy.s3.errors import S3Error
from s3o_proxy.s3.operation import (
    AbortMultipartUpload,
    CompleteMultipartUpload,
    CopyObject,
    CopySource,
    CreateMultipartUpload,
    DeleteObject,
    DeleteObjects,
    GetObject,
    HeadObject,
    ListMultipartUploads,
    ListParts,
    ObjectRead,
    ObjectsDeleted,
    PartsListed,
    PartWritten,
    PutObject,
    UploadCreated,
    UploadPart,
    UploadPartCopy,
    UploadsListed,
)

Facts = dict[str, Any]
"""What the preparation learned: upload ids, ETags."""
Content = bytes | None
"""Of a key; None where there is none."""

OLD, NEW, OTHER, FILM = b"old bytes", b"newer bytes", b"of nobody's concern", b"a film"
QUOTA_BYTES = 400
"""Of each backend: so little that a reservation which is never released is felt."""


Act = Callable[[Site, Facts], Coroutine[Any, Any, set[str] | None]]


async def _nothing(_: Site) -> Facts:
    return {}


async def _done(_: Site, __: Facts) -> None:
    return None


@dataclass(frozen=True)
class Tale:
    """`act` returns the keys that were acknowledged where it tells them apart, None when all of it was. `after`: the keys that it changes.

    `pardons`: how the same, done again after it took effect, may be refused. `finish`: is run when all is settled, and looks at what keys
    do not show.
    """

    name: str
    act: Act
    after: Mapping[str, Content] = field(default_factory=dict)
    prepare: Callable[[Site], Awaitable[Facts]] = _nothing
    pardons: tuple[type[DomainError], ...] = ()
    takes_effect_after: Callable[[Content], bool] = lambda _: True
    """Whether it may still be done when somebody else wrote that to the key meanwhile."""
    finish: Callable[[Site, Facts], Awaitable[None]] = _done
    ready: Callable[[Site], Awaitable[None]] | None = None
    """What the process does before it is struck."""
    shares_account: bool = False
    max_put_bytes: int | None = None
    repeats: bool = True
    """Doing it again makes sense."""
    settles_at_once: bool = True
    """What clients read is decided when the story is over, not by the workers afterwards."""


async def put(site: Site, key: str, data: bytes, conditions: Conditions = Conditions(), *, bucket: str = BUCKET) -> None:
    await site.perform(PutObject(bucket, key, conditions=conditions), data)


def _put(key: str, data: bytes, conditions: Conditions = Conditions()) -> Act:
    async def act(site: Site, _: Facts) -> None:
        await put(site, key, data, conditions)

    return act


async def _an_old_one(site: Site) -> Facts:
    await put(site, "key", OLD)
    await put(site, "other", OTHER)
    found = await site.perform(HeadObject(BUCKET, "key"))
    assert isinstance(found, ObjectRead)
    return {"etag": found.object.etag}


async def _put_where_it_is(site: Site, facts: Facts) -> None:
    await put(site, "key", NEW, Conditions(if_match=facts["etag"]))


async def _delete(site: Site, _: Facts) -> None:
    await site.perform(DeleteObject(BUCKET, "key"))


async def _three_keys(site: Site) -> Facts:
    for key in ("a", "b", "c"):
        await put(site, key, OLD + key.encode())
    return {}


async def _delete_many(site: Site, _: Facts) -> set[str]:
    keys = ("a", "c", "missing")
    document = "<Delete>" + "".join(f"<Object><Key>{key}</Key></Object>" for key in keys) + "</Delete>"
    answer = await site.perform(DeleteObjects(BUCKET), document.encode())
    assert isinstance(answer, ObjectsDeleted)
    return set(answer.deleted) - {"missing"}


def _copy(**named: Any) -> Act:
    async def act(site: Site, _: Facts) -> None:
        await site.perform(CopyObject(BUCKET, "copy", source=CopySource(BUCKET, "key"), **named))

    return act


# --- uploads ------------------------------------------------------------------------------------------------------------------------


async def _create(site: Site, _: Facts) -> None:
    await site.perform(CreateMultipartUpload(BUCKET, "film"))


async def _an_upload(site: Site) -> Facts:
    await put(site, "key", OLD)
    created = await site.perform(CreateMultipartUpload(BUCKET, "film"))
    assert isinstance(created, UploadCreated)
    return {"upload_id": created.upload.upload_id}


async def _upload_part(site: Site, facts: Facts) -> None:
    await site.perform(UploadPart(BUCKET, "film", upload_id=facts["upload_id"], part_number=1), FILM)


async def _upload_part_copy(site: Site, facts: Facts) -> None:
    source = CopySource(BUCKET, "key")
    await site.perform(UploadPartCopy(BUCKET, "film", upload_id=facts["upload_id"], part_number=1, source=source))


async def _an_upload_with_a_part(site: Site) -> Facts:
    facts = await _an_upload(site)
    sent = await site.perform(UploadPart(BUCKET, "film", upload_id=facts["upload_id"], part_number=1), OLD)
    assert isinstance(sent, PartWritten)
    return facts | {"etag": sent.etag}


async def _an_upload_over_an_old_one(site: Site) -> Facts:
    await put(site, "film", OTHER)
    return await _an_upload_with_a_part(site)


def _complete(conditions: Conditions = Conditions()) -> Act:
    async def act(site: Site, facts: Facts) -> None:
        part = f"<Part><PartNumber>1</PartNumber><ETag>{escape(facts['etag'])}</ETag></Part>"
        document = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>"
        await site.perform(CompleteMultipartUpload(BUCKET, "film", upload_id=facts["upload_id"], conditions=conditions), document.encode())

    return act


async def _complete_or_abort(site: Site, facts: Facts) -> None:
    """As SDKs do: what could not be completed is aborted, whatever has become of it."""
    try:
        await _complete()(site, facts)
    except (DomainError, S3Error):
        with contextlib.suppress(DomainError):
            await _abort(site, facts)
        raise


async def _abort(site: Site, facts: Facts) -> None:
    await site.perform(AbortMultipartUpload(BUCKET, "film", upload_id=facts["upload_id"]))


def _with_part(*allowed: bytes) -> Callable[[Site, Facts], Awaitable[None]]:
    async def finish(site: Site, facts: Facts) -> None:
        """The upload can be completed with the part that is listed, and has its bytes."""
        listed = await site.perform(ListParts(BUCKET, "film", upload_id=facts["upload_id"]))
        assert isinstance(listed, PartsListed)
        for part in listed.parts:
            try:
                await _complete()(site, facts | {"etag": part.etag})
            except InvalidPart:
                # One that was sent again and never acknowledged may have taken its place on the backend: then it is sent once more.
                assert len(allowed) > 1
                await _upload_part(site, facts)
                await _complete()(site, facts | {"etag": hashlib.md5(FILM, usedforsecurity=False).hexdigest()})
            content = await site.read(GetObject(BUCKET, "film"))
            assert content in allowed, f"the upload was completed as {content!r}"
            await site.perform(DeleteObject(BUCKET, "film"))

    return finish


async def _abort_all(site: Site, _: Facts) -> None:
    """What was created and never told is seen in the listing, and can be aborted."""
    listed = await site.perform(ListMultipartUploads(BUCKET))
    assert isinstance(listed, UploadsListed)
    for upload in listed.uploads:
        await site.perform(AbortMultipartUpload(BUCKET, upload.key, upload_id=upload.upload_id))


# --- operations ---------------------------------------------------------------------------------------------------------------------


async def _ask(site: Site, kind: Any, backend: str = "", bucket: str = "") -> str:
    asked = await site.proxy.desk.ask(Wish(kind, "uid", f"{kind}-{backend}-{bucket}", backend, bucket))
    return asked.operation_id


async def _objects(site: Site) -> Facts:
    await put(site, "a", OLD + b"a")
    await put(site, "key", OLD)
    return {}


def _asked(kind: Any, **target: str) -> Callable[[Site], Awaitable[Facts]]:
    async def prepare(site: Site) -> Facts:
        await _objects(site)
        await put(site, "film", FILM, bucket=OTHER_BUCKET)
        return {"operation": await _ask(site, kind, **target)}

    return prepare


async def _operate(site: Site, _: Facts) -> set[str]:
    await site.work("operate")
    return set()


def _succeeded(emptied: str = "") -> Callable[[Site, Facts], Awaitable[None]]:
    async def finish(site: Site, facts: Facts) -> None:
        found = await site.metadata.find_operation(facts["operation"])
        assert found is not None
        assert found.state == "Succeeded", found
        if emptied:
            assert not [key for name, key in site.world.stored() if name == emptied]

    return finish


async def _ask_drain(site: Site, _: Facts) -> None:
    await _ask(site, "Drain", backend="first")


async def _move_by_parts(site: Site, _: Facts) -> set[str]:
    found = await site.metadata.find_object(BUCKET, "key")
    assert found is not None
    context = site.proxy._context(frozenset(), NoBody())
    target = [each for each in context.candidates() if each.name == "second"]
    if found.copies[0].backend != "second":
        await move_copy(context, found, found.copies[0], target, max_put_bytes=1)
    return set()


async def _begin_again(site: Site, _: Facts) -> set[str]:
    await site.proxy.begin()
    return set()


async def _end(site: Site, _: Facts) -> set[str]:
    await site.proxy.end()
    return set()


TALES: tuple[Tale, ...] = (
    Tale("put", _put("key", NEW), {"key": NEW}),
    Tale("put nothing", _put("key", b""), {"key": b""}),
    Tale("overwrite", _put("key", NEW), {"key": NEW}, _an_old_one),
    Tale(
        "put if none match",
        _put("key", NEW, Conditions(if_none_match="*")),
        {"key": NEW},
        pardons=(PreconditionFailed,),
        takes_effect_after=lambda content: content is None,
    ),
    Tale("put if match", _put_where_it_is, {"key": NEW}, _an_old_one, (PreconditionFailed,), takes_effect_after=lambda _: False),
    Tale("delete", _delete, {"key": None}, _an_old_one),
    Tale("delete many", _delete_many, {"a": None, "c": None}, _three_keys),
    Tale("copy", _copy(), {"copy": OLD}, _an_old_one),
    Tale("copy, streamed", _copy(checksum_algorithm="SHA256"), {"copy": OLD}, _an_old_one),
    Tale("create upload", _create, finish=_abort_all),
    Tale("upload part", _upload_part, prepare=_an_upload, finish=_with_part(FILM)),
    Tale("upload part again", _upload_part, prepare=_an_upload_with_a_part, finish=_with_part(OLD, FILM)),
    Tale("upload part copy", _upload_part_copy, prepare=_an_upload, finish=_with_part(OLD)),
    Tale("complete", _complete(), {"film": OLD}, _an_upload_with_a_part),
    Tale("complete over", _complete(), {"film": OLD}, _an_upload_over_an_old_one),
    Tale(
        "complete if none match",
        _complete(Conditions(if_none_match="*")),
        {"film": OLD},
        _an_upload_with_a_part,
        (PreconditionFailed, NoSuchUpload),
        takes_effect_after=lambda content: content is None,
    ),
    Tale("complete, or abort", _complete_or_abort, {"film": OLD}, _an_upload_with_a_part, repeats=False),
    Tale("abort", _abort, prepare=_an_upload_with_a_part, pardons=(NoSuchUpload,)),
    Tale("ask for a drain", _ask_drain, prepare=_objects),
    Tale("drain", _operate, prepare=_asked("Drain", backend="first"), finish=_succeeded("first")),
    Tale("drain, copied", _operate, prepare=_asked("Drain", backend="first"), finish=_succeeded("first"), shares_account=True),
    Tale("rebalance", _operate, prepare=_asked("Rebalance"), finish=_succeeded()),
    Tale(
        "purge",
        _operate,
        {"a": None, "key": None},
        _asked("Purge", bucket=BUCKET),
        finish=_succeeded(),
        repeats=False,
        settles_at_once=False,
    ),
    Tale("move by parts", _move_by_parts, prepare=_objects, max_put_bytes=1),
    Tale("begin", _begin_again, prepare=_objects),
    Tale("end", _end, prepare=_objects, repeats=False),
)


# --- workers ------------------------------------------------------------------------------------------------------------------------


async def _something_for_all(site: Site) -> Facts:
    """Objects and a drain that moves them, a stale upload, the intent of a dead process, bytes to be deleted."""
    await _objects(site)
    facts = await _an_upload_with_a_part(site)
    for data in (OLD, NEW):
        await put(site, "displaced", data)
    await site.metadata.reserve_write(an_intent("OF-THE-DEAD", "key", bucket=BUCKET, backend="first", owner="dead"), None)
    site.world.move_clocks(STALE_MS)
    await site.become_sure()
    await _ask(site, "Drain", backend="first")
    return facts


def of_worker(name: str) -> Tale:
    async def act(site: Site, _: Facts) -> set[str]:
        await site.work(name)
        return set()

    return Tale(f"worker {name}", act, prepare=_something_for_all, ready=Site.become_sure)
