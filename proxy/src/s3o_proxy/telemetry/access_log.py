"""One log line for each request, written in batches: a busy proxy writes thousands a second.

A line holds only what is named here: the path without its query (which may carry a signature), no header, no body. So nothing in it
needs to be searched for secrets (I7), but a path in which somebody encoded the question mark of a presigned URL, too.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import orjson

from s3o_proxy.domain.frozen import frozen
from s3o_proxy.telemetry.logs import timestamp
from s3o_proxy.telemetry.redaction import without_proofs
from s3o_proxy.telemetry.stream import Sink

_FLUSH_AFTER_S = 0.2
_BATCH_LINES = 500

_logger = logging.getLogger("s3o_proxy.access")
"""Only asked for its level: access lines are `info`."""


@frozen
class Access:
    """`path` as it was sent, without the query. `credential` is its name (`bucket/name`), empty for a request that proved none.
    `code` is the S3 error code, empty for a success."""

    request_id: str
    peer: str
    credential: str
    method: str
    path: str
    operation: str
    status: int
    code: str
    duration_s: float
    received_bytes: int
    sent_bytes: int


class AccessLog:
    """`flush` before the process ends; a running event loop does it otherwise."""

    def __init__(self, stream: Sink, clock_s: Callable[[], float] = time.time) -> None:
        self._stream, self._clock_s = stream, clock_s
        self._waiting: list[tuple[float, Access]] = []

    def write(self, access: Access) -> None:
        if not _logger.isEnabledFor(logging.INFO):
            return
        self._waiting.append((self._clock_s(), access))
        if len(self._waiting) >= _BATCH_LINES:
            self.flush()
        elif len(self._waiting) == 1:
            asyncio.get_running_loop().call_later(_FLUSH_AFTER_S, self.flush)

    def flush(self) -> None:
        if not self._waiting:
            return
        batch, self._waiting = self._waiting, []
        self._stream.write(b"".join(_line(ended_s, access) for ended_s, access in batch))
        self._stream.flush()


def _line(ended_s: float, access: Access) -> bytes:
    path = without_proofs(access.path) if "Signature" in access.path else access.path
    return orjson.dumps(
        {
            "time": timestamp(ended_s),
            "level": "info",
            "logger": _logger.name,
            "message": f"{access.method} {path} {access.status}",
            "request_id": access.request_id,
            "peer": access.peer,
            "credential": access.credential,
            "operation": access.operation,
            "status": access.status,
            "code": access.code,
            "duration_ms": round(access.duration_s * 1000, 3),
            "received_bytes": access.received_bytes,
            "sent_bytes": access.sent_bytes,
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )
