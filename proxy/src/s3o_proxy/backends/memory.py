"""A backend in memory, for tests: it keeps S3's promises, and breaks them when told to.

A *fault* strikes one call, at one of three moments: `started` (nothing of the request is there yet), `received` (all of it is, and
nothing came of it), `done` (it took effect, and the answer is lost). At that moment it fails the call, or stalls it until it is released.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Literal

from s3o_proxy.backends.port import GetResult, HeadResult, ListedKey, ListedMultipart, PutResult, Traits, Watch
from s3o_proxy.domain.errors import BackendNotFound, BackendRejected, BackendUnavailable

Moment = Literal["started", "received", "done"]

_PIECE_BYTES = 256 * 1024


@dataclass(slots=True)
class Stored:
    content: bytes
    etag: str
    content_type: str = ""
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class OpenUpload:
    key: str
    content_type: str
    metadata: dict[str, str]
    parts: dict[int, Stored] = field(default_factory=dict)


class Fault:
    """One that was planned. `reached` is set when it strikes; a stalled call goes on after `release`."""

    def __init__(self, verb: str, nth: int, moment: Moment, error: Exception | None, *, released: bool) -> None:
        self.verb, self.moment = verb, moment
        self.reached = asyncio.Event()
        self._calls_to_go = nth
        self._error = error
        self._released = asyncio.Event()
        if released:
            self._released.set()

    def release(self) -> None:
        self._released.set()

    def counts(self, verb: str) -> bool:
        """Called once for every call; True for the one it strikes."""
        if verb != self.verb:
            return False
        self._calls_to_go -= 1
        return self._calls_to_go == 0

    async def strike(self) -> None:
        self.reached.set()
        await self._released.wait()
        if self._error is not None:
            raise self._error


class MemoryBackend:
    """`objects` and `uploads` are there to be looked at and tampered with; `calls` holds (verb, key) of every call, in order."""

    def __init__(self, name: str = "memory", traits: Traits | None = None) -> None:
        self.name = name
        self.traits = traits or Traits(etag_is_md5=True, verifies_content_md5=True)
        self.objects: dict[str, Stored] = {}
        self.uploads: dict[str, OpenUpload] = {}
        self.calls: list[tuple[str, str]] = []
        self.closed = False
        self.bucket, self.account = name, ""
        self.neighbours: dict[str, MemoryBackend] = {}
        self._faults: list[Fault] = []
        self._cuts: list[int] = []
        self._damages_next_put = False
        self._numbers = itertools.count(1)

    def share_account(self, *others: MemoryBackend) -> None:
        """From now on these can copy from each other."""
        together = {backend.bucket: backend for backend in (self, *others)}
        for backend in together.values():
            backend.account, backend.neighbours = "shared", together

    # --- faults ------------------------------------------------------------------------------------------------------

    def fail(self, verb: str, *, nth: int = 1, at: Moment = "started", error: Exception | None = None) -> Fault:
        """Fail the nth call of `verb` from now on, by default as a connection that breaks would."""
        error = error or BackendUnavailable(self.name, f"injected into {verb}", ambiguous=at != "started")
        return self._plan(Fault(verb, nth, at, error, released=True))

    def stall(self, verb: str, *, nth: int = 1, at: Moment = "started", error: Exception | None = None) -> Fault:
        """Keep the nth call of `verb` waiting until the fault is released (then fail it, where `error` is given)."""
        return self._plan(Fault(verb, nth, at, error, released=False))

    def cut_next_get(self, after_bytes: int) -> None:
        """Break the body of the next get after so many bytes."""
        self._cuts.append(after_bytes)

    def damage_next_put(self) -> None:
        """Change the bytes of the next put on their way here."""
        self._damages_next_put = True

    def corrupt(self, key: str, at_byte: int = 0) -> None:
        """Flip the bits of one stored byte; size and ETag stay what they were."""
        content = bytearray(self.objects[key].content)
        content[at_byte] ^= 0xFF
        self.objects[key].content = bytes(content)

    def _plan(self, fault: Fault) -> Fault:
        self._faults.append(fault)
        return fault

    # --- objects -----------------------------------------------------------------------------------------------------

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
        call = await self._begin("put", key)
        content = await _receive(body, size_bytes)
        if self._damages_next_put:
            content, self._damages_next_put = bytes(content[:-1]) + b"?", False
        await call.reach("received")
        stored = self._verified(content, content_md5)
        stored.content_type, stored.metadata = content_type, dict(metadata or {})
        self.objects[key] = stored
        await call.reach("done")
        return PutResult(stored.etag)

    @asynccontextmanager
    async def get(self, key: str, byte_range: tuple[int, int] | None = None) -> AsyncIterator[GetResult]:
        call = await self._begin("get", key)
        stored = self._stored(key)
        content = stored.content
        if byte_range is not None:
            first, last = byte_range
            if first >= len(content):
                raise BackendRejected(self.name, 416, "InvalidRange", f"{first} is behind the end")
            content = content[first : last + 1]
        await call.reach("received")
        yield GetResult(len(content), stored.etag, self._send(content, call))

    async def head(self, key: str) -> HeadResult:
        await self._begin("head", key)
        stored = self._stored(key)
        return HeadResult(len(stored.content), stored.etag, dict(stored.metadata))

    async def delete(self, key: str) -> None:
        call = await self._begin("delete", key)
        await call.reach("received")
        self.objects.pop(key, None)
        await call.reach("done")

    async def delete_many(self, keys: Sequence[str], watch: Watch = nullcontext) -> dict[str, str]:
        with watch("DeleteObjects"):
            call = await self._begin("delete_many", ",".join(keys))
            await call.reach("received")
            for key in keys:
                self.objects.pop(key, None)
            await call.reach("done")
        return {}

    async def copy(
        self,
        source_key: str,
        key: str,
        *,
        content_type: str = "",
        metadata: Mapping[str, str] | None = None,
        source_bucket: str = "",
    ) -> PutResult:
        call = await self._begin("copy", key)
        shelf = self.neighbours[source_bucket].objects if source_bucket else self.objects
        source = self._stored(source_key, shelf)
        await call.reach("received")
        replaces = content_type or metadata is not None
        described = (content_type, dict(metadata or {})) if replaces else (source.content_type, dict(source.metadata))
        self.objects[key] = Stored(source.content, source.etag, *described)
        await call.reach("done")
        return PutResult(source.etag)

    async def list(self, prefix: str = "") -> AsyncIterator[ListedKey]:
        await self._begin("list", prefix)
        for key in sorted(self.objects, key=str.encode):
            if key.startswith(prefix) and key in self.objects:
                yield ListedKey(key, len(self.objects[key].content))

    # --- multipart uploads -------------------------------------------------------------------------------------------

    async def create_multipart(self, key: str, *, content_type: str = "", metadata: Mapping[str, str] | None = None) -> str:
        call = await self._begin("create_multipart", key)
        await call.reach("received")
        upload_id = f"upload-{next(self._numbers)}"
        self.uploads[upload_id] = OpenUpload(key, content_type, dict(metadata or {}))
        await call.reach("done")
        return upload_id

    async def upload_part(
        self,
        key: str,
        upload_id: str,
        part_number: int,
        body: AsyncIterable[bytes],
        size_bytes: int,
        *,
        content_md5: str = "",
    ) -> PutResult:
        call = await self._begin("upload_part", key)
        upload = self._open_upload(key, upload_id)
        content = await _receive(body, size_bytes)
        await call.reach("received")
        part = upload.parts[part_number] = self._verified(content, content_md5)
        await call.reach("done")
        return PutResult(part.etag)

    async def complete_multipart(self, key: str, upload_id: str, parts: Sequence[tuple[int, str]]) -> PutResult:
        call = await self._begin("complete_multipart", key)
        upload = self._open_upload(key, upload_id)
        await call.reach("received")
        joined: list[Stored] = []
        for number, etag in parts:
            if number not in upload.parts or upload.parts[number].etag != etag:
                raise BackendRejected(self.name, 400, "InvalidPart", f"part {number}")
            joined.append(upload.parts[number])
        if not joined or [number for number, _ in parts] != sorted({number for number, _ in parts}):
            raise BackendRejected(self.name, 400, "InvalidPartOrder", "parts must ascend, and there must be one")
        etag = f"{hashlib.md5(b''.join(bytes.fromhex(part.etag) for part in joined), usedforsecurity=False).hexdigest()}-{len(joined)}"
        self.objects[key] = Stored(b"".join(part.content for part in joined), etag, upload.content_type, upload.metadata)
        self.uploads.pop(upload_id, None)  # A Complete that was accepted goes on, whoever aborts meanwhile.
        await call.reach("done")
        return PutResult(etag)

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        call = await self._begin("abort_multipart", key)
        await call.reach("received")
        self.uploads.pop(upload_id, None)
        await call.reach("done")

    async def list_multipart(self) -> AsyncIterator[ListedMultipart]:
        await self._begin("list_multipart", "")
        for upload_id, upload in sorted(self.uploads.items(), key=lambda item: (item[1].key.encode(), item[0])):
            yield ListedMultipart(upload.key, upload_id)

    async def close(self) -> None:
        self.closed = True

    # --- what the verbs share ----------------------------------------------------------------------------------------

    async def _begin(self, verb: str, key: str) -> _Call:
        if self.closed:
            raise BackendUnavailable(self.name, "is closed")
        self.calls.append((verb, key))
        struck = [fault for fault in self._faults if fault.counts(verb)]
        self._faults = [fault for fault in self._faults if fault not in struck]
        call = _Call(struck)
        await asyncio.sleep(0)  # Like any I/O, a call lets others run.
        await call.reach("started")
        return call

    def _stored(self, key: str, shelf: Mapping[str, Stored] | None = None) -> Stored:
        objects = self.objects if shelf is None else shelf
        if key not in objects:
            raise BackendNotFound(self.name, f"no object {key}")
        return objects[key]

    def _open_upload(self, key: str, upload_id: str) -> OpenUpload:
        upload = self.uploads.get(upload_id)
        if upload is None or upload.key != key:
            raise BackendNotFound(self.name, f"no upload {upload_id} of {key}")
        return upload

    def _verified(self, content: bytes, content_md5: str) -> Stored:
        digest = hashlib.md5(content, usedforsecurity=False)
        if content_md5 and self.traits.verifies_content_md5 and base64.b64encode(digest.digest()).decode() != content_md5:
            raise BackendRejected(self.name, 400, "BadDigest", "Content-MD5 does not match")
        return Stored(content, digest.hexdigest())

    async def _send(self, content: bytes, call: _Call) -> AsyncIterator[bytes]:
        cut = self._cuts.pop(0) if self._cuts else len(content)
        for start in range(0, cut, _PIECE_BYTES):
            await asyncio.sleep(0)
            yield content[start : min(start + _PIECE_BYTES, cut)]
        if cut < len(content):
            raise BackendUnavailable(self.name, f"sent {cut} of {len(content)} bytes")
        await call.reach("done")


class _Call:
    def __init__(self, faults: list[Fault]) -> None:
        self._faults = faults

    async def reach(self, moment: Moment) -> None:
        for fault in self._faults:
            if fault.moment == moment:
                await fault.strike()


async def _receive(body: AsyncIterable[bytes], size_bytes: int) -> bytes:
    pieces = [piece async for piece in body]
    content = b"".join(pieces)
    if len(content) != size_bytes:
        raise ValueError(f"the body has {len(content)} bytes, {size_bytes} were promised")
    return content
