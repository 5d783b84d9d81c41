"""`python -m s3o_operator`: wait for the leadership, then list, watch and work, until told to stop or the leadership is lost.

Exit codes: 0 stopped, 1 the leadership or the watches were lost (start again), 2 it cannot work here (the last line says why).
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import socket
import sys
import time
from typing import NoReturn

import kopf
import uvloop

from s3o_operator.apply.announce import Announcer
from s3o_operator.fleet.client import AdminClient
from s3o_operator.fleet.operations import Operations
from s3o_operator.fleet.watch import FleetWatch
from s3o_operator.handlers.events import make_registry
from s3o_operator.health import serve_health
from s3o_operator.kube.client import Kube, connect
from s3o_operator.kube.errors import KubeError
from s3o_operator.leadership import LEASE_NAME, Leadership
from s3o_operator.metrics import Metrics
from s3o_operator.observe.cache import Cache
from s3o_operator.observe.intake import Intake
from s3o_operator.observe.optional import OptionalKinds
from s3o_operator.plan.observed import Ref
from s3o_operator.queue import WorkQueue
from s3o_operator.reconcile import Reconciler
from s3o_operator.resync import Resync
from s3o_operator.startup import CannotStart, Settings, check, kopf_settings, read_settings

_LOG = logging.getLogger("s3o_operator")
_WORKERS = 8
_STOP_S = 5.0
_CALM_S = 0.05
_STUCK_S = 120.0


class Process:
    """The parts of one operator, and how they depend on each other."""

    def __init__(self, kube: Kube, settings: Settings) -> None:
        self.settings = settings
        self.kube = kube
        self.stop = asyncio.Event()
        self.leads = False
        self.metrics = Metrics()
        self.cache = Cache()
        self.queue = WorkQueue(time.monotonic, calm_s=_CALM_S)
        self.intake = Intake(self.cache, self.queue)
        self.optional = OptionalKinds(kube, self.intake, settings.watched_namespace, settings.optional_s)
        listed = self.metrics.last_resync.set_to_current_time
        self.resync = Resync(kube, self.intake, settings.watched_namespace, settings.resync_s, time.monotonic, listed)
        self.client = AdminClient(self.metrics)
        self.fleet = FleetWatch(self.client, self.cache, self.queue, time.monotonic)
        self.operations = Operations(self.client, self.fleet.peers)
        self.announcer = Announcer(kube, self.metrics, socket.gethostname())
        self.reconciler = Reconciler(
            kube, self.cache, self.queue, self.metrics, self.fleet, self.operations, self.announcer, settings.image, self.optional.unusable
        )
        self.metrics.queue_keys.set_function(lambda: len(self.queue))

    def unready(self) -> str:
        """Why it does not do its part yet, or nothing. A follower's part is to stand by."""
        if self.leads and not self.resync.has_listed:
            return "it leads, and has not listed everything yet"
        return self.trouble()

    def trouble(self) -> str:
        """Why the process should be replaced, or nothing. A follower has none."""
        if self.resync.age_s() > 3 * self.settings.resync_s:
            return f"the last listing of everything was {self.resync.age_s():.0f} s ago"
        if self.queue.oldest_s() > _STUCK_S:
            return f"work has been waiting for {self.queue.oldest_s():.0f} s"
        return ""

    async def lead(self) -> None:
        """Until cancelled. Raises when the watches break."""
        self.metrics.leader.set(1)
        self.leads = True
        await self.optional.look()
        await self.resync.once()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            tasks.create_task(self.resync.run())
            tasks.create_task(self.fleet.run())
            tasks.create_task(self.optional.run())
            tasks.create_task(self.announcer.run())
            for _ in range(_WORKERS):
                tasks.create_task(self.reconciler.run())

    async def _watch(self) -> None:
        namespace = self.settings.watched_namespace
        await kopf.operator(
            registry=make_registry(self.intake, namespace),
            settings=kopf_settings(),
            standalone=True,
            clusterwide=not namespace,
            namespaces=[namespace] if namespace else [],
        )
        # kopf takes the signals for itself, and returns when one has come; when its watches break, it raises.
        self.stop.set()


async def run(settings: Settings) -> int:
    """The exit code. Raises CannotStart."""
    try:
        kube = await connect()
    except KubeError as error:
        raise CannotStart(str(error)) from None
    process = Process(kube, settings)
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, process.stop.set)
    health = await serve_health(*settings.listen, process.trouble, process.unready, process.metrics)
    try:
        await check(kube, settings)
        return await _follow_and_lead(process)
    finally:
        await health.cleanup()
        await process.client.close()
        await kube.close()


async def _follow_and_lead(process: Process) -> int:
    identity = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    leadership = Leadership(process.kube, Ref("Lease", process.settings.namespace, LEASE_NAME), identity, time.monotonic)
    stopped = asyncio.create_task(process.stop.wait())
    acquired = asyncio.create_task(leadership.acquire())
    await asyncio.wait([stopped, acquired], return_when=asyncio.FIRST_COMPLETED)
    if not acquired.done():
        acquired.cancel()
        return 0
    work, held = asyncio.create_task(process.lead()), asyncio.create_task(leadership.hold())
    await asyncio.wait([stopped, work, held], return_when=asyncio.FIRST_COMPLETED)
    if held.done():
        # Whoever leads now must not be disturbed: no clean end, which could take a while.
        return 1
    work.cancel()
    await asyncio.wait([work], timeout=_STOP_S)
    held.cancel()
    if not work.done():
        _LOG.error("work did not end in %.0f s; the Lease runs out by itself", _STOP_S)
        return 1
    await leadership.release()
    if not work.cancelled() and (error := work.exception()) is not None:
        _LOG.error("work has ended: %s", error, exc_info=error)
        return 1
    return 0


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for chatty in ("kopf", "aiohttp"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run_and_exit())


async def _run_and_exit() -> NoReturn:
    try:
        code = await run(read_settings(os.environ))
    except CannotStart as error:
        _LOG.error("cannot start: %s", error)
        code = 2
    sys.stderr.flush()
    # Out of the loop, which would wait: threads and tasks that do not end must not keep a lost leader alive.
    os._exit(code)


if __name__ == "__main__":
    main()
