"""What goes wrong on the way to a server, in the words of a connection. `backends/errors.py` says what it means."""

from __future__ import annotations


class NotConnectedError(ConnectionError):
    """There is no connection, so no byte of a request was sent."""


class ConnectTimeoutError(NotConnectedError, TimeoutError):
    """There was none within the time allowed to connect."""


class ConnectionBrokeError(ConnectionError):
    """The connection ended in the middle of a request or of its answer. `unanswered`: not a byte of the answer had come."""

    def __init__(self, reason: str, *, unanswered: bool = False) -> None:
        super().__init__(reason)
        self.unanswered = unanswered


class NotHTTPError(ConnectionError):
    """What came is no answer, or one that could be read in two ways (RFC 9112 §6.3), or one without an end to it."""
