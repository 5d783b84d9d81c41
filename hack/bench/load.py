"""The load of one window, played in a process of its own, and what it cost the servers.

It warms the server up, lets it come to rest, reads the clocks of the watched processes, plays for the given time, waits for the last answer
and reads the clocks again: so the time spent belongs to exactly the requests that are counted.
Run: python -m hack.bench.load, with a Job as JSON for its argument; it prints a Window as JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from time import perf_counter

import uvloop
from hack.bench.accounting import resident_bytes, snapshot, spent_ns, tree
from hack.bench.cases import Case, Requests, case_named, seeded_keys
from hack.bench.payload import payload
from hack.bench.player import Connection, Play
from hack.bench.signing import Signer

_DRAIN_SECONDS = 60.0
_RESIDENT_PERIOD_SECONDS = 0.02

# Heads of PUTs are prepared for a rate that nobody reaches; a window ends early where somebody does.
_SMALL_PUTS_PER_SECOND, _LARGE_PUTS_PER_SECOND = 25_000, 200


@dataclass(frozen=True)
class Job:
    """One window.

    `watch`: pids of the servers whose time is measured, by name; the memory is that of "server". That of the clients is measured, too.
    `tag` makes the keys of PUTs new. Without it the case must be a PUT, and the objects that other cases read are stored, each once.
    `count`: of a DELETE, how many objects a PUT with the same tag has stored: each is deleted once, then the window ends.
    """

    case: str
    port: int
    bucket: str
    access_key_id: str
    secret_access_key: str
    region: str
    connections: int
    seconds: float
    warm_up_seconds: float
    watch: dict[str, int]
    tag: str = ""
    count: int = 0


@dataclass
class Window:
    """What came of it. Latencies from sending a head to the last byte of its answer; memory at its highest."""

    operations: int = 0
    seconds: float = 0.0
    p50_seconds: float = 0.0
    p99_seconds: float = 0.0
    cpu_ns: dict[str, int] = field(default_factory=dict)
    resident_bytes: int = 0
    failed: int = 0
    failures: list[str] = field(default_factory=list)


class Resident:
    """The highest resident memory of a tree of processes, looked at every 20 ms."""

    def __init__(self, pid: int) -> None:
        self.highest_bytes = 0
        self._pids = tree(pid)
        self._look()

    def _look(self) -> None:
        self.highest_bytes = max(self.highest_bytes, resident_bytes(self._pids))
        self._timer = asyncio.get_running_loop().call_later(_RESIDENT_PERIOD_SECONDS, self._look)

    def stop(self) -> int:
        self._timer.cancel()
        return self.highest_bytes


def _play_of(job: Job) -> Play:
    case = case_named(job.case)
    signer = Signer(job.access_key_id, job.secret_access_key, job.region, f"127.0.0.1:{job.port}", datetime.now(UTC))
    requests = Requests(signer, job.bucket)
    body = payload(case.size_bytes)
    if case.method == "LIST":
        return Play(case, requests.lists(), b"")
    if case.method == "PUT":
        return Play(case, requests.puts(_new_keys(job, case), body), body)
    if case.method == "DELETE":
        return Play(case, requests.deletes(_named_keys(job, case, job.count)), b"")
    return Play(case, requests.reads(case.method, case.size_bytes), body)


def _new_keys(job: Job, case: Case) -> list[str]:
    if not job.tag:
        return seeded_keys(case.size_bytes)
    rate = _LARGE_PUTS_PER_SECOND if case.large else _SMALL_PUTS_PER_SECOND
    return _named_keys(job, case, int(rate * (job.seconds + job.warm_up_seconds)))


def _named_keys(job: Job, case: Case, count: int) -> list[str]:
    return [f"new/{case.size_bytes}/{job.tag}/{number:06d}" for number in range(count)]


async def _run(play: Play, connections: list[Connection], seconds: float) -> float:
    """Play until the time is up and the last answer is here; returns how long that took."""
    play.restart(seconds)
    began = perf_counter()
    for connection in connections:
        connection.next()
    async with asyncio.timeout(seconds + _DRAIN_SECONDS):
        await play.done.wait()
    return perf_counter() - began


async def run(job: Job) -> Window:
    """Play one window. Raises TimeoutError when an answer is still outstanding a minute after its time."""
    play = _play_of(job)
    loop = asyncio.get_running_loop()
    connections = [(await loop.create_connection(lambda: Connection(play), "127.0.0.1", job.port))[1] for _ in range(job.connections)]
    try:
        return await _window(job, play, connections)
    finally:
        for connection in connections:
            connection.close()


async def _window(job: Job, play: Play, connections: list[Connection]) -> Window:
    gc.freeze()  # nothing of the ten thousands of prepared requests is ever garbage, and looking for it would stop the clients
    if job.warm_up_seconds:
        await _run(play, connections, job.warm_up_seconds)
        if play.failed:
            return Window(failed=play.failed, failures=play.failures)
    resident = Resident(job.watch["server"])
    watch = job.watch | {"clients": os.getpid()}
    before = {name: snapshot(pid) for name, pid in watch.items()}
    seconds = await _run(play, connections, job.seconds)
    after = {name: snapshot(pid) for name, pid in watch.items()}
    latencies = sorted(play.latencies)
    if not latencies:
        return Window(failed=1, failures=["no request was answered"])
    return Window(
        operations=len(latencies),
        seconds=seconds,
        p50_seconds=latencies[len(latencies) // 2],
        p99_seconds=latencies[len(latencies) * 99 // 100],
        cpu_ns={name: spent_ns(before[name], after[name]) for name in watch},
        resident_bytes=resident.stop(),
        failed=play.failed,
        failures=play.failures,
    )


if __name__ == "__main__":
    print(json.dumps(asdict(uvloop.run(run(Job(**json.loads(sys.argv[1])))))))
