"""Rows as nouns, and nouns as rows. Maps and lists are kept as JSON texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from s3o_proxy.domain.cleanup import Reason
from s3o_proxy.domain.model import (
    CleanupItem,
    Copy,
    Description,
    Digests,
    Intent,
    ListedObject,
    ListedUpload,
    NewObject,
    Part,
    StoredObject,
    Upload,
)
from s3o_proxy.metadata.story import Row

Values = dict[str, object]
"""A row to be written, by column."""


def as_text(value: Mapping[str, str] | Sequence[int]) -> str:
    return orjson.dumps(value).decode()


# --- objects -------------------------------------------------------------------------------------------------------


def stored_object(rows: Sequence[Row]) -> StoredObject:
    """`rows` are those of one object, one per copy."""
    first = rows[0]
    copies = [Copy(row["backend"], row["storage_key"], row["stored_bytes"]) for row in rows if row["backend"] is not None]
    return StoredObject(
        bucket=first["bucket"],
        key=first["key"],
        write_id=first["write_id"],
        size_bytes=first["size_bytes"],
        etag=first["etag"],
        modified_ms=first["modified_ms"],
        description=description(first),
        digests=digests(first),
        copies=tuple(sorted(copies, key=lambda copy: copy.backend)),
        part_sizes=tuple(orjson.loads(first["part_sizes"])),
    )


def description(row: Row) -> Description:
    return Description(headers=orjson.loads(row["headers"]), user_metadata=orjson.loads(row["user_metadata"]))


def digests(row: Row) -> Digests:
    return Digests(content_hash=row["content_hash"], checksums=orjson.loads(row["checksums"]), checksum_type=row["checksum_type"])


def object_values(new: NewObject) -> Values:
    return {
        "bucket": new.bucket,
        "key": new.key,
        "write_id": new.write_id,
        "size_bytes": new.size_bytes,
        "etag": new.etag,
        "modified_ms": new.modified_ms,
        **_description_values(new.description),
        **_digest_values(new.digests),
        "part_sizes": as_text(new.part_sizes),
    }


def copy_values(new: NewObject, copy: Copy) -> Values:
    return {
        "bucket": new.bucket,
        "key": new.key,
        "backend": copy.backend,
        "storage_key": copy.storage_key,
        "size_bytes": copy.size_bytes,
        "created_ms": new.modified_ms,
    }


def listed_objects(rows: Sequence[Row]) -> tuple[ListedObject, ...]:
    # By position, and all at once, their checksums as one document: a page has a thousand of them.
    checksums = orjson.loads(f"[{','.join([row[4] for row in rows])}]")
    return tuple(
        [
            ListedObject(key, size_bytes, etag, modified_ms, tuple(algorithms), checksum_type)
            for (key, size_bytes, etag, modified_ms, _, checksum_type), algorithms in zip(rows, checksums, strict=True)
        ]
    )


def intent_values(intent: Intent) -> Values:
    return {
        "write_id": intent.write_id,
        "backend": intent.backend,
        "bucket": intent.bucket,
        "key": intent.key,
        "storage_key": intent.storage_key,
        "size_bytes": intent.size_bytes,
        "owner": intent.owner,
        "created_ms": intent.created_ms,
        "upload_id": intent.upload_id,
        "part_number": intent.part_number,
        "settle_ms": intent.settle_ms,
    }


# --- multipart -----------------------------------------------------------------------------------------------------


def upload(row: Row) -> Upload:
    return Upload(
        upload_id=row["upload_id"],
        bucket=row["bucket"],
        key=row["key"],
        write_id=row["write_id"],
        backend=row["backend"],
        storage_key=row["storage_key"],
        backend_upload_id=row["backend_upload_id"],
        initiated_ms=row["initiated_ms"],
        description=description(row),
        checksum_algorithm=row["checksum_algorithm"],
        checksum_type=row["checksum_type"],
        state=row["state"],
    )


def upload_values(upload: Upload) -> Values:
    return {
        "upload_id": upload.upload_id,
        "bucket": upload.bucket,
        "key": upload.key,
        "write_id": upload.write_id,
        "backend": upload.backend,
        "storage_key": upload.storage_key,
        "backend_upload_id": upload.backend_upload_id,
        "initiated_ms": upload.initiated_ms,
        **_description_values(upload.description),
        "checksum_algorithm": upload.checksum_algorithm,
        "checksum_type": upload.checksum_type,
        "state": upload.state,
    }


def listed_upload(row: Row) -> ListedUpload:
    return ListedUpload(
        key=row["key"],
        upload_id=row["upload_id"],
        initiated_ms=row["initiated_ms"],
        checksum_algorithm=row["checksum_algorithm"],
        checksum_type=row["checksum_type"],
    )


def part(row: Row) -> Part:
    return Part(
        part_number=row["part_number"],
        size_bytes=row["size_bytes"],
        etag=row["etag"],
        backend_etag=row["backend_etag"],
        modified_ms=row["modified_ms"],
        digests=digests(row),
    )


def part_values(upload_id: str, part: Part, stored_bytes: int) -> Values:
    return {
        "upload_id": upload_id,
        "part_number": part.part_number,
        "size_bytes": part.size_bytes,
        "stored_bytes": stored_bytes,
        "etag": part.etag,
        "backend_etag": part.backend_etag,
        "modified_ms": part.modified_ms,
        **_digest_values(part.digests),
    }


# --- cleanup -------------------------------------------------------------------------------------------------------


def cleanup_item(row: Row) -> CleanupItem:
    return CleanupItem(
        item_id=row["item_id"],
        backend=row["backend"],
        storage_key=row["storage_key"],
        backend_upload_id=row["backend_upload_id"],
        size_bytes=row["size_bytes"],
        reason=row["reason"],
        attempts=row["attempts"],
    )


def cleanup_values(row: Row | Values, reason: Reason, due_ms: int, size_bytes: int) -> Values:
    """For bytes without an upload on the backend; `row` names backend and storage_key."""
    return {
        "backend": row["backend"],
        "storage_key": row["storage_key"],
        "backend_upload_id": "",
        "size_bytes": size_bytes,
        "reason": reason,
        "due_ms": due_ms,
    }


def _description_values(description: Description) -> Values:
    return {"headers": as_text(description.headers), "user_metadata": as_text(description.user_metadata)}


def _digest_values(digests: Digests) -> Values:
    return {
        "checksums": as_text(digests.checksums),
        "checksum_type": digests.checksum_type,
        "content_hash": digests.content_hash,
    }
