"""What a backend's failures mean to the proxy: botocore's, aiohttp's and our own client's errors on the left, the domain's on the right."""

from __future__ import annotations

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from s3o_proxy.backends.wire.failures import NotConnectedError
from s3o_proxy.domain.errors import BackendError, BackendNotFound, BackendRejected, BackendThrottled, BackendTimeout, BackendUnavailable

FAILURES = (ClientError, BotoCoreError, ResponseParserError, aiohttp.ClientError, HttpProcessingError, OSError)
"""Everything that a call can raise because of the backend or the way to it (TimeoutError and ssl.SSLError are OSErrors)."""

_NOT_CONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, NotConnectedError)

_NOT_FOUND = frozenset({"NoSuchKey", "NoSuchUpload"})
"""Nothing else that comes with 404 is believed: a missing bucket, or a load balancer without its route, says nothing about an object."""

_THROTTLED = frozenset(
    {"SlowDown", "SlowDownRead", "SlowDownWrite", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests"}
    | {"TooManyRequestsException", "RequestThrottled", "BandwidthLimitExceeded", "TooMuchConcurrency"}
)

_UNAVAILABLE = frozenset({"RequestTimeout", "OperationAborted", "InternalError", "ServiceUnavailable"})
"""Meant for a moment, whatever their status."""

_REFUSED_5XX = frozenset({501, 505, 507})
"""The backend means it: not implemented, or full."""


def was_not_connected(error: BaseException) -> bool:
    """True when no byte of the request can have reached the backend."""
    return isinstance(error, _NOT_CONNECTED)


def translate(error: Exception, backend: str, *, may_have_happened: bool) -> BackendError:
    """The domain's error for one of FAILURES. `may_have_happened`: the call changes something, and its request may be there in full."""
    if isinstance(error, ClientError):
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        said = error.response.get("Error", {})
        return translate_answer(backend, status, said.get("Code", ""), said.get("Message", ""), may_have_happened=may_have_happened)
    if was_not_connected(error):
        kind = BackendTimeout if isinstance(error, TimeoutError) else BackendUnavailable
        return kind(backend, f"no connection: {_describe(error)}")
    if isinstance(error, TimeoutError):
        return BackendTimeout(backend, _describe(error), ambiguous=may_have_happened)
    return BackendUnavailable(backend, _describe(error), ambiguous=may_have_happened)


def translate_answer(backend: str, status: int, code: str, message: str, *, may_have_happened: bool) -> BackendError:
    """The domain's error for an answer that is none of success. `code` "": its body says nothing."""
    code = code or str(status)
    said = f"{status} {code}: {message}"
    if status == 404 and code in _NOT_FOUND:
        return BackendNotFound(backend, said)
    if status == 429 or code in _THROTTLED:
        return BackendThrottled(backend, said)
    if status == 408 or code == "RequestTimeout":
        return BackendTimeout(backend, said)
    if status in _REFUSED_5XX or (status < 500 and code not in _UNAVAILABLE):
        return BackendRejected(backend, status, code, message)
    return BackendUnavailable(backend, said, ambiguous=may_have_happened and not _says_not_done(status, code))


def _says_not_done(status: int, code: str) -> bool:
    """503 with a code of S3's is the backend itself, which did not begin. Any other 5xx may be of somebody in front of it (a 503 of a load
    balancer, the 52x of a CDN), who heard no answer: something behind him may have done it all the same, or be at it."""
    return status < 500 or (status == 503 and code != str(status))


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
