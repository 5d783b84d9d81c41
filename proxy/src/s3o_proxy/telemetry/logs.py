"""The log: one JSON object on one line for each event, on standard error.

Every line has `time` (RFC 3339, UTC), `level`, `logger` and `message`; what a caller gives as `extra={...}` stands beside them, an
exception under `error` and `traceback`. The level and the secrets to keep out follow the configuration while the process runs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache

import orjson

from s3o_proxy.telemetry.redaction import Redaction
from s3o_proxy.telemetry.stream import Sink

_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}

# Their `info` and `debug` tell of every connection and call, request bodies included.
_CHATTY = ("aiobotocore", "botocore", "asyncio", "uvicorn", "uvicorn.error", "uvicorn.access", "watchfiles", "aiohttp")


class Logs:
    """Made once, by `start_logs`."""

    def __init__(self, stream: Sink) -> None:
        self.redaction = Redaction()
        self._handler = _JsonHandler(stream, self.redaction)
        root = logging.getLogger()
        self._before = (root.handlers, root.level)
        root.handlers = [self._handler]
        logging.captureWarnings(True)
        self.set_level("info")

    def set_level(self, level: str) -> None:
        """`spec.server.logLevel`: debug, info, warning or error."""
        numeric = logging.getLevelNamesMapping()[level.upper()]
        logging.getLogger().setLevel(numeric)
        for name in _CHATTY:
            logging.getLogger(name).setLevel(max(numeric, logging.WARNING))

    def set_secrets(self, secret_values: Iterable[str]) -> None:
        self.redaction.learn(secret_values)

    def stop(self) -> None:
        """Give the root logger back as it was found."""
        root = logging.getLogger()
        root.handlers, level = self._before
        root.setLevel(level)
        logging.captureWarnings(False)
        for name in _CHATTY:
            logging.getLogger(name).setLevel(logging.NOTSET)


def start_logs(stream: Sink) -> Logs:
    """Route everything that is logged in this process through one JSON handler. `stream`: written to by any thread."""
    return Logs(stream)


class _JsonHandler(logging.Handler):
    def __init__(self, stream: Sink, redaction: Redaction) -> None:
        super().__init__()
        self._stream, self._redaction = stream, redaction

    def handle(self, record: logging.LogRecord) -> bool:
        """Without logging's lock around it: a finalizer that logs may run wherever a thread has the stream's own in hand, and would wait
        for this one, whose holder waits for the stream."""
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = orjson.dumps(self._fields(record), default=str, option=orjson.OPT_APPEND_NEWLINE)
        except Exception as error:  # noqa: BLE001  # whatever a caller's argument raises when it is printed: the line says so instead
            # Not logging's own handleError: it prints the arguments, which nobody has cleaned.
            line = orjson.dumps(
                {
                    "time": timestamp(record.created),
                    "level": "error",
                    "logger": record.name,
                    "message": f"a log line could not be written ({type(error).__name__}), from {record.filename}:{record.lineno}",
                },
                option=orjson.OPT_APPEND_NEWLINE,
            )
        self._stream.write(line)
        self._stream.flush()

    def _fields(self, record: logging.LogRecord) -> dict[str, object]:
        clean = self._redaction.clean
        fields: dict[str, object] = {
            "time": timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": clean(record.getMessage()),
        }
        for name, value in vars(record).items():
            if name not in _STANDARD_FIELDS:
                fields[name] = self._redaction.clean_field(name, value)
        if record.exc_info and record.exc_info[1] is not None:
            fields["error"] = clean(f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}")
            fields["traceback"] = clean(logging.Formatter().formatException(record.exc_info))
        return fields


def timestamp(seconds: float) -> str:
    """Unix time as RFC 3339 in UTC, to the millisecond."""
    whole = int(seconds)
    return f"{_second(whole)}.{int((seconds - whole) * 1000):03}Z"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
