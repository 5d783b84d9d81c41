"""The vocabulary of S3: one frozen dataclass per operation a client can ask for, and one per answer that is not empty.

The router makes operations out of requests; `operations` answer them; `http.respond` renders the answers. Every S3
operation has a name here: those that this proxy does not serve arrive as `Unsupported`, never as something else.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import field

from s3o_proxy.domain.frozen import frozen
from s3o_proxy.domain.model import (
    ChecksumType,
    Conditions,
    Description,
    Digests,
    ListedObject,
    ListedUpload,
    Part,
    StoredObject,
    Upload,
)
from s3o_proxy.domain.ranges import RangeSpec
from s3o_proxy.domain.read_conditions import ReadConditions


@frozen
class Operation:
    """`bucket` and `key` are decoded; both are empty where the operation has none."""

    bucket: str = ""
    key: str = ""

    @property
    def name(self) -> str:
        return type(self).__name__


# --- objects -------------------------------------------------------------------------------------------------------


@frozen
class GetObject(Operation):
    """`range` is None for a whole object and for a Range header that must be ignored (several ranges, another unit)."""

    range: RangeSpec | None = None
    conditions: ReadConditions = ReadConditions()
    range_conditions: ReadConditions = ReadConditions()
    """If-Range: where these do not hold, `range` must be ignored and the whole object answered."""
    part_number: int | None = None
    response_headers: Mapping[str, str] = field(default_factory=dict)
    """Overrides from `response-*` parameters, by the lower-case name of the header that they replace."""
    checksum_mode: bool = False


@frozen
class HeadObject(GetObject):
    pass


@frozen
class PutObject(Operation):
    description: Description = field(default_factory=Description)
    conditions: Conditions = Conditions()


@frozen
class CopySource:
    bucket: str
    key: str
    conditions: ReadConditions = ReadConditions()


@frozen
class CopyObject(Operation):
    """`description` counts only where `replace_metadata` (x-amz-metadata-directive: REPLACE)."""

    source: CopySource = CopySource("", "")
    replace_metadata: bool = False
    description: Description = field(default_factory=Description)
    conditions: Conditions = Conditions()
    checksum_algorithm: str = ""


@frozen
class DeleteObject(Operation):
    conditions: Conditions = Conditions()


@frozen
class DeleteObjects(Operation):
    """Its keys arrive in the body."""


@frozen
class ListObjects(Operation):
    """Version 1. `after` is the marker."""

    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    max_keys: int = 1000
    url_encode: bool = False


@frozen
class ListObjectsV2(Operation):
    """`after` is what the continuation token hides, else start-after."""

    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    start_after: str = ""
    continuation_token: str = ""
    max_keys: int = 1000
    url_encode: bool = False
    fetch_owner: bool = False


# --- multipart -----------------------------------------------------------------------------------------------------


@frozen
class CreateMultipartUpload(Operation):
    description: Description = field(default_factory=Description)
    checksum_algorithm: str = ""
    checksum_type: ChecksumType = "COMPOSITE"


@frozen
class UploadPart(Operation):
    upload_id: str = ""
    part_number: int = 1


@frozen
class UploadPartCopy(Operation):
    """`range` is inclusive and must lie within the source (x-amz-copy-source-range)."""

    upload_id: str = ""
    part_number: int = 1
    source: CopySource = CopySource("", "")
    range: tuple[int, int] | None = None


@frozen
class CompleteMultipartUpload(Operation):
    """Its parts arrive in the body. `checksums`: the whole object's, if the client sent any. `object_size_bytes`: x-amz-mp-object-size."""

    upload_id: str = ""
    conditions: Conditions = Conditions()
    checksums: Mapping[str, str] = field(default_factory=dict)
    checksum_type: ChecksumType | None = None
    object_size_bytes: int | None = None


@frozen
class AbortMultipartUpload(Operation):
    upload_id: str = ""


@frozen
class ListParts(Operation):
    upload_id: str = ""
    after: int = 0
    max_parts: int = 1000
    url_encode: bool = False


@frozen
class ListMultipartUploads(Operation):
    prefix: str = ""
    delimiter: str = ""
    key_marker: str = ""
    upload_id_marker: str = ""
    max_uploads: int = 1000
    url_encode: bool = False


# --- buckets -------------------------------------------------------------------------------------------------------


@frozen
class ListBuckets(Operation):
    """`after` is what the continuation token hides; `region`: only buckets of this region, "" for all."""

    prefix: str = ""
    after: str = ""
    region: str = ""
    max_buckets: int = 10_000


@frozen
class CreateBucket(Operation):
    pass


@frozen
class HeadBucket(Operation):
    pass


@frozen
class GetBucketLocation(Operation):
    pass


@frozen
class GetUnconfigured(Operation):
    """A question whose honest answer is that nothing is configured. `subresource`: versioning, tagging, acl, policy, cors, … of a bucket;
    object-tagging, object-acl, … of an object: the tables in `s3/unconfigured.py`."""

    subresource: str = ""


@frozen
class Unsupported(Operation):
    """Recognised, and answered 501 NotImplemented. `operation` is its S3 name, or the parameter nobody knows."""

    operation: str = ""


# --- answers -------------------------------------------------------------------------------------------------------


@frozen
class ObjectRead:
    """GET's and HEAD's answer. `byte_range` (inclusive; an empty part's ends before it begins) is set where one was asked for and
    holds; `body` opens the bytes (None: HEAD)."""

    object: StoredObject
    byte_range: tuple[int, int] | None
    body: AbstractAsyncContextManager[AsyncIterable[bytes]] | None
    parts_count: int | None = None


@frozen
class NotModified:
    """304, with the validators of the object."""

    object: StoredObject


@frozen
class ObjectWritten:
    etag: str
    digests: Digests


@frozen
class PartWritten:
    etag: str
    digests: Digests


@frozen
class ObjectCopied:
    """Answer of CopyObject and of UploadPartCopy (`part`)."""

    etag: str
    modified_ms: int
    digests: Digests
    part: bool = False


@frozen
class KeyToDelete:
    key: str
    version_id: str = ""
    conditions: Conditions = Conditions()


@frozen
class DeleteFailure:
    key: str
    code: str
    message: str


@frozen
class ObjectsDeleted:
    """`deleted` is empty where the client asked to be quiet."""

    deleted: tuple[str, ...]
    failed: tuple[DeleteFailure, ...]


@frozen
class ObjectsListed:
    """`next_after` is the last key or prefix of the page; None when it is the last page."""

    request: ListObjects | ListObjectsV2
    objects: tuple[ListedObject, ...]
    prefixes: tuple[str, ...]
    next_after: str | None


@frozen
class UploadCreated:
    upload: Upload


@frozen
class UploadCompleted:
    bucket: str
    key: str
    etag: str
    digests: Digests


@frozen
class PartsListed:
    request: ListParts
    upload: Upload
    parts: tuple[Part, ...]
    truncated: bool


@frozen
class UploadsListed:
    request: ListMultipartUploads
    uploads: tuple[ListedUpload, ...]
    prefixes: tuple[str, ...]
    truncated: bool


@frozen
class BucketsListed:
    buckets: tuple[tuple[str, int], ...]
    """Name and creation time (ms), in name order."""
    request: ListBuckets = field(default_factory=ListBuckets)
    next_after: str | None = None
    """The last name of this page; None when it is the last page."""


@frozen
class BucketExists:
    """Answer of HeadBucket and CreateBucket."""

    created: bool = False


@frozen
class BucketLocation:
    region: str


@frozen
class NothingConfigured:
    subresource: str


@frozen
class Deleted:
    """204."""


Result = (
    ObjectRead
    | NotModified
    | ObjectWritten
    | PartWritten
    | ObjectCopied
    | ObjectsDeleted
    | ObjectsListed
    | UploadCreated
    | UploadCompleted
    | PartsListed
    | UploadsListed
    | BucketsListed
    | BucketExists
    | BucketLocation
    | NothingConfigured
    | Deleted
)
