"""The port to a stacked S3 endpoint: the verbs the proxy needs, and their results. Adapters: s3, memory; around any: guarded."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from typing import Protocol

from s3o_proxy.domain.frozen import frozen


@frozen
class Traits:
    """What a provider promises, from its preset.

    `etag_is_md5`: the ETag of a plain PUT or of a part is the MD5 of its bytes. `verifies_content_md5`: a wrong Content-MD5
    is refused by the backend, so it can be handed on instead of computed here.
    """

    etag_is_md5: bool
    verifies_content_md5: bool


@frozen
class PutResult:
    """`etag` without quotes, as the backend gave it."""

    etag: str


@frozen
class HeadResult:
    size_bytes: int
    etag: str
    metadata: Mapping[str, str]


@frozen
class GetResult:
    """An open body of `size_bytes` (of the range, when one was asked for). Leave the context to release the connection."""

    size_bytes: int
    etag: str
    body: AsyncIterator[bytes]


@frozen
class ListedKey:
    key: str
    size_bytes: int


@frozen
class ListedMultipart:
    key: str
    upload_id: str


class Backend(Protocol):
    """One bucket at one S3 provider.

    Every verb raises `domain.errors.BackendError` subclasses only. Bodies are iterated once, chunk by chunk; an exception
    from a body aborts the request before its last byte and passes through unchanged. Byte ranges are inclusive.
    """

    name: str
    traits: Traits
    bucket: str
    account: str
    """Endpoint and key: backends with the same one can copy out of each other's buckets. Empty: none can."""

    async def put(
        self,
        key: str,
        body: AsyncIterable[bytes],
        size_bytes: int,
        *,
        content_type: str = "",
        metadata: Mapping[str, str] | None = None,
        content_md5: str = "",
    ) -> PutResult:
        """Store `size_bytes` from `body`. `content_md5` (base64) is handed on to be verified there."""
        ...

    def get(self, key: str, byte_range: tuple[int, int] | None = None) -> AbstractAsyncContextManager[GetResult]:
        """Open `key`, or bytes first..last of it. Raises BackendNotFound on entering when it is not there."""
        ...

    async def head(self, key: str) -> HeadResult: ...

    async def delete(self, key: str) -> None:
        """Idempotent: a key that is not there is a success."""
        ...

    async def delete_many(self, keys: Sequence[str]) -> dict[str, str]:
        """Delete up to 1,000 keys; returns what failed, as key → reason. A key that is not there is a success."""
        ...

    async def copy(
        self,
        source_key: str,
        key: str,
        *,
        content_type: str = "",
        metadata: Mapping[str, str] | None = None,
        source_bucket: str = "",
    ) -> PutResult:
        """Copy within this backend, or from another bucket of its account, without moving the bytes through us.

        The source's content type and metadata are kept where neither is given; metadata that is given, even empty, replaces both.
        """
        ...

    def list(self, prefix: str = "") -> AsyncIterator[ListedKey]:
        """Every key of the bucket below `prefix`."""
        ...

    async def create_multipart(self, key: str, *, content_type: str = "", metadata: Mapping[str, str] | None = None) -> str:
        """Returns the backend's upload id."""
        ...

    async def upload_part(
        self,
        key: str,
        upload_id: str,
        part_number: int,
        body: AsyncIterable[bytes],
        size_bytes: int,
        *,
        content_md5: str = "",
    ) -> PutResult: ...

    async def complete_multipart(self, key: str, upload_id: str, parts: Sequence[tuple[int, str]]) -> PutResult:
        """`parts`: (part number, backend ETag) in ascending order."""
        ...

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        """Idempotent: an upload that is not there is a success."""
        ...

    def list_multipart(self) -> AsyncIterator[ListedMultipart]: ...

    async def close(self) -> None: ...


Watch = Callable[[str], AbstractContextManager[object]]
"""Entered around a request, which it is told by its S3 name. It may raise BackendUnavailable: on entering, or in place of an answer."""


class Unguarded(Backend, Protocol):
    """An adapter before its guard."""

    async def delete_many(self, keys: Sequence[str], watch: Watch = nullcontext) -> dict[str, str]:
        """As that of any, by as many requests as it takes, each within `watch`: none waits longer because there are others."""
        ...


class BackendSet(Protocol):
    """The backends of the current configuration, by name."""

    def get(self, name: str) -> Backend:
        """Raises BackendUnavailable for a name that is not configured."""
        ...

    def buckets(self) -> Mapping[str, str]:
        """Where each would be spoken to now."""
        ...
