"""`/healthz` and `/metrics`, on followers, too. A leader is alive while it lists and works: a dead watch or a stuck queue shows here."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from s3o_operator.metrics import Metrics


async def serve_health(host: str, port: int, trouble: Callable[[], str], metrics: Metrics) -> web.AppRunner:
    """`trouble`: why this process should be replaced, or nothing. Call `cleanup` of what is returned."""

    async def healthz(_: web.Request) -> web.Response:
        reason = trouble()
        return web.Response(text=reason or "ok", status=500 if reason else 200)

    async def exposition(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.add_routes([web.get("/healthz", healthz), web.get("/metrics", exposition)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
