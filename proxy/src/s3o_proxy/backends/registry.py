"""The backends of the configuration that is being served: each by its name, guarded, and exchanged while calls are in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial

from s3o_crds.compiled import BackendConfig
from s3o_proxy.backends.client import new_session
from s3o_proxy.backends.guarded import Call, Guarded
from s3o_proxy.backends.port import Backend, Unguarded
from s3o_proxy.backends.wire.backend import open_backend as open_over_http
from s3o_proxy.domain.errors import BackendUnavailable

_FOR_PLACEMENT = {"order", "accepts_writes", "quota_bytes", "max_object_size_bytes", "provider"}
"""What says where to write, not how to reach the backend: a change there needs no new client."""


class Backends:
    """`get` gives what stays valid for as long as the backend is configured, whatever of it changes."""

    def __init__(
        self,
        on_call: Callable[[Call], None],
        open_backend: Callable[[BackendConfig, Mapping[str, str]], Awaitable[Unguarded]] | None = None,
    ) -> None:
        """`open_backend` makes a client of a config; by default for S3 over HTTP."""
        self._on_call = on_call
        self._open_backend = open_backend or partial(open_over_http, session=new_session())
        self._guarded: dict[str, Guarded] = {}
        self._opened_for: dict[str, object] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._applying = asyncio.Lock()

    def get(self, name: str) -> Backend:
        """Raises BackendUnavailable for a name that is not configured (a copy may still lie on a backend that was removed)."""
        guarded = self._guarded.get(name)
        if guarded is None:
            raise BackendUnavailable(name, "is not configured")
        return guarded

    def buckets(self) -> dict[str, str]:
        return {name: guarded.bucket for name, guarded in self._guarded.items()}

    def all(self) -> dict[str, Backend]:
        return dict(self._guarded)

    async def apply(self, configs: Sequence[BackendConfig], secrets: Mapping[str, str]) -> None:
        """Follow a new generation. Raises ValueError where a backend cannot be opened; nothing has changed then."""
        async with self._applying:
            wanted = {config.name: _reached_by(config, secrets) for config in configs}
            changed = [config for config in configs if self._opened_for.get(config.name) != wanted[config.name]]
            opened = await self._open_all(changed, secrets)
            for config, backend in zip(changed, opened, strict=True):
                self._exchange(config, backend)
            for name in self._guarded.keys() - wanted.keys():
                self._leave(self._guarded.pop(name).retire())
            self._opened_for = dict(wanted)

    async def close(self) -> None:
        """Close every connection, without waiting for calls in flight: whoever stops the process has waited for its requests."""
        leaving = set(self._leaving)
        await asyncio.sleep(0)  # A task that was cancelled before its first step would close nothing.
        for task in leaving:
            task.cancel()
        if leaving:
            await asyncio.wait(leaving)
        for guarded in self._guarded.values():
            await guarded.close()
        self._guarded.clear()
        self._opened_for.clear()

    async def _open_all(self, configs: Sequence[BackendConfig], secrets: Mapping[str, str]) -> list[Unguarded]:
        opened: list[Unguarded] = []
        try:
            for config in configs:
                opened.append(await self._open_backend(config, secrets))  # noqa: PERF401  # what was opened must be closed when the next fails
        except BaseException:
            for backend in opened:
                await backend.close()
            raise
        return opened

    def _exchange(self, config: BackendConfig, backend: Unguarded) -> None:
        request_ms, stall_ms = config.request_timeout_ms, config.stall_timeout_ms
        guarded = self._guarded.get(config.name)
        if guarded is None:
            self._guarded[config.name] = Guarded(backend, request_timeout_ms=request_ms, stall_timeout_ms=stall_ms, on_call=self._on_call)
        else:
            self._leave(guarded.replace(backend, request_timeout_ms=request_ms, stall_timeout_ms=stall_ms))

    def _leave(self, leaving: Coroutine[None, None, None]) -> None:
        # A large transfer may take hours to end: nobody waits for it here.
        task = asyncio.create_task(leaving)
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


def _reached_by(config: BackendConfig, secrets: Mapping[str, str]) -> object:
    names = (config.access_key_id, config.secret_access_key, config.ca)
    return config.model_dump(exclude=_FOR_PLACEMENT), tuple(secrets.get(name) for name in names)
