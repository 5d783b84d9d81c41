"""The configuration that is served now, and how the next one takes its place while the process runs.

A change is taken whole or refused whole: every reason is logged, and the generation before keeps serving. A file caught half written is
such a refusal; the write that completes it is the next change.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from watchfiles import awatch

from s3o_crds.compiled import FleetConfig
from s3o_proxy.config.errors import ConfigError, ConfigNotYet
from s3o_proxy.config.snapshot import Loaded, Snapshot, what_needs_restart
from s3o_proxy.domain.errors import DomainError

log = logging.getLogger(__name__)

_LOOK_AGAIN_MS = 5_000
"""Network file systems report no changes, and an adoption that failed is tried again: so look also when nothing was reported."""
_SETTLED_MS = 300
"""A change is looked at when no other followed for so long: a file that is just being written is a shorter one, and perhaps valid."""

Adopt = Callable[[Snapshot], Awaitable[None]]
"""Makes a new snapshot take effect. Raises a DomainError where it cannot, and then nothing has changed."""


class ConfigMeter(Protocol):
    def config_accepted(self, generation: int) -> None: ...

    def config_refused(self) -> None: ...


class Source(Protocol):
    """A configuration in files of one directory."""

    @property
    def directory(self) -> Path: ...

    def files(self) -> list[Path]:
        """What it consists of now. Raises OSError."""
        ...

    def load(self, previous: FleetConfig | None = None) -> Loaded:
        """Read and check it all. Raises ConfigError with every reason."""
        ...


class LiveConfig:
    """`current` is what to serve. Keep it so with `watch()`, which never ends by itself: cancel it.

    `refusal`: why the change that was seen last is not served, one sentence each; empty when it is.
    """

    def __init__(self, source: Source, meter: ConfigMeter, previous: FleetConfig | None = None) -> None:
        """Reads `source` for the first time. Raises ConfigError: a program that has nothing to serve does not start.

        `previous`: what others serve of the same source, so that generations are counted on.
        """
        self._source, self._meter = source, meter
        self._looking = asyncio.Lock()
        self._seen = self._signature()
        loaded = source.load(previous)
        self.current: Snapshot = loaded.snapshot
        self.refusal: tuple[str, ...] = ()
        for line in loaded.ignored:
            log.info("not read: %s", line)
        meter.config_accepted(self.current.generation)

    async def watch(self, adopt: Adopt) -> None:
        """Look after every change of a file, and every few seconds. Where the system gives no notice of changes, only the latter."""
        told = ""
        while True:
            try:
                await self._watch(adopt)
            # inotify has few instances for all that one user runs on a machine, all pods of one user on a node: no reason to end.
            except (OSError, RuntimeError) as error:  # The latter is what watchfiles makes of an error that it does not know.
                if str(error) != told:
                    log.warning("changes of the configuration are looked for every %g s: %s", _LOOK_AGAIN_MS / 1000, error)
                told = str(error)
            await asyncio.sleep(_LOOK_AGAIN_MS / 1000)
            await self.look(adopt)

    async def _watch(self, adopt: Adopt) -> None:
        async for _ in awatch(
            self._source.directory, watch_filter=None, recursive=False, rust_timeout=_LOOK_AGAIN_MS, yield_on_timeout=True, step=_SETTLED_MS
        ):
            await self.look(adopt)

    async def look(self, adopt: Adopt) -> None:
        """Read the files if they changed. `adopt` is awaited with the new snapshot before that becomes `current`."""
        async with self._looking:  # The watch looks, and whoever asks by the admin API: a change is adopted once.
            await self._look(adopt)

    async def _look(self, adopt: Adopt) -> None:
        # The signature is taken before the files are read: a write in between shows as a difference at the next look.
        signature = await asyncio.to_thread(self._signature)
        if signature == self._seen:
            return
        try:
            await self._take_next(adopt)
        except ConfigNotYet as error:
            self._refuse(error.reasons)
            return
        except ConfigError as error:
            self._refuse(error.reasons)
        except DomainError as error:
            self._refuse((str(error),))
            return  # Not the files' fault: the next look may succeed.
        except Exception:
            log.exception("configuration change failed by a fault of this program")
            return
        self._seen = signature

    async def _take_next(self, adopt: Adopt) -> None:
        loaded = await asyncio.to_thread(self._source.load, self.current.config)
        new = loaded.snapshot
        # Whatever the digest: it does not cover what no running process takes over.
        if reasons := what_needs_restart(self.current, new):
            raise ConfigError(reasons)
        if new.digest != self.current.digest:
            await adopt(new)
            self.current = new
            self._meter.config_accepted(new.generation)
            log.info("configuration generation %d is served", new.generation, extra={"generation": new.generation, "digest": new.digest})
        elif self.refusal:
            self._meter.config_accepted(new.generation)
            log.info("the files are valid again and say what is served", extra={"generation": new.generation})
        self.refusal = ()

    def _signature(self) -> tuple[tuple[object, ...], ...]:
        """What changes when a file does, cheap enough to ask every few seconds."""
        try:
            stats = [(path.name, path.stat()) for path in self._source.files()]
        except OSError as error:
            return (("unreadable", error.errno),)
        return tuple((name, stat.st_ino, stat.st_mtime_ns, stat.st_size) for name, stat in stats)

    def _refuse(self, reasons: tuple[str, ...]) -> None:
        if reasons == self.refusal:
            return  # The same fault seen again, not a new one.
        self.refusal = reasons
        self._meter.config_refused()
        for reason in reasons:
            log.error("configuration change refused: %s", reason, extra={"serving_generation": self.current.generation})
