"""What the API server's refusals mean to us: HTTP status → one exception each, by table."""

from __future__ import annotations


class KubeError(Exception):
    """A call that had no success. The message is the API server's own, shortened."""


class Gone(KubeError):
    """404: the object, its namespace or its kind is not there."""


class Conflict(KubeError):
    """409: somebody was faster, or it exists already."""


class Forbidden(KubeError):
    """401, 403: rights are missing. Trying again does not help until somebody grants them."""


class Invalid(KubeError):
    """400, 413, 422: what was sent is refused. Trying the same again does not help."""


class Unreachable(KubeError):
    """No answer in time, or an answer of trouble (429, 5xx). On a write it is unknown whether it took effect."""


_BY_STATUS: dict[int, type[KubeError]] = {
    400: Invalid,
    401: Forbidden,
    403: Forbidden,
    404: Gone,
    409: Conflict,
    410: Gone,
    413: Invalid,
    422: Invalid,
}


_REFUSED = ("failed to create typed patch object", "failed calling webhook")
"""Said with a 500: of what has no place in its kind's schema, such as a name that a list keyed by names has twice; and for an admission
webhook that does not answer. It may be asked about one namespace only, and all else is none the worse."""


def error_of(status: int, message: str) -> KubeError:
    other = Invalid if any(words in message for words in _REFUSED) else Unreachable
    return _BY_STATUS.get(status, other)(message[:1000])
