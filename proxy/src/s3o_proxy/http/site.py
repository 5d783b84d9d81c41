"""What the port answers besides S3: health, metrics and the admin API, by starlette.

`health` and `metrics` are legal names of buckets. So only these exact paths are not S3's, only for GET and HEAD, and only where the
request proves no identity: S3 serves nothing to anybody anonymous, a load balancer and Prometheus sign nothing. Below `/admin/api/` the
rule is the same, but for a bearer token, which S3 does not know: with a proof of S3 the path is a key, of a bucket that the host names.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Scope

from s3o_proxy.http.exchange import Exchange
from s3o_proxy.http.head import Head
from s3o_proxy.http.shared import Pace, Shared
from s3o_proxy.http.status import status_line

logger = logging.getLogger(__name__)

Reason = Callable[[], Awaitable[str]]
"""Why nobody should send requests here now; empty when all is well."""

Render = Callable[[str], Awaitable[tuple[bytes, str]]]
"""The metrics and their content type, for an Accept header."""

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
"""One of the two formats that are told apart. Whatever else a header may ask for is nothing that prometheus-client is to make sense of."""

_PATHS = frozenset({b"/health", b"/health/ready", b"/metrics"})
_ADMIN = b"/admin/api/"
_BODY_BYTES = 64 * 1024
_CREDENTIALS = frozenset({b"authorization", b"x-proxy-token"})


def is_for_site(head: Head) -> bool:
    path, _, query = head.target.partition(b"?")
    admin = path.startswith(_ADMIN)
    return (
        (admin or (path in _PATHS and head.method in {"GET", "HEAD"}))
        and b"Signature=" not in query
        and not any(name in _CREDENTIALS and not (admin and _is_bearer(name, value)) for name, value in head.headers)
    )


def _is_bearer(name: bytes, value: bytes) -> bool:
    return name == b"authorization" and value[:7].lower() == b"bearer "


def make_site(why_not_ready: Reason, render_metrics: Render, admin: Sequence[Route] = ()) -> Starlette:
    reason = Shared(why_not_ready)
    pace = Pace(rest=4)
    scrapes = {accept: Shared(partial(render_metrics, accept), pace) for accept in ("", OPENMETRICS)}

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(_: Request) -> Response:
        why_not = await reason()
        return JSONResponse({"status": "not ready", "reason": why_not}, 503) if why_not else JSONResponse({"status": "ready"})

    async def metrics(request: Request) -> Response:
        body, content_type = await scrapes[OPENMETRICS if "application/openmetrics-text" in request.headers.get("accept", "") else ""]()
        return Response(body, headers={"content-type": content_type})

    return Starlette(routes=[Route("/health", health), Route("/health/ready", ready), Route("/metrics", metrics), *admin])


async def serve_site(site: ASGIApp, exchange: Exchange) -> None:
    """Answer an exchange by an ASGI application whose requests and answers are small. Raises BodyError where a request does not arrive."""
    head = exchange.head
    path, _, query = head.target.partition(b"?")
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": head.method,
        "scheme": "https" if head.secure else "http",
        "path": unquote(path.decode("ascii")),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": head.headers,
    }
    start: dict[str, Any] = {}
    body: list[bytes] = []
    asked = await _read_body(exchange) if head.method == "POST" and path.startswith(_ADMIN) else b""

    async def receive() -> Message:
        return {"type": "http.request", "body": asked, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            body.append(message.get("body", b""))

    try:
        await site(scope, receive, send)
    except Exception as error:
        # Starlette raises a handler's exception once its 500 is sent: for the server's log, and no reason to withhold the answer.
        if not body:
            raise
        logger.error("%s %s failed", head.method, scope["path"], exc_info=error)
    lines = [status_line(start["status"]), *(b"%b: %b\r\n" % pair for pair in start["headers"])]
    exchange.answer(b"".join(lines), b"" if head.method == "HEAD" else b"".join(body))


async def _read_body(exchange: Exchange) -> bytes:
    """Cut off where it is too long for anything that is asked here: what is left of it is then no JSON."""
    pieces: list[bytes] = []
    left = _BODY_BYTES
    while left > 0 and (piece := await exchange.receive()):
        pieces.append(piece[:left])
        left -= len(piece)
    return b"".join(pieces)
