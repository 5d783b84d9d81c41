"""How long a backend may take to answer a call, and for how long after that nobody can say that the call came to nothing.

A call that was given up (a time-out, a client that hangs up, a connection that breaks) may still be under way there: what it makes is
looked for only when it would have been answered, had somebody waited.
"""

from __future__ import annotations

from typing import Literal

Making = Literal["PutObject", "UploadPart", "CreateMultipartUpload", "CopyObject", "CompleteMultipartUpload"]
"""Calls that leave something on a backend."""

SETTLE_MS = 60_000
"""How long bytes whose arrival is unknown may be on their way at least, before the cleanup deletes them."""
USUAL_REQUEST_TIMEOUT_MS = 30_000
"""Of a backend that the configuration does not name any more."""
_LONG = frozenset(("CopyObject", "CompleteMultipartUpload"))
_LONG_FACTOR = 10
"""Joining parts and copying take a provider minutes for large objects, without a sign of progress."""
_MARGIN_MS = 30_000
"""What the backend needs to end it."""


def answer_ms(operation: str, request_timeout_ms: int) -> int:
    """From the end of the request to its answer. `operation`: its S3 name."""
    return request_timeout_ms * (_LONG_FACTOR if operation in _LONG else 1)


def settle_ms(asked: Making, request_timeout_ms: int) -> int:
    """How long what was asked for may still come to be there, once nobody waits for the answer: a minute, or as long as it may take."""
    return max(SETTLE_MS, answer_ms(asked, request_timeout_ms) + _MARGIN_MS)
