"""What tests put into a ledger: nouns with sensible defaults, and the two calls that make an object."""

from __future__ import annotations

from s3o_proxy.domain.model import Conditions, Description, Digests, Intent, NewObject, Part, Upload
from s3o_proxy.metadata.port import Metadata

BUCKET = "photos"
BACKEND = "east"
OWNER = "proxy-1"
NOW_MS = 1_800_000_000_000
MINUTE_MS = 60_000


def an_intent(
    write_id: str,
    key: str = "cat.jpg",
    *,
    bucket: str = BUCKET,
    backend: str = BACKEND,
    size_bytes: int = 10,
    owner: str = OWNER,
    settle_ms: int = 0,
) -> Intent:
    return Intent(write_id, bucket, key, backend, f"{bucket}/{key}~{write_id}", size_bytes, owner, NOW_MS, settle_ms=settle_ms)


def an_object(
    write_id: str,
    key: str = "cat.jpg",
    *,
    bucket: str = BUCKET,
    size_bytes: int = 10,
    modified_ms: int = NOW_MS,
    part_sizes: tuple[int, ...] = (),
) -> NewObject:
    return NewObject(
        bucket=bucket,
        key=key,
        write_id=write_id,
        size_bytes=size_bytes,
        etag=f"etag-{write_id}",
        modified_ms=modified_ms,
        description=Description({"content-type": "image/jpeg"}, {"mood": "zufrieden \U0001f408"}),
        digests=Digests("Y3JjNjQ=", {"CRC32": "AAAAAA==", "SHA256": "c2hh"}, "FULL_OBJECT"),
        part_sizes=part_sizes,
    )


def an_upload(upload_id: str, key: str = "film.mkv", *, bucket: str = BUCKET, backend: str = BACKEND, initiated_ms: int = NOW_MS) -> Upload:
    """Not yet open: the backend's id comes with `open_upload`."""
    return Upload(
        upload_id=upload_id,
        bucket=bucket,
        key=key,
        write_id=f"write-of-{upload_id}",
        backend=backend,
        storage_key=f"{bucket}/{key}~write-of-{upload_id}",
        backend_upload_id="",
        initiated_ms=initiated_ms,
        description=Description({"content-type": "video/x-matroska"}, {}),
        checksum_algorithm="CRC64NVME",
        checksum_type="FULL_OBJECT",
    )


def a_part_intent(write_id: str, upload: Upload, part_number: int, *, size_bytes: int = 100, owner: str = OWNER) -> Intent:
    return Intent(
        write_id, upload.bucket, upload.key, upload.backend, upload.storage_key, size_bytes, owner, NOW_MS, upload.upload_id, part_number
    )


def a_part(part_number: int, *, size_bytes: int = 100, etag: str = "etag", modified_ms: int = NOW_MS) -> Part:
    return Part(part_number, size_bytes, etag, f"backend-{etag}", modified_ms, Digests("cGFydA==", {"CRC64NVME": "cGFydA=="}))


async def put(
    ledger: Metadata,
    write_id: str,
    key: str = "cat.jpg",
    *,
    bucket: str = BUCKET,
    backend: str = BACKEND,
    size_bytes: int = 10,
    conditions: Conditions = Conditions(),
) -> None:
    reserved = await ledger.reserve_write(an_intent(write_id, key, bucket=bucket, backend=backend, size_bytes=size_bytes), None)
    assert reserved.granted
    await ledger.commit_write(an_object(write_id, key, bucket=bucket, size_bytes=size_bytes), conditions)


async def open_upload(ledger: Metadata, upload_id: str, key: str = "film.mkv", *, bucket: str = BUCKET, backend: str = BACKEND) -> Upload:
    upload = an_upload(upload_id, key, bucket=bucket, backend=backend)
    await ledger.create_upload(upload, None)
    await ledger.open_upload(upload_id, f"backend-{upload_id}")
    return upload


async def put_part(ledger: Metadata, upload: Upload, part_number: int, *, size_bytes: int = 100, write_id: str = "") -> None:
    write_id = write_id or f"{upload.upload_id}-{part_number}"
    reserved = await ledger.reserve_part(a_part_intent(write_id, upload, part_number, size_bytes=size_bytes), None)
    assert reserved.granted
    await ledger.commit_part(write_id, a_part(part_number, size_bytes=size_bytes, etag=write_id))


async def check_counters(ledger: Metadata) -> None:
    """I6."""
    counters, sums = await ledger.compare_usage()
    assert counters == sums, "a counter differs from the sum it stands for"
