"""The nouns of the ledger, as frozen values: what metadata stores and what operations and workers hand around."""

from __future__ import annotations

from dataclasses import field
from typing import Literal

from s3o_proxy.domain.frozen import frozen

ChecksumType = Literal["FULL_OBJECT", "COMPOSITE"]


@frozen
class Description:
    """What a client said about an object, kept and returned as it was sent.

    `headers`: standard headers by lower-case name (content-type, cache-control, content-disposition,
    content-encoding, content-language, expires, x-amz-website-redirect-location).
    `user_metadata`: by lower-case name without the `x-amz-meta-` prefix.
    """

    headers: dict[str, str] = field(default_factory=dict)
    user_metadata: dict[str, str] = field(default_factory=dict)


@frozen
class Digests:
    """What is known of an object's bytes.

    `checksums`: algorithm (CRC32, CRC32C, CRC64NVME, SHA1, SHA256) to base64 value (with `-N` when composite): what the
    client supplied or asked for, and CRC64NVME where it asked for nothing, as S3 does.
    `content_hash`: base64 CRC64NVME over the whole object; always known.
    """

    content_hash: str
    checksums: dict[str, str] = field(default_factory=dict)
    checksum_type: ChecksumType = "FULL_OBJECT"


@frozen
class Copy:
    """Bytes of one object on one backend. `size_bytes` is what they occupy there."""

    backend: str
    storage_key: str
    size_bytes: int


@frozen
class StoredObject:
    """One committed object with the copies that hold its bytes. `etag` has no quotes."""

    bucket: str
    key: str
    write_id: str
    size_bytes: int
    etag: str
    modified_ms: int
    description: Description
    digests: Digests
    copies: tuple[Copy, ...]
    part_sizes: tuple[int, ...] = ()
    """Sizes of the parts of a completed multipart upload, in order; empty for any other object."""


@frozen
class Conditions:
    """The conditions of a write or delete, decided inside the commit. ETags without quotes, or `*`."""

    if_match: str | None = None
    if_none_match: str | None = None

    def __bool__(self) -> bool:
        return self.if_match is not None or self.if_none_match is not None


@frozen
class Intent:
    """A write that reserved space and is not yet committed: the row that mentions bytes which may already lie there.

    `owner` is the instance that writes; when its lease has ended, the intent is reaped. An intent of a part names its
    upload; any other has `upload_id == ""` and `part_number == 0`. `settle_ms`: for how long the bytes may still come to be
    there once nobody waits for the backend's answer.
    """

    write_id: str
    bucket: str
    key: str
    backend: str
    storage_key: str
    size_bytes: int
    owner: str
    created_ms: int
    upload_id: str = ""
    part_number: int = 0
    settle_ms: int = 0


@frozen
class NewObject:
    """What a commit makes visible: the object without its copies (they are the intents that the commit consumes)."""

    bucket: str
    key: str
    write_id: str
    size_bytes: int
    etag: str
    modified_ms: int
    description: Description
    digests: Digests
    part_sizes: tuple[int, ...] = ()


@frozen
class Upload:
    """A multipart upload, pinned to one backend, mapped to that backend's own upload `backend_upload_id`.

    `state`: open (parts arrive), completing (a Complete is running or died; the bytes may already be an object at
    `storage_key`).
    """

    upload_id: str
    bucket: str
    key: str
    write_id: str
    backend: str
    storage_key: str
    backend_upload_id: str
    initiated_ms: int
    description: Description
    checksum_algorithm: str = ""
    checksum_type: ChecksumType = "COMPOSITE"
    state: Literal["open", "completing"] = "open"


@frozen
class Part:
    """One uploaded part. `etag` is what the client was told, `backend_etag` what the backend wants back at Complete."""

    part_number: int
    size_bytes: int
    etag: str
    backend_etag: str
    modified_ms: int
    digests: Digests


@frozen
class BucketUsage:
    """What one bucket held when it was last counted."""

    bucket: str
    objects: int = 0
    size_bytes: int = 0


@frozen
class Usage:
    """What one backend holds by the ledger's counters. The sum of the three byte counts never exceeds a quota (I3)."""

    backend: str
    used_bytes: int = 0
    orphan_bytes: int = 0
    reserved_bytes: int = 0
    objects: int = 0

    @property
    def held_bytes(self) -> int:
        return self.used_bytes + self.orphan_bytes + self.reserved_bytes


@frozen
class CleanupItem:
    """Bytes nobody reads any more, still on a backend. Where `cleanup.may_leave_upload` says so, also an upload to abort
    there: `backend_upload_id`, or (where that is empty) any of this storage key."""

    item_id: int
    backend: str
    storage_key: str
    backend_upload_id: str
    size_bytes: int
    reason: str
    attempts: int


@frozen
class ListQuery:
    """One page of a listing. `after` is exclusive and compares in UTF-8 byte order; `prefix` filters; `delimiter` groups."""

    bucket: str
    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    limit: int = 1000


@frozen
class ListedObject:
    key: str
    size_bytes: int
    etag: str
    modified_ms: int
    checksum_algorithms: tuple[str, ...]
    checksum_type: ChecksumType


@frozen
class ListPage:
    """Keys and common prefixes in one byte order, together at most `limit`.

    `last` is the last key or prefix returned (feed it back as `after`: a prefix there skips everything below it);
    `truncated` is exact: more exists behind `last`.
    """

    objects: tuple[ListedObject, ...]
    prefixes: tuple[str, ...]
    truncated: bool
    last: str


@frozen
class ListedUpload:
    key: str
    upload_id: str
    initiated_ms: int
    checksum_algorithm: str
    checksum_type: ChecksumType


@frozen
class UploadsPage:
    uploads: tuple[ListedUpload, ...]
    prefixes: tuple[str, ...]
    truncated: bool
