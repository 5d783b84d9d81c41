"""One soak, told top to bottom: load with kills, an audit, the read-back, the rest that settles what crashes left, and an audit again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from statistics import median
from urllib.request import urlopen

from hack.bench.processes import CannotRunError
from hack.soak.client import S3, NotSentError, UnansweredError
from hack.soak.proxies import Killer, Proxy
from hack.soak.site import Site
from hack.soak.tally import Outcome, Tally
from hack.soak.watch import ListingFailedError, Watch
from hack.soak.writer import Writer

_PROGRESS_PERIOD_S = 10.0
_SETTLE_LIMIT_S = 300.0
"""An instance's lease, a reaper that is sure of it, the time in which a dead proxy's copy settles (130 s), the cleanup; a busy machine."""
_GAUGES = ("s3o_pending_intents", "s3o_cleanup_queue_depth")
_GAUGES_AGE_S = 7.0
"""They are read from the ledger every 5 s, give or take a fifth."""


@dataclass(frozen=True)
class Plan:
    operations: int
    kills: int
    seed: int
    writers: int = 32
    keys: int = 40
    """Of each writer."""
    longest_load_s: float = inf
    """The load ends then, however many operations are still to do."""
    quota_bytes: int = 12 * 1024**2
    """Of each backend. Tight: clients want about as much as all of them hold."""
    settles: bool = True
    """Whether to wait, in the end, until the workers have settled what crashes left: two to four minutes."""


@dataclass
class Result:
    plan: Plan
    tally: Tally
    kills: int = 0
    starts_s: list[float] = field(default_factory=list)
    load_s: float = 0.0
    wall_s: float = 0.0
    objects: int = 0
    """Read back in the end."""
    looks: int = 0
    highest_bytes: dict[str, int] = field(default_factory=dict)
    audits: dict[str, list[str]] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        return not self.tally.findings and not any(self.audits.values())

    @property
    def median_start_s(self) -> float:
        return median(self.starts_s) if self.starts_s else 0.0


async def soak(plan: Plan, site: Site, say: Callable[[str], None]) -> Result:
    """Raises CannotRunError when the machine, not the promise, failed."""
    began_s = time.monotonic()
    site.write_config(plan.quota_bytes)
    tally = Tally(plan.operations)
    result = Result(plan, tally)
    proxies = [Proxy(number, site.directory, site.config) for number in range(2)]
    clients = [S3(site.access(proxy.port)) for proxy in proxies]
    writers = [Writer(number, plan.seed, clients, tally, plan.keys) for number in range(plan.writers)]
    watch = Watch.over(dict(site.backends), plan.quota_bytes, tally)
    try:
        for proxy in proxies:
            proxy.start()
        for proxy in proxies:
            await proxy.ready()
        await _load(result, writers, Killer(proxies, plan.kills, plan.seed, tally), watch, say)
        say("auditing, then reading everything back")
        result.audits["at once"] = await site.audit()
        result.objects = await _read_back(writers)
        if plan.settles:
            await _settle(clients[0], say)
            result.audits["settled"] = await site.audit()
    except* (CannotRunError, ListingFailedError, OSError, NotSentError, UnansweredError) as group:
        raise CannotRunError("; ".join(str(error) for error in _leaves(group))) from group
    finally:
        for client in (*clients, *watch.backends.values()):
            await client.close()
        for proxy in proxies:
            await proxy.end()
    result.starts_s = sorted(start_s for proxy in proxies for start_s in proxy.starts_s)
    result.looks, result.highest_bytes = watch.looks, watch.highest_bytes
    result.wall_s = time.monotonic() - began_s
    return result


async def _load(result: Result, writers: list[Writer], killer: Killer, watch: Watch, say: Callable[[str], None]) -> None:
    began_s = time.monotonic()
    result.tally.begin()
    async with asyncio.TaskGroup() as aside:
        helpers = [aside.create_task(watch.run()), aside.create_task(_tell(result.tally, killer, say))]
        if result.plan.longest_load_s < inf:
            asyncio.get_running_loop().call_later(result.plan.longest_load_s, result.tally.stop)
        async with asyncio.TaskGroup() as load:
            load.create_task(killer.run())
            for writer in writers:
                load.create_task(writer.run())
        for helper in helpers:
            helper.cancel()
    result.load_s, result.kills = time.monotonic() - began_s, killer.done


async def _tell(tally: Tally, killer: Killer, say: Callable[[str], None]) -> None:
    before, began_s = 0, time.monotonic()
    while True:
        await asyncio.sleep(_PROGRESS_PERIOD_S)
        rate = (tally.done - before) / _PROGRESS_PERIOD_S
        unknown = tally.total(Outcome.UNANSWERED) + tally.total(Outcome.FAILED)
        say(
            f"{time.monotonic() - began_s:7.0f} s  {tally.done:>8} operations ({rate:.0f}/s)  {killer.done} kills  "
            f"{tally.total(Outcome.REFUSED)} refused  {unknown} unknown  {tally.findings.total()} findings"
        )
        before = tally.done


async def _read_back(writers: list[Writer]) -> int:
    async with asyncio.TaskGroup() as group:
        checks = [group.create_task(writer.check()) for writer in writers]
    return sum(check.result() for check in checks)


async def _settle(client: S3, say: Callable[[str], None]) -> None:
    """Returns when no write is pending and no byte waits to be deleted. Uploads that nobody will complete are aborted: they would stay
    for a day."""
    deadline_s = time.monotonic() + _SETTLE_LIMIT_S
    while uploads := await _abort_uploads(client):
        if time.monotonic() > deadline_s:
            raise CannotRunError(f"{uploads} uploads are still being completed after {_SETTLE_LIMIT_S:g} s")
        await asyncio.sleep(1)
    await asyncio.sleep(_GAUGES_AGE_S)  # What they say is that old.
    say("waiting for the workers to settle what crashes left")
    while any((depths := await asyncio.to_thread(_gauges, client.access.port)).values()):
        if time.monotonic() > deadline_s:
            raise CannotRunError(f"not settled after {_SETTLE_LIMIT_S:g} s: {depths}")
        await asyncio.sleep(1)


async def _abort_uploads(client: S3) -> int:
    """How many there were; those that a dead process was completing are busy until its lease has ended."""
    listed = await client.request("GET", query={"uploads": ""})
    uploads = [(each.findtext("Key") or "", each.findtext("UploadId") or "") for each in listed.xml().iterfind("Upload")]
    for key, upload_id in uploads:
        await client.request("DELETE", key, query={"uploadId": upload_id})
    return len(uploads)


def _gauges(port: int) -> dict[str, float]:
    """Of the ledger, as the proxy on that port tells them; what it does not tell is infinite."""
    found = dict.fromkeys(_GAUGES, float("inf"))
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        for line in answer.read().decode().splitlines():
            name, _, value = line.partition(" ")
            if name in found:
                found[name] = float(value)
    return found


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    return [leaf for each in group.exceptions for leaf in (_leaves(each) if isinstance(each, BaseExceptionGroup) else [each])]
