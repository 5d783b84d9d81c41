"""The calls of one process to its backends and to its database, in the order in which it makes them: any may fail, before or after it
took effect, and a store may stay away from then on.

A call is suspended once before it takes effect (it is on its way) and once after (its answer is). Who is cancelled on the way may have
sent it: it takes effect later, when the test says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from tests.probe.lives import Buried, Life

from s3o_proxy.backends.port import Backend, GetResult, HeadResult, ListedKey, ListedMultipart, PutResult, Watch
from s3o_proxy.domain.errors import BackendUnavailable, ClientDisconnected, DomainError, MetadataUnavailable, OutcomeUnknown
from s3o_proxy.metadata.engine import Engine
from s3o_proxy.metadata.story import Steps

T = TypeVar("T")

Failure = Literal["refused", "torn", "lost", "silent", "late", "away", "gone"]
"""refused: certainly not done. torn: in the middle of its body. lost: done, nobody knows. silent: not done, nobody knows. late: done only
when the request is long over. away: lost, and its store with it until the request is over. gone: refused, and the store with it."""

OF_READS: tuple[Failure, ...] = ("refused", "gone")
OF_CHANGES: tuple[Failure, ...] = ("refused", "lost", "silent", "late", "away", "gone")
OF_BODIES: tuple[Failure, ...] = ("torn", *OF_CHANGES)
OF_TRANSACTIONS: tuple[Failure, ...] = ("refused", "lost", "silent", "away", "gone")
OF_CLIENTS: tuple[Failure, ...] = ("refused",)


@dataclass(frozen=True, slots=True)
class Call:
    """`store`: a backend, the database, or the client. `failures`: in which ways it can fail."""

    store: str
    what: str
    failures: tuple[Failure, ...]

    def __str__(self) -> str:
        return f"{self.store} {self.what}"


class Board:
    """Every call goes over it. `made`: those since `begin`."""

    def __init__(self, life: Life) -> None:
        self.made: list[Call] = []
        self.struck: Call | None = None
        self.failure: Failure | None = None
        """How it failed."""
        self.unknown = False
        """The database's answer to a transaction was lost."""
        self.on_unknown: Callable[[], None] = lambda: None
        self.outside: tuple[int, int] = (0, 0)
        """Of changes: how many took effect, how many are just doing so. A death between two that look the same leaves the same behind."""
        self._life = life
        self._counts = False
        self._strike: tuple[int, Failure] | None = None
        self.servers_are_real = False
        """Who dies does not take back what is on its way to a server: it is waited for, as the clocks that are moved then do not."""
        self._sent: set[asyncio.Future[Any]] = set()
        self._away: set[str] = set()
        self._late: list[Callable[[], Awaitable[object]]] = []

    def begin(self, strike: tuple[int, Failure] | None = None) -> None:
        """`strike`: the call that is to fail, by its number, and how. One that cannot fail so is not hit."""
        self._counts, self._strike = True, strike

    def mend(self) -> None:
        """All stores are there again, and nothing fails any more."""
        self._counts, self._strike = False, None
        self._away.clear()

    async def land(self) -> None:
        """What was on its way takes effect. What it then has nothing to act upon fails, and nobody hears of it."""
        if self._sent:
            await asyncio.wait(self._sent)
        late, self._late = self._late, []
        for act in late:
            try:
                await act()
            except DomainError:
                continue

    # --- one call ----------------------------------------------------------------------------------------------------

    def count(self, call: Call) -> Failure | None:
        """How it is to fail, if it is."""
        if self._life.is_over:
            raise Buried
        if not self._counts:
            return None
        self.made.append(call)
        if self._strike is None or self._strike[0] != len(self.made) or self._strike[1] not in call.failures:
            return None
        self.struck = call
        failure = self.failure = self._strike[1]
        if failure in ("away", "gone"):
            self._away.add(call.store)
        return failure

    def require_there(self, call: Call, failure: Failure | None, refused: Exception) -> None:
        if failure in ("refused", "gone") or (call.store in self._away and failure is None):
            raise refused

    async def change(
        self, call: Call, failure: Failure | None, act: Callable[[], Awaitable[T]], refused: Exception, unknown: Exception
    ) -> T:
        self.require_there(call, failure, refused)
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self._late.append(act)
            raise
        if failure == "late":
            self._late.append(act)
        if failure in ("late", "silent"):
            self._heard_nothing(call)
            raise unknown
        result = await self._take_effect(self._sent_for_good(act) if self.servers_are_real and call.store != "database" else act)
        if failure is not None:
            self._heard_nothing(call)
        await asyncio.sleep(0)
        if failure is not None:
            raise unknown
        return result

    def _sent_for_good(self, act: Callable[[], Awaitable[T]]) -> Callable[[], Awaitable[T]]:
        async def send() -> T:
            return await act()

        def begin() -> Awaitable[T]:
            sent = asyncio.get_running_loop().create_task(send(), context=Context())
            self._sent.add(sent)
            return asyncio.shield(sent)

        return begin

    async def _take_effect(self, act: Callable[[], Awaitable[T]]) -> T:
        self.outside = self.outside[0], self.outside[1] + 1
        try:
            return await act()
        finally:
            self.outside = self.outside[0] + 1, self.outside[1] - 1

    def _heard_nothing(self, call: Call) -> None:
        if call.store == "database":
            self.unknown = True
            self.on_unknown()

    async def read(self, call: Call, act: Callable[[], Awaitable[T]], refused: Exception) -> T:
        self.require_there(call, self.count(call), refused)
        await asyncio.sleep(0)
        result = await act()
        await asyncio.sleep(0)
        return result


class WiredEngine:
    """An engine behind the board."""

    def __init__(self, engine: Engine, board: Board) -> None:
        self.remote, self.identity = engine.remote, engine.identity
        self._engine, self._board = engine, board

    async def transact(self, steps: Steps[T]) -> T:
        call = Call("database", _told_of(steps), OF_TRANSACTIONS)
        failure = self._board.count(call)
        return await self._board.change(
            call, failure, lambda: self._engine.transact(steps), MetadataUnavailable("struck"), OutcomeUnknown("struck")
        )

    async def read(self, steps: Steps[T]) -> T:
        return await self._read("read", lambda: self._engine.read(steps))

    async def scan(self, steps: Steps[T]) -> T:
        return await self._read("scan", lambda: self._engine.scan(steps))

    async def survey(self, steps: Steps[T]) -> T:
        return await self._read("survey", lambda: self._engine.survey(steps))

    async def identify(self) -> None:
        await self._read("identify", self._engine.identify)

    async def _read(self, what: str, act: Callable[[], Awaitable[T]]) -> T:
        return await self._board.read(Call("database", what, OF_READS), act, MetadataUnavailable("struck"))

    async def close(self) -> None:
        await self._engine.close()


class WiredBackend:
    """A backend behind the board. It outlives the process that calls it: closing it closes nothing."""

    def __init__(self, backend: Backend, board: Board) -> None:
        self.name, self.traits, self.bucket, self.account = backend.name, backend.traits, backend.bucket, backend.account
        self._backend, self._board = backend, board

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
        named: dict[str, Any] = {"content_type": content_type, "metadata": metadata, "content_md5": content_md5}
        return await self._send("put", body, lambda content: self._backend.put(key, _pieces(content), size_bytes, **named))

    async def upload_part(
        self, key: str, upload_id: str, part_number: int, body: AsyncIterable[bytes], size_bytes: int, *, content_md5: str = ""
    ) -> PutResult:
        def send(content: Sequence[bytes]) -> Awaitable[PutResult]:
            return self._backend.upload_part(key, upload_id, part_number, _pieces(content), size_bytes, content_md5=content_md5)

        return await self._send("upload_part", body, send)

    async def _send(self, what: str, body: AsyncIterable[bytes], act: Callable[[Sequence[bytes]], Awaitable[T]]) -> T:
        call = Call(self.name, what, OF_BODIES)
        failure = self._board.count(call)
        self._board.require_there(call, failure, self._refused())
        content: list[bytes] = []
        async for piece in body:
            content.append(piece)
            if failure == "torn":
                raise self._refused()
        return await self._board.change(call, failure, lambda: act(content), self._refused(), self._unknown())

    async def _change(self, what: str, act: Callable[[], Awaitable[T]]) -> T:
        call = Call(self.name, what, OF_CHANGES)
        return await self._board.change(call, self._board.count(call), act, self._refused(), self._unknown())

    @asynccontextmanager
    async def get(self, key: str, byte_range: tuple[int, int] | None = None) -> AsyncIterator[GetResult]:
        opened = self._backend.get(key, byte_range)
        found = await self._board.read(Call(self.name, "get", OF_READS), opened.__aenter__, self._refused())
        try:
            yield GetResult(found.size_bytes, found.etag, self._received(found.body))
        finally:
            await opened.__aexit__(None, None, None)

    async def _received(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for piece in body:
            call = Call(self.name, "get, a piece", OF_READS)
            self._board.require_there(call, self._board.count(call), self._refused())
            yield piece

    async def head(self, key: str) -> HeadResult:
        return await self._board.read(Call(self.name, "head", OF_READS), lambda: self._backend.head(key), self._refused())

    async def delete(self, key: str) -> None:
        await self._change("delete", lambda: self._backend.delete(key))

    async def delete_many(self, keys: Sequence[str], watch: Watch = nullcontext) -> dict[str, str]:
        with watch("DeleteObjects"):
            return await self._change("delete_many", lambda: self._backend.delete_many(keys))

    async def copy(
        self,
        source_key: str,
        key: str,
        *,
        content_type: str = "",
        metadata: Mapping[str, str] | None = None,
        source_bucket: str = "",
    ) -> PutResult:
        named: dict[str, Any] = {"content_type": content_type, "metadata": metadata, "source_bucket": source_bucket}
        return await self._change("copy", lambda: self._backend.copy(source_key, key, **named))

    async def create_multipart(self, key: str, *, content_type: str = "", metadata: Mapping[str, str] | None = None) -> str:
        return await self._change(
            "create_multipart", lambda: self._backend.create_multipart(key, content_type=content_type, metadata=metadata)
        )

    async def complete_multipart(self, key: str, upload_id: str, parts: Sequence[tuple[int, str]]) -> PutResult:
        return await self._change("complete_multipart", lambda: self._backend.complete_multipart(key, upload_id, parts))

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        await self._change("abort_multipart", lambda: self._backend.abort_multipart(key, upload_id))

    async def list(self, prefix: str = "") -> AsyncIterator[ListedKey]:
        call = Call(self.name, "list", OF_READS)
        self._board.require_there(call, self._board.count(call), self._refused())
        async for found in self._backend.list(prefix):
            yield found

    async def list_multipart(self) -> AsyncIterator[ListedMultipart]:
        call = Call(self.name, "list_multipart", OF_READS)
        self._board.require_there(call, self._board.count(call), self._refused())
        async for found in self._backend.list_multipart():
            yield found

    async def close(self) -> None: ...

    def _refused(self) -> BackendUnavailable:
        return BackendUnavailable(self.name, "struck")

    def _unknown(self) -> BackendUnavailable:
        return BackendUnavailable(self.name, "struck", ambiguous=True)


async def client_sends(board: Board, pieces: Sequence[bytes]) -> AsyncIterator[bytes]:
    """A body from a client who may hang up before any piece of it."""
    for piece in pieces:
        call = Call("client", "a piece", OF_CLIENTS)
        board.require_there(call, board.count(call), ClientDisconnected("struck"))
        await asyncio.sleep(0)
        yield piece


async def _pieces(content: Sequence[bytes]) -> AsyncIterator[bytes]:
    for piece in content:
        yield piece


def _told_of(steps: Steps[Any]) -> str:
    """Which kinds of change share the transaction."""
    frame = getattr(steps, "gi_frame", None)
    batch = frame.f_locals.get("batch", ()) if frame is not None else ()
    return "+".join(sorted({one.kind.name for one in batch})) or "transaction"
