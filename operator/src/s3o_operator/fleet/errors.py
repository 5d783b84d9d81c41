"""What a pod's refusals, and its silence, mean to us."""

from __future__ import annotations

from typing import Any


class FleetError(Exception):
    """A call that had no success. The message says which pod, which call, and why."""


class Unreachable(FleetError):
    """No pod, no answer in time, an answer of trouble, or one that is none of the admin API. It is unknown whether it took effect."""


class NotLetIn(Unreachable):
    """401: the pod has another token. It is replaced when its own is out of date."""


class NotFound(FleetError):
    """404, said by the admin API itself: no such operation, no such backend."""


class Busy(FleetError):
    """409: it is not possible now. `answer` is all that was said: `operation`, or what is still there."""

    def __init__(self, message: str, answer: dict[str, Any]) -> None:
        super().__init__(message)
        self.answer = answer


class Refused(FleetError):
    """400: what was asked makes no sense. Asking the same again does not help."""


def error_of(status: int, answer: dict[str, Any] | None, what: str) -> FleetError:
    """`answer`: the JSON object that came, or None when something else did: then a 404 is of somebody who knows no admin API."""
    said = str((answer or {}).get("error", ""))[:1000] or f"status {status}"
    message = f"{what}: {said}"
    if status == 401:
        return NotLetIn(message)
    if answer is None or "error" not in answer:
        return Unreachable(f"{message}, and not by the admin API")
    match status:
        case 400:
            return Refused(message)
        case 404:
            return NotFound(message)
        case 409:
            return Busy(message, answer)
    return Unreachable(message)
