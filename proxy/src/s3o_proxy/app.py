"""The composition root: the only file that knows every adapter. It reads as the list of what a running proxy is made of."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from importlib.metadata import version
from socket import socket
from typing import Any

import uvloop

from s3o_proxy.backends.registry import Backends
from s3o_proxy.config.snapshot import Snapshot
from s3o_proxy.config.watch import LiveConfig, Source
from s3o_proxy.domain.errors import DatabaseReplaced
from s3o_proxy.http.admin import ADMIN_TOKEN, Status, admin_routes, status_of
from s3o_proxy.http.endpoint import Endpoint
from s3o_proxy.http.health import Readiness
from s3o_proxy.http.listen import listen
from s3o_proxy.http.server import Server, make_tls, renew_tls
from s3o_proxy.http.site import make_site
from s3o_proxy.metadata.open import open_ledger
from s3o_proxy.processes.member import membership
from s3o_proxy.processes.place import Place
from s3o_proxy.processes.tally import Tally
from s3o_proxy.processes.together import Together, Voice, served_by
from s3o_proxy.processes.tuning import tune_garbage, tune_memory
from s3o_proxy.proxy import Proxy, quotas
from s3o_proxy.telemetry.access_log import AccessLog
from s3o_proxy.telemetry.logs import Logs, start_logs
from s3o_proxy.telemetry.metrics import Metrics
from s3o_proxy.telemetry.outlet import Outlet
from s3o_proxy.telemetry.stream import StandardError
from s3o_proxy.workers.audit import Difference, audit
from s3o_proxy.workers.roster import Role

log = logging.getLogger(__name__)


# --- s3o run, s3o serve --------------------------------------------------------------------------------------------------------------


def run(source: Source, listen_on: str, role: Role = Role.ALL, place: Place | None = None) -> int:
    """Serve what `source` says on `host:port` until SIGTERM or SIGINT; a second signal waits for nobody. Returns the exit code.

    `place`: as one of several processes, which listen already.
    """
    tune_memory()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(source, listen_on, role, place))


async def _serve(source: Source, listen_on: str, role: Role, place: Place | None) -> int:
    async with AsyncExitStack() as stack:
        member = None if place is None else await stack.enter_async_context(membership(place))
        outlet = Outlet(StandardError(None if place is None else place.tally))
        stack.callback(outlet.close)
        metrics, access_log = Metrics(version("s3o-proxy"), processes=1 if place is None else place.of), AccessLog(outlet)
        metrics.follow_log(lambda: outlet.lost_lines)
        config = LiveConfig(source, metrics, None if member is None else await served_by(member))
        logs = start_logs(outlet)
        stack.callback(logs.stop)
        stack.callback(access_log.flush)
        _follow_logging(logs, config.current)
        metadata = await open_ledger(config.current.config.database, config.current.secrets)
        stack.push_async_callback(metadata.close)
        backends = Backends(metrics.backend_called)
        stack.push_async_callback(backends.close)
        proxy = Proxy(config, metadata, backends, metrics, role)
        try:
            await proxy.begin()
        except DatabaseReplaced as error:
            # It lives on, and says why it serves nothing: to start it again would help nobody.
            log.error("nothing is served: %s", error)
        stack.push_async_callback(proxy.end)

        readiness = Readiness(proxy.check_readiness)
        tls = make_tls(config.current)

        async def adopt(snapshot: Snapshot) -> None:
            await proxy.adopt(snapshot)
            proxy.wake_checks()
            if tls is not None:
                renew_tls(tls, snapshot)
            _follow_logging(logs, snapshot)

        async def status() -> Status:
            return await status_of(proxy)

        async def reload() -> Status:
            await config.look(adopt)
            return await status()

        own = Voice(readiness.reason, metrics.answer, status, reload)
        together = None if member is None else Together(member, own, metrics, config)
        voice = own if together is None else together.voice()
        admin = admin_routes(voice.status, voice.reload, proxy.desk, os.environ.get(ADMIN_TOKEN, ""))
        site = make_site(voice.reason, voice.render, admin)
        endpoint = Endpoint(proxy, site, metrics, access_log, proxy.instance, serves_s3=role.serves_s3)
        server = Server(endpoint, readiness, tls, None if place is None else Tally(place.tally, place.number))
        beside = [proxy.run_workers(), config.watch(adopt)]
        if together is not None:
            beside.append(_stay(together, server))
        listener = stack.enter_context(listen(listen_on) if place is None else place.open_listener())
        tune_garbage()
        await _until_stopped(server, listener, beside)
    return 0


async def _stay(together: Together, server: Server) -> None:
    """One of several processes: the others may ask us, until the parent of all is gone."""
    await together.join()
    await together.member.until_orphaned()
    log.warning("the parent process is gone")
    server.stop()


async def _until_stopped(server: Server, listener: socket, beside: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Serve until a signal, with `beside` running; what fails there ends the process, so that somebody notices."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    log.info("listening", extra={"address": list(listener.getsockname()[:2])})
    async with asyncio.TaskGroup() as group:
        background = [group.create_task(each) for each in beside]
        await server.serve(sockets=[listener])
        # Only now: requests in flight lean on the workers, and on the lease that one of them holds.
        for task in background:
            task.cancel()


def _follow_logging(logs: Logs, snapshot: Snapshot) -> None:
    logs.set_secrets(snapshot.secret_values())
    logs.set_level(snapshot.server.log_level)


# --- s3o audit -----------------------------------------------------------------------------------------------------------------------


def audit_fleet(snapshot: Snapshot, tell: Callable[[Difference], None]) -> int:
    """Compare rows, bytes and counters of the fleet, and tell each difference when it is found; it may be running. Returns how many."""
    return asyncio.run(_audit(snapshot, tell))


async def _audit(snapshot: Snapshot, tell: Callable[[Difference], None]) -> int:
    async with AsyncExitStack() as stack:
        metadata = await open_ledger(snapshot.config.database, snapshot.secrets, read_only=True)
        stack.push_async_callback(metadata.close)
        backends = Backends(lambda _: None)
        stack.push_async_callback(backends.close)
        await backends.apply(snapshot.backends, snapshot.secrets)
        told = 0
        async for difference in audit(metadata, backends.all(), quotas(snapshot)):
            tell(difference)
            told += 1
        return told
