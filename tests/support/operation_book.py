"""Operations as the admin API tells of them, without objects: each gets on by one state whenever it is looked at, and so ends."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]

_NEXT = {"Pending": "Running", "Running": "Succeeded"}
_ENDED = ("Succeeded", "Cancelled")


@dataclass
class OperationBook:
    """`rows`: the newest first. They outlive every proxy, as those of a database do. `forgotten`: names of backends."""

    rows: list[Object] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, method: str, path: str, body: Object) -> tuple[int, Object]:
        """`path`: below /admin/api/."""
        with self._lock:
            match (method, *path.partition("?")[0].split("/")):
                case ("GET", "operations"):
                    return 200, {"operations": [self._told(row) for number, row in enumerate(self.rows) if number < 100 or _holds(row)]}
                case ("POST", "operations"):
                    return self._asked(body)
                case ("GET", "operations", wanted):
                    return next(((200, self._told(row)) for row in self.rows if row["id"] == wanted), _UNKNOWN)
                case ("POST", "operations", wanted, "cancel"):
                    return next(((200, self._cancelled(row)) for row in self.rows if row["id"] == wanted), _UNKNOWN)
                case ("DELETE", "backends", name):
                    self.forgotten.append(name)
                    return 200, {}
        return _UNKNOWN

    def _asked(self, body: Object) -> tuple[int, Object]:
        wanted = {"backend": "", "bucket": ""} | {name: body[name] for name in body if name != "dryRun"}
        for row in self.rows:
            if all(row[name] == wanted[name] for name in ("subject", "kind", "token")):
                return 200, row
            if row["state"] not in _ENDED and all(row[name] == wanted[name] for name in ("kind", "backend", "bucket")):
                return 409, {"error": "another one is active", "operation": row}
        none = {"objectsTotal": 0, "objectsMoved": 0, "objectsRemaining": 0, "objectsFailed": 0, "bytesTotal": 0, "bytesRemaining": 0}
        row = {"id": f"op-{len(self.rows)}", **wanted, "state": "Pending", "reason": "", "message": "", "plan": {}, "progress": none}
        self.rows.insert(0, row)
        return 200, row

    def _told(self, row: Object) -> Object:
        told = dict(row)
        row["state"] = _NEXT.get(row["state"], row["state"])
        return told

    def _cancelled(self, row: Object) -> Object:
        if _holds(row):
            row["state"] = "Cancelled"
        return row


def _holds(row: Object) -> bool:
    return row["state"] not in _ENDED or (row["kind"], row["state"]) == ("Drain", "Succeeded")


_UNKNOWN: tuple[int, Object] = (404, {"error": "no such thing"})
