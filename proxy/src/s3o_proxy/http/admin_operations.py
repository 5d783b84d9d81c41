"""The admin API of one-shot operations: what stands in a request, and how an operation reads as JSON (camelCase, bytes, RFC 3339)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from s3o_proxy.domain.errors import (
    BackendConfigured,
    BackendInUse,
    DomainError,
    MetadataError,
    NoSuchBackend,
    NoSuchOperation,
    OperationConflict,
)
from s3o_proxy.domain.operation import KINDS, Operation, Plan, Progress, Wish

Answer = Callable[[Request], Awaitable[Response]]

_FIELDS = {"kind": str, "subject": str, "token": str, "backend": str, "bucket": str, "dryRun": bool}
_LAST_MS = 253_402_300_799_999
"""The end of the year 9999."""
_LONGEST = 256
"""Of any text in a request; a uid, a token and a name are shorter."""


class Desk(Protocol):
    """Where operations are asked for."""

    async def ask(self, wish: Wish) -> Operation: ...

    async def plan(self, wish: Wish) -> Operation: ...

    async def find(self, operation_id: str) -> Operation: ...

    async def list(self, subject: str) -> Sequence[Operation]: ...

    async def cancel(self, operation_id: str) -> Operation: ...

    async def forget(self, backend: str) -> None: ...


class BadWish(Exception):
    """A request that cannot be meant; its words are the answer."""


def operation_routes(desk: Desk, guarded: Callable[[Answer], Answer]) -> list[Route]:
    async def ask(request: Request) -> Response:
        wish, dry_run = read_wish(await request.body())
        try:
            operation = await (desk.plan(wish) if dry_run else desk.ask(wish))
        except OperationConflict as conflict:
            return JSONResponse({"error": str(conflict), "operation": as_json(await desk.find(conflict.operation_id))}, 409)
        return JSONResponse(as_json(operation))

    async def listed(request: Request) -> Response:
        operations = await desk.list(request.query_params.get("subject", ""))
        return JSONResponse({"operations": [as_json(operation) for operation in operations]})

    async def one(request: Request) -> Response:
        return JSONResponse(as_json(await desk.find(request.path_params["operation_id"])))

    async def cancel(request: Request) -> Response:
        return JSONResponse(as_json(await desk.cancel(request.path_params["operation_id"])))

    async def forget(request: Request) -> Response:
        await desk.forget(request.path_params["name"])
        return Response(status_code=204)

    def route(path: str, answer: Answer, method: str) -> Route:
        return Route(path, guarded(_explained(answer)), methods=[method])

    return [
        route("/admin/api/operations", ask, "POST"),
        route("/admin/api/operations", listed, "GET"),
        route("/admin/api/operations/{operation_id}", one, "GET"),
        route("/admin/api/operations/{operation_id}/cancel", cancel, "POST"),
        route("/admin/api/backends/{name}", forget, "DELETE"),
    ]


def _explained(answer: Answer) -> Answer:
    async def explained(request: Request) -> Response:
        try:
            return await answer(request)
        except BadWish as error:
            return JSONResponse({"error": str(error)}, 400)
        except DomainError as error:
            return _refusal(error)

    return explained


def _refusal(error: DomainError) -> Response:
    match error:
        case NoSuchOperation() | NoSuchBackend():
            return JSONResponse({"error": str(error)}, 404)
        case BackendInUse():
            return JSONResponse({"error": str(error), "counts": error.counts}, 409)
        case BackendConfigured():
            return JSONResponse({"error": str(error)}, 409)
        case MetadataError():
            return JSONResponse({"error": str(error)}, 503, {"retry-after": "5"})
    raise error


# --- requests ------------------------------------------------------------------------------------------------------------------------


def read_wish(body: bytes) -> tuple[Wish, bool]:
    """What is asked for, and whether only its plan is. Raises BadWish with one sentence."""
    try:
        values = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadWish(f"the body is no JSON: {error}") from None
    if not isinstance(values, dict):
        raise BadWish("the body is no JSON object")
    given = {name: _read(name, value) for name, value in values.items() if value is not None}
    missing = [name for name in ("kind", "subject", "token") if not given.get(name)]
    if missing:
        raise BadWish(f"{', '.join(missing)} must be given")
    kind, backend, bucket = given["kind"], given.get("backend", ""), given.get("bucket", "")
    if kind not in KINDS:
        raise BadWish(f"kind is {kind!r}; it can be {', '.join(KINDS)}")
    if kind == "Drain" and (not backend or bucket):
        raise BadWish("a Drain needs a backend, and no bucket")
    if kind == "Purge" and bool(backend) == bool(bucket):
        raise BadWish("a Purge needs either a backend or a bucket")
    if kind == "Rebalance" and (backend or bucket):
        raise BadWish("a Rebalance is of all backends: it takes neither a backend nor a bucket")
    return Wish(kind, given["subject"], given["token"], backend, bucket), given.get("dryRun", False)


def _read(name: str, value: object) -> Any:
    wanted = _FIELDS.get(name)
    if wanted is None:
        raise BadWish(f"unknown field {name!r}")
    if not isinstance(value, wanted):
        raise BadWish(f"{name} must be a {'boolean' if wanted is bool else 'string'}")
    if isinstance(value, str) and len(value) > _LONGEST:
        raise BadWish(f"{name} is longer than {_LONGEST} characters")
    if isinstance(value, str) and "\0" in value:
        # SQLite would cut it off there, and take the one for another that begins alike; PostgreSQL stores none.
        raise BadWish(f"{name} holds a NUL")
    return value


# --- answers -------------------------------------------------------------------------------------------------------------------------


def as_json(operation: Operation) -> dict[str, Any]:
    return {
        "id": operation.operation_id,
        "kind": operation.kind,
        "subject": operation.subject,
        "token": operation.token,
        "backend": operation.backend,
        "bucket": operation.bucket,
        "state": operation.state,
        "reason": operation.reason,
        "message": operation.message,
        "createdAt": as_time(operation.created_ms),
        "startedAt": as_time(operation.started_ms),
        "finishedAt": as_time(operation.finished_ms),
        "updatedAt": as_time(operation.updated_ms),
        "plan": _plan(operation.plan) if operation.plan else None,
        "progress": _progress(operation.progress),
    }


def as_time(ms: int) -> str | None:
    """RFC 3339 in UTC; None for what did not happen yet, and for what its four digits of a year cannot say.

    A drain of many terabytes that moved a few bytes a second so far is expected there.
    """
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if 0 < ms <= _LAST_MS else None


def _plan(plan: Plan) -> Mapping[str, Any]:
    return {
        "objects": plan.objects,
        "bytes": plan.bytes,
        "calls": plan.calls,
        "fits": plan.fits,
        "requiredBytes": plan.required_bytes,
        "availableBytes": plan.available_bytes,
        "backends": {
            name: {"bytesIn": flow.bytes_in, "bytesOut": flow.bytes_out, "calls": flow.calls} for name, flow in plan.backends.items()
        },
    }


def _progress(progress: Progress) -> Mapping[str, Any]:
    return {
        "objectsTotal": progress.objects_total,
        "objectsMoved": progress.objects_moved,
        "objectsRemaining": progress.objects_remaining,
        "objectsFailed": progress.objects_failed,
        "bytesTotal": progress.bytes_total,
        "bytesMoved": progress.bytes_moved,
        "bytesRemaining": progress.bytes_remaining,
        "bytesPerSecond": progress.bytes_per_second,
        "estimatedCompletionTime": as_time(progress.estimated_ms),
        "uploadsRemaining": progress.uploads_remaining,
        "intentsRemaining": progress.intents_remaining,
        "cleanupsRemaining": progress.cleanups_remaining,
        "lastError": progress.last_error,
    }
