"""Everything that can go wrong, as one tree of plain exceptions; each carries what its reader needs to act.

`s3/errors.py` turns these into S3 codes by table, at the border; nobody in between catches them to rename them.
"""

from __future__ import annotations


class DomainError(Exception):
    """Base of all errors that the proxy raises on purpose."""


def causes(error: BaseException) -> list[BaseException]:
    """What is in a group of errors, and in groups within it; else the error itself."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [cause for inner in error.exceptions for cause in causes(inner)]


# --- what the client asked for is not there, or not so -------------------------------------------------------------


class NoSuchBucket(DomainError):
    def __init__(self, bucket: str) -> None:
        super().__init__(f"bucket {bucket!r} does not exist")
        self.bucket = bucket


class NoSuchKey(DomainError):
    def __init__(self, bucket: str, key: str) -> None:
        super().__init__(f"no object {bucket}/{key}")
        self.bucket, self.key = bucket, key


class NoSuchUpload(DomainError):
    def __init__(self, upload_id: str) -> None:
        super().__init__(f"no upload {upload_id!r}")
        self.upload_id = upload_id


class PreconditionFailed(DomainError):
    """`condition` is the header that did not hold, in its canonical spelling (`If-Match`, `If-None-Match`, …)."""

    def __init__(self, condition: str) -> None:
        super().__init__(f"{condition} does not hold")
        self.condition = condition


class RangeNotSatisfiable(DomainError):
    """Nothing of the range, or no such part, lies within the object."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"the range lies outside the object's {size_bytes} bytes")
        self.size_bytes = size_bytes


class PartNotSatisfiable(DomainError):
    """A read of part `part_number` of an object that has `parts_count`."""

    def __init__(self, part_number: int, parts_count: int) -> None:
        super().__init__(f"part {part_number} was asked for, the object has {parts_count}")
        self.part_number, self.parts_count = part_number, parts_count


class UploadBusy(DomainError):
    """A Complete of the same upload is running now: it can be neither completed, nor added to, nor aborted."""

    def __init__(self, upload_id: str) -> None:
        super().__init__(f"upload {upload_id!r} is being completed")
        self.upload_id = upload_id


class CompletedOtherwise(DomainError):
    """An earlier Complete of the upload named other parts, and nobody knows whether the backend carried it out."""

    def __init__(self, upload_id: str) -> None:
        super().__init__(
            f"An earlier CompleteMultipartUpload of upload {upload_id} named other parts and may have taken effect: "
            "repeat that one, or abort the upload."
        )
        self.upload_id = upload_id


class InvalidPart(DomainError):
    def __init__(self, part_number: int) -> None:
        super().__init__(f"part {part_number} was not uploaded, or its ETag or checksum differs")
        self.part_number = part_number


class PartTooSmall(DomainError):
    def __init__(self, part_number: int, size_bytes: int, minimum_bytes: int) -> None:
        super().__init__(f"part {part_number} has {size_bytes} bytes; every part but the last needs {minimum_bytes}")
        self.part_number, self.size_bytes, self.minimum_bytes = part_number, size_bytes, minimum_bytes


class TooManyUploads(DomainError):
    def __init__(self, bucket: str, limit: int) -> None:
        super().__init__(f"bucket {bucket!r} has {limit} multipart uploads in progress, its limit")
        self.bucket, self.limit = bucket, limit


# --- the body is not what its sender said --------------------------------------------------------------------------


class BodyError(DomainError):
    """The request's body broke a promise of its headers. Raised before the last byte is handed on."""


class IncompleteBody(BodyError):
    def __init__(self, expected_bytes: int, received_bytes: int) -> None:
        super().__init__(f"body ended after {received_bytes} of {expected_bytes} bytes")


class BadDigest(BodyError):
    """Content-MD5 or an `x-amz-checksum-*` value differs from the bytes received. `name` is the header."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} does not match the bytes received")
        self.name = name


class PayloadHashMismatch(BodyError):
    def __init__(self) -> None:
        super().__init__("x-amz-content-sha256 does not match the bytes received")


class ChunkSignatureMismatch(BodyError):
    def __init__(self) -> None:
        super().__init__("a chunk or trailer signature does not match")


class MalformedBody(BodyError):
    """Framing that is no aws-chunked body, or a transfer coding that is none."""


class MalformedTrailer(MalformedBody):
    """Trailing headers that are none, that were not announced, or that were announced and did not come."""


class InvalidTrailer(BodyError):
    """A trailing header came as announced, and its value cannot be read."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Value for {name} trailing header is invalid.")
        self.name = name


class DocumentTooLong(BodyError):
    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(f"the document has {size_bytes} bytes; at most {limit_bytes} are read")
        self.size_bytes, self.limit_bytes = size_bytes, limit_bytes


class ClientTimeout(BodyError):
    """The client sent nothing for the allowed time."""


class ClientDisconnected(BodyError):
    """The client went away before its body was complete."""


# --- there is no room ----------------------------------------------------------------------------------------------


class NoSpace(DomainError):
    """No backend takes this write. Each subclass is one reason with its own message."""


class NoBackends(NoSpace):
    def __init__(self) -> None:
        super().__init__("no backend is configured")


class NoBackendAccepts(NoSpace):
    def __init__(self, cordoned: tuple[str, ...]) -> None:
        super().__init__(f"no backend accepts writes: {', '.join(cordoned)} cordoned")
        self.cordoned = cordoned


class BackendFenced(NoSpace):
    """A drain or a purge closed this backend to new writes, or its name was given to another bucket; another backend may take it."""

    def __init__(self, backend: str) -> None:
        super().__init__(f"backend {backend} takes no new writes: it is being emptied, or was, or lies in another bucket now")
        self.backend = backend


class ObjectTooLarge(NoSpace):
    """No backend takes an object of this size, however empty it is."""

    def __init__(self, size_bytes: int, largest_bytes: int) -> None:
        super().__init__(
            f"the object has {size_bytes} bytes; the largest that any backend's maxObjectSize or quota allows is {largest_bytes}"
        )
        self.size_bytes, self.largest_bytes = size_bytes, largest_bytes


class QuotaExceeded(NoSpace):
    """`free_bytes`: the most that a single eligible backend had left when asked."""

    def __init__(self, size_bytes: int, free_bytes: int) -> None:
        super().__init__(f"the write needs {size_bytes} bytes; the roomiest backend has {free_bytes} left in its quota")
        self.size_bytes, self.free_bytes = size_bytes, free_bytes


# --- backends ------------------------------------------------------------------------------------------------------


class BackendError(DomainError):
    """A call to a backend failed.

    `ambiguous`: the call may have taken effect all the same (the whole request was sent and no answer came).
    """

    def __init__(self, backend: str, message: str, *, ambiguous: bool = False) -> None:
        super().__init__(f"backend {backend}: {message}")
        self.backend, self.ambiguous = backend, ambiguous


class BackendNotFound(BackendError):
    """404: no such key or upload there."""


class BackendRejected(BackendError):
    """The backend answered and refused (a 4xx that it means). `code` is its S3 code."""

    def __init__(self, backend: str, status: int, code: str, message: str) -> None:
        super().__init__(backend, f"{status} {code}: {message}")
        self.status, self.code = status, code


class BackendUnavailable(BackendError):
    """No connection, a 5xx, or a connection that broke."""


class BackendTimeout(BackendUnavailable):
    """No progress for the allowed time."""


class BytesDiffer(BackendUnavailable):
    """What a backend stores, or stored, is not what it was given."""


class BackendThrottled(BackendUnavailable):
    """429, 503 SlowDown and their like."""


class NoCopyReadable(DomainError):
    """Every copy of an object failed; `reasons` says how, by backend. `corrupt`: each backend answered, and none has the object's bytes."""

    def __init__(self, reasons: dict[str, str], *, corrupt: bool = False) -> None:
        super().__init__("no copy readable: " + "; ".join(f"{name}: {why}" for name, why in reasons.items()))
        self.reasons, self.corrupt = reasons, corrupt


class AllBackendsFailed(DomainError):
    """Every backend that could have taken a write failed; `reasons` says how, by backend."""

    def __init__(self, reasons: dict[str, str]) -> None:
        super().__init__("no backend took the write: " + "; ".join(f"{name}: {why}" for name, why in reasons.items()))
        self.reasons = reasons


# --- metadata ------------------------------------------------------------------------------------------------------


class MetadataError(DomainError):
    """The database could not be asked, or refused."""


class MetadataUnavailable(MetadataError):
    """The statement certainly did not take effect (no connection, rolled back)."""


class OutcomeUnknown(MetadataError):
    """The connection broke after COMMIT was sent: it may have taken effect. Nothing may be deleted on this (I8)."""


class WriteLost(MetadataError):
    """The intent was reaped before its commit. The write is to be abandoned, since its bytes may have landed after their cleanup; the
    client must retry."""

    def __init__(self, write_id: str) -> None:
        super().__init__(f"write {write_id} lost its intent before its commit")


class DatabaseReplaced(MetadataUnavailable):
    """The database is another than the one that is expected: what it does not know may well exist, and so it is not asked."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"the database has the id {found}, and {expected} is expected: it is another database, or an empty one")
        self.expected, self.found = expected, found


class SchemaTooNew(MetadataError):
    def __init__(self, found: int, known: int) -> None:
        super().__init__(f"the database has schema {found}, this program knows {known}: use a newer release")


# --- operations ----------------------------------------------------------------------------------------------------


class NoSuchOperation(DomainError):
    def __init__(self, operation_id: str) -> None:
        super().__init__(f"no operation {operation_id!r}")
        self.operation_id = operation_id


class NoSuchBackend(DomainError):
    def __init__(self, backend: str) -> None:
        super().__init__(f"no backend {backend!r} is configured")
        self.backend = backend


class BackendConfigured(DomainError):
    """A backend that a process still serves cannot be forgotten: it might write there again."""

    def __init__(self, backend: str) -> None:
        super().__init__(f"backend {backend} stands in the configuration that is served here")


class OperationConflict(DomainError):
    """Another operation of the same kind is at work on the same target."""

    def __init__(self, operation_id: str, kind: str, target: str) -> None:
        super().__init__(f"{kind} of {target} is already under way: operation {operation_id}")
        self.operation_id = operation_id


class BackendInUse(DomainError):
    """Rows still mention bytes on a backend that was to be forgotten. `counts`: how many of which."""

    def __init__(self, backend: str, counts: dict[str, int]) -> None:
        super().__init__(f"backend {backend} still has " + ", ".join(f"{count} {name}" for name, count in counts.items() if count))
        self.backend, self.counts = backend, counts


# --- the proxy itself ----------------------------------------------------------------------------------------------


class Overloaded(DomainError):
    """More requests are in flight than `spec.server.maxConcurrentRequests` allows."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} requests are in flight, the limit")
        self.limit = limit
