"""The admin API: what the operator asks one process, and tells it. Its token comes by the environment; without one it does not exist."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from hmac import compare_digest
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from s3o_proxy.config.snapshot import Snapshot
from s3o_proxy.domain.model import BucketUsage, Usage
from s3o_proxy.http.admin_operations import Answer, Desk, operation_routes
from s3o_proxy.workers.check_backends import Check

ADMIN_TOKEN = "S3O_ADMIN_TOKEN"  # noqa: S105  the name of a variable, not its value
"""The environment variable that holds the token."""

_PATIENCE_S = 2.0
_REFUSED_HEADERS = {"www-authenticate": 'Bearer realm="s3-orchestrator"'}


class Administered(Protocol):
    """What this process knows without asking anybody, but for `why_not_ready`: so it also answers while the database is away."""

    @property
    def instance(self) -> str: ...

    @property
    def snapshot(self) -> Snapshot: ...

    @property
    def config_refusal(self) -> Sequence[str]:
        """Why the configuration that was seen last is not the one that is served; empty when it is."""
        ...

    @property
    def database_id(self) -> str:
        """Of the database that answered last, expected or not; empty when none did."""
        ...

    @property
    def usage(self) -> Mapping[str, Usage]: ...

    @property
    def registrations(self) -> Mapping[str, int]:
        """Since when the database knows each backend, in ms since the epoch; one that it does not know is not there."""
        ...

    @property
    def queue_depths(self) -> Mapping[str, int]: ...

    @property
    def bucket_usage(self) -> Mapping[str, BucketUsage]:
        """What was counted last; a bucket that was never counted is not there."""
        ...

    @property
    def checks(self) -> Mapping[str, Check]:
        """What came of the last try of each backend; one that was not tried yet is not there."""
        ...

    async def why_not_ready(self) -> list[str]:
        """Why requests cannot be served now. The one that asks, and may wait."""
        ...


Status = dict[str, Any]
Ask = Callable[[], Awaitable[Status]]


def admin_routes(status: Ask, reload: Ask, desk: Desk, token: str) -> list[Route]:
    """`reload` looks at the configuration first. Without a `token` there are no routes: nobody could prove to be allowed."""
    if not token:
        return []

    async def tell(_: Request) -> Response:
        return JSONResponse(await status())

    async def look(_: Request) -> Response:
        return JSONResponse(await reload())

    return [
        Route("/admin/api/status", _guarded(tell, token), methods=["GET"]),
        Route("/admin/api/reload", _guarded(look, token), methods=["POST"]),
        *operation_routes(desk, lambda answer: _guarded(answer, token)),
    ]


def _guarded(answer: Answer, token: str) -> Answer:
    expected = f"Bearer {token}".encode()

    async def guarded(request: Request) -> Response:
        # In constant time: how long a refusal takes says nothing about how much of a guess was right.
        if not compare_digest(request.headers.get("authorization", "").encode(), expected):
            return JSONResponse({"error": "a valid bearer token is needed"}, 401, _REFUSED_HEADERS)
        return await answer(request)

    return guarded


async def status_of(administered: Administered) -> Status:
    snapshot, usage, checks, counts = administered.snapshot, administered.usage, administered.checks, administered.bucket_usage
    return {
        "instance": administered.instance,
        "generation": snapshot.generation,
        "digest": snapshot.digest,
        "databaseId": administered.database_id,
        "configRefusal": list(administered.config_refusal),
        "troubles": await _troubles(administered),
        "backends": {
            backend.name: {
                **_backend(usage.get(backend.name, Usage(backend.name)), backend.quota_bytes),
                "registeredAt": _time(administered.registrations.get(backend.name)),
                "check": _check(checks.get(backend.name)),
            }
            for backend in snapshot.backends
        },
        "buckets": {
            bucket.name: {"objects": counts[bucket.name].objects, "bytes": counts[bucket.name].size_bytes}
            for bucket in snapshot.buckets
            if bucket.name in counts
        },
        "queueDepths": dict(administered.queue_depths),
    }


async def _troubles(administered: Administered) -> list[str]:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return await administered.why_not_ready()
    except TimeoutError:
        return [f"the database did not answer within {_PATIENCE_S:g} s"]


def _time(ms: int | None) -> str | None:
    """To the millisecond: it tells one row from another."""
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _check(check: Check | None) -> dict[str, str] | None:
    return None if check is None else {"reason": check.reason, "message": check.message}


def _backend(usage: Usage, quota_bytes: int | None) -> dict[str, int | None]:
    return {
        "used": usage.used_bytes,
        "orphan": usage.orphan_bytes,
        "reserved": usage.reserved_bytes,
        "objects": usage.objects,
        "quota": quota_bytes,
    }
