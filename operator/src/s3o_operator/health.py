"""`/healthz`, `/readyz` and `/metrics`, on followers, too.

A leader is alive while it lists and works: a dead watch or a stuck queue shows here. It is ready when it has listed everything; a follower
is when it stands by.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from s3o_operator.metrics import Metrics


async def serve_health(host: str, port: int, trouble: Callable[[], str], unready: Callable[[], str], metrics: Metrics) -> web.AppRunner:
    """`trouble`: why this process should be replaced, `unready`: why it should be waited for; or nothing. `cleanup` what is returned."""

    async def healthz(_: web.Request) -> web.Response:
        return _said(trouble())

    async def readyz(_: web.Request) -> web.Response:
        return _said(unready())

    async def exposition(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", exposition)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner


def _said(reason: str) -> web.Response:
    return web.Response(text=reason or "ok", status=500 if reason else 200)
