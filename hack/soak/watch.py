"""Looks at a backend from outside, all the while, and tells when it holds more than its quota (I3).

A listing takes a while, and objects come and go meanwhile: the sum of it may be of no moment at all. But stored objects are written once,
each under a name of its own; so what is in two listings, one after the other, was there all the time in between, and all of it together.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from hack.soak.client import S3, Access
from hack.soak.tally import Finding, Tally

_PERIOD_S = 1.0


class ListingFailedError(Exception):
    """The backend itself did not answer; the text is its answer."""


async def stored(backend: S3) -> dict[str, int]:
    """Sizes by storage key. Raises ListingFailedError, NotSentError, UnansweredError."""
    sizes: dict[str, int] = {}
    query = {"list-type": "2"}
    while True:
        answer = await backend.request("GET", query=query)
        if answer.status != 200:
            raise ListingFailedError(str(answer))
        page = answer.xml()
        sizes.update((entry.findtext("Key") or "", int(entry.findtext("Size") or 0)) for entry in page.iterfind("Contents"))
        token = page.findtext("NextContinuationToken")
        if not token:
            return sizes
        query["continuation-token"] = token


@dataclass
class Watch:
    """The backends of a soak. `highest_bytes`: the most that each certainly held at once."""

    quota_bytes: int
    backends: dict[str, S3]
    tally: Tally
    highest_bytes: dict[str, int] = field(default_factory=dict)
    looks: int = 0

    @classmethod
    def over(cls, backends: dict[str, Access], quota_bytes: int, tally: Tally) -> Watch:
        return cls(quota_bytes, {name: S3(access) for name, access in backends.items()}, tally, dict.fromkeys(backends, 0))

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for name in self.backends:
                group.create_task(self._watch(name))

    async def _watch(self, name: str) -> None:
        before: dict[str, int] = {}
        while True:
            after = await stored(self.backends[name])
            self.compare(name, before, after)
            before = after
            await asyncio.sleep(_PERIOD_S)

    def compare(self, name: str, before: dict[str, int], after: dict[str, int]) -> None:
        """Two listings, one after the other."""
        held = sum(size for key, size in after.items() if key in before)
        self.looks += 1
        self.highest_bytes[name] = max(self.highest_bytes[name], held)
        if held > self.quota_bytes:
            self.tally.find(Finding.EXCESS, f"{name} held {held} bytes of {self.quota_bytes}")
