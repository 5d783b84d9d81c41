"""The stories of multipart uploads: create, open, complete, abort; and of their parts.

An upload's space grows part by part and stays reserved until the upload ends. Everything that reads an upload in order to change
it, or its parts, does so under the upload's lock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from s3o_proxy.domain.cleanup import Reason
from s3o_proxy.domain.errors import BackendFenced, CompletedOtherwise, DomainError, MetadataError, NoSuchUpload, TooManyUploads, UploadBusy
from s3o_proxy.domain.frozen import frozen
from s3o_proxy.domain.model import Conditions, Copy, NewObject, Upload
from s3o_proxy.metadata.objects import key_lock, refuse, replace_objects
from s3o_proxy.metadata.operations import backend_lock
from s3o_proxy.metadata.records import Values, upload, upload_values
from s3o_proxy.metadata.reservations import upload_lock
from s3o_proxy.metadata.story import Book, Kind, Row, Steps, ask_each


@frozen
class CreateUpload:
    """`backend_bucket`: as that of a reservation."""

    upload: Upload
    max_uploads: int | None
    backend_bucket: str = ""


@frozen
class OpenUpload:
    upload_id: str
    backend_upload_id: str


@frozen
class BeginComplete:
    """`joined_etag`: of the object that the parts are to become."""

    upload_id: str
    owner: str
    now_ms: int
    joined_etag: str


@frozen
class EndComplete:
    upload_id: str
    owner: str
    may_be_complete: bool


@frozen
class CommitComplete:
    upload_id: str
    new: NewObject
    conditions: Conditions


@frozen
class AbortUpload:
    """`owner`: whose own Complete may be given up so; anybody else's is left alone while he lives. `settle_ms`: for how long what was asked
    of the backend may still take effect where nobody heard its end: a Complete, or (`may_come`) the upload itself."""

    upload_id: str
    reason: Reason
    now_ms: int
    owner: str
    settle_ms: int
    may_come: bool


def create_uploads(members: Sequence[CreateUpload], _book: Book) -> Steps[list[DomainError | None]]:
    buckets = sorted({m.upload.bucket for m in members if m.max_uploads is not None})
    rows = yield from ask_each("count_uploads", [{"bucket": bucket} for bucket in buckets])
    counts = Counter({row["bucket"]: row["uploads"] for row in rows})
    outcomes: dict[str, DomainError | None] = {}
    waiting = list(members)
    while True:
        admitted = _admit(waiting, counts.copy(), outcomes)
        values = [upload_values(m.upload) | {"backend_bucket": m.backend_bucket} for m in admitted]
        created = {row["upload_id"] for row in (yield from ask_each("put_uploads", values))}
        counts.update(m.upload.bucket for m in admitted if m.upload.upload_id in created)
        fenced = [m.upload for m in admitted if m.upload.upload_id not in created]
        if not fenced:
            return [outcomes[m.upload.upload_id] for m in members]
        # They took no place: whoever found none looks again.
        outcomes |= {one.upload_id: BackendFenced(one.backend) for one in fenced}
        waiting = [m for m in waiting if isinstance(outcomes[m.upload.upload_id], TooManyUploads)]


def _admit(members: Sequence[CreateUpload], counts: Counter[str], outcomes: dict[str, DomainError | None]) -> list[CreateUpload]:
    """In order of arrival, as long as there is room; `counts` and `outcomes` are kept."""
    admitted: list[CreateUpload] = []
    for m in members:
        one = m.upload
        if m.max_uploads is not None and counts[one.bucket] >= m.max_uploads:
            outcomes[one.upload_id] = TooManyUploads(one.bucket, m.max_uploads)
        else:
            outcomes[one.upload_id] = None
            counts[one.bucket] += 1
            admitted.append(m)
    return admitted


def open_uploads(members: Sequence[OpenUpload], _book: Book) -> Steps[list[DomainError | None]]:
    rows = yield from ask_each("open_uploads", [{"upload_id": m.upload_id, "backend_upload_id": m.backend_upload_id} for m in members])
    opened = {row["upload_id"] for row in rows}
    return [None if m.upload_id in opened else NoSuchUpload(m.upload_id) for m in members]


def begin_completes(members: Sequence[BeginComplete], _book: Book) -> Steps[list[Upload | DomainError]]:
    found = yield from _find([m.upload_id for m in members])
    outcomes: list[Upload | DomainError] = []
    claims: list[Values] = []
    for m in members:
        row = found.get(m.upload_id)
        if row is None or not row["backend_upload_id"]:
            outcomes.append(NoSuchUpload(m.upload_id))
        elif _is_being_completed(row, m.now_ms):
            outcomes.append(UploadBusy(m.upload_id))
        elif row["joined_etag"] not in ("", m.joined_etag):
            # The backend may have joined those: then the object that lies there is not what is asked for now.
            outcomes.append(CompletedOtherwise(m.upload_id))
        else:
            claims.append({"upload_id": m.upload_id, "state": "completing", "owner": m.owner, "joined_etag": m.joined_etag})
            outcomes.append(upload(row))
    yield from ask_each("claim_uploads", claims)
    return outcomes


def end_completes(members: Sequence[EndComplete], _book: Book) -> Steps[list[DomainError | None]]:
    yield from ask_each(
        "release_uploads",
        [{"upload_id": m.upload_id, "owner": m.owner, "state": "completing" if m.may_be_complete else "open"} for m in members],
    )
    return [None for _ in members]


def commit_completes(members: Sequence[CommitComplete], book: Book) -> Steps[list[DomainError | None]]:
    found = yield from _find([m.upload_id for m in members])
    known = [m for m in members if m.upload_id in found]
    refusals = yield from refuse([(m.new.bucket, m.new.key, m.conditions) for m in known])
    outcomes: dict[str, DomainError | None] = {m.upload_id: error for m, error in zip(known, refusals, strict=True)}
    passed = [m for m in known if outcomes[m.upload_id] is None]

    held = yield from _remove([found[m.upload_id] for m in passed])
    replacements: list[tuple[NewObject, list[Copy]]] = []
    for m in passed:
        if m.new.size_bytes > held[m.upload_id]:
            # It would grow used bytes beyond what was reserved, and so beyond a quota (I3): roll back, this member fails alone.
            raise MetadataError(f"upload {m.upload_id} reserved {held[m.upload_id]} bytes, its object has {m.new.size_bytes}")
        row = found[m.upload_id]
        book.move(row["backend"], reserved=-held[m.upload_id])
        replacements.append((m.new, [Copy(row["backend"], row["storage_key"], m.new.size_bytes)]))
    yield from replace_objects(replacements, book)
    return [outcomes.get(m.upload_id, NoSuchUpload(m.upload_id)) for m in members]


def abort_uploads(members: Sequence[AbortUpload], book: Book) -> Steps[list[DomainError | None]]:
    """One cleanup row each: it aborts the backend's upload, and deletes the object that a lost Complete may have made of it.

    Not while somebody completes it, and where he ended or died without an answer not before it settled: the backend may have taken his
    Complete and make the object only after the cleanup has looked.
    """
    found = yield from _find([m.upload_id for m in members])
    busy = {
        m.upload_id
        for m in members
        if m.upload_id in found and _is_being_completed(found[m.upload_id], m.now_ms) and found[m.upload_id]["owner"] != m.owner
    }
    known = [m for m in members if m.upload_id in found and m.upload_id not in busy]
    held = yield from _remove([found[m.upload_id] for m in known])
    cleanup: list[Values] = []
    for m in known:
        row, size_bytes = found[m.upload_id], held[m.upload_id]
        settles = m.may_come or row["state"] == "completing"
        book.move(row["backend"], reserved=-size_bytes, orphan=size_bytes)
        cleanup.append(
            {
                "backend": row["backend"],
                "storage_key": row["storage_key"],
                "backend_upload_id": row["backend_upload_id"],
                "size_bytes": size_bytes,
                "reason": m.reason,
                "due_ms": m.now_ms + (m.settle_ms if settles else 0),
            }
        )
    book.later("put_cleanup", cleanup)
    refused: dict[str, DomainError] = {upload_id: UploadBusy(upload_id) for upload_id in busy}
    return [refused.get(m.upload_id) if m.upload_id in found else NoSuchUpload(m.upload_id) for m in members]


def find_upload(bucket: str, key: str, upload_id: str) -> Steps[Upload]:
    found = yield from _find([upload_id])
    row = found.get(upload_id)
    if row is None or not row["backend_upload_id"] or (row["bucket"], row["key"]) != (bucket, key):
        raise NoSuchUpload(upload_id)
    return upload(row)


def _is_being_completed(row: Row, now_ms: int) -> bool:
    return bool(row["state"] == "completing" and row["owner_expires_ms"] > now_ms)


def _find(upload_ids: Sequence[str]) -> Steps[dict[str, Row]]:
    rows = yield from ask_each("find_uploads", [{"upload_id": upload_id} for upload_id in upload_ids])
    return {row["upload_id"]: row for row in rows}


def _remove(rows: Sequence[Row]) -> Steps[dict[str, int]]:
    """Take uploads out with all that they hold; returns the bytes each had reserved. Parts first: they refer to their upload."""
    ids = [{"upload_id": row["upload_id"]} for row in rows]
    held: dict[str, int] = {row["upload_id"]: 0 for row in rows}
    for part in (yield from ask_each("remove_parts", ids)):
        held[part["upload_id"]] += part["stored_bytes"]
    for intent in (yield from ask_each("remove_part_intents", ids)):
        held[intent["upload_id"]] += intent["size_bytes"]
    yield from ask_each("remove_uploads", ids)
    return held


CREATE_UPLOAD = Kind(
    "create_upload",
    create_uploads,
    identity=lambda m: f"create/{m.upload.upload_id}",
    locks=lambda m: (f"uploads-of/{m.upload.bucket}",) if m.max_uploads is not None else (),
    shares=lambda m: (backend_lock(m.upload.backend),),
)
OPEN_UPLOAD = Kind("open_upload", open_uploads, identity=lambda m: f"open/{m.upload_id}")
BEGIN_COMPLETE = Kind(
    "begin_complete", begin_completes, identity=lambda m: f"complete/{m.upload_id}", locks=lambda m: (upload_lock(m.upload_id),)
)
END_COMPLETE = Kind(
    "end_complete", end_completes, identity=lambda m: f"complete/{m.upload_id}", locks=lambda m: (upload_lock(m.upload_id),)
)
COMMIT_COMPLETE = Kind(
    "commit_complete",
    commit_completes,
    identity=lambda m: key_lock(m.new.bucket, m.new.key),
    locks=lambda m: (key_lock(m.new.bucket, m.new.key), upload_lock(m.upload_id)),
)
ABORT_UPLOAD = Kind("abort_upload", abort_uploads, identity=lambda m: f"abort/{m.upload_id}", locks=lambda m: (upload_lock(m.upload_id),))
