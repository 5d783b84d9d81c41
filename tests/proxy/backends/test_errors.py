"""Every failure has one meaning, and is ambiguous only where the call may have happened."""

from __future__ import annotations

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from botocore.exceptions import ClientError

from s3o_proxy.backends.errors import FAILURES, translate
from s3o_proxy.domain.errors import (
    BackendError,
    BackendNotFound,
    BackendRejected,
    BackendThrottled,
    BackendTimeout,
    BackendUnavailable,
)


def answered(status: int, code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "said"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject")  # type: ignore[typeddict-item]  # the rest of the metadata is not looked at


def not_connected() -> aiohttp.ClientConnectorError:
    key = ConnectionKey("127.0.0.1", 1, False, True, None, None, None)
    return aiohttp.ClientConnectorError(key, OSError(111, "refused"))


@pytest.mark.parametrize(
    ("error", "kind", "ambiguous"),
    [
        (answered(404, "NoSuchKey"), BackendNotFound, False),
        (answered(404, "NoSuchUpload"), BackendNotFound, False),
        (answered(404, "NoSuchBucket"), BackendRejected, False),
        (answered(404, "404"), BackendRejected, False),
        (answered(403, "AccessDenied"), BackendRejected, False),
        (answered(409, "OperationAborted"), BackendUnavailable, False),
        (answered(412, "PreconditionFailed"), BackendRejected, False),
        (answered(429, "429"), BackendThrottled, False),
        (answered(503, "SlowDown"), BackendThrottled, False),
        (answered(400, "RequestTimeout"), BackendTimeout, False),
        (answered(408, "408"), BackendTimeout, False),
        (answered(500, "InternalError"), BackendUnavailable, True),
        (answered(501, "NotImplemented"), BackendRejected, False),
        (answered(502, "502"), BackendUnavailable, True),
        (answered(503, "ServiceUnavailable"), BackendUnavailable, False),
        (answered(503, "503"), BackendUnavailable, True),
        (answered(504, "504"), BackendUnavailable, True),
        (answered(507, "XMinioStorageFull"), BackendRejected, False),
        (answered(520, "520"), BackendUnavailable, True),
        (answered(524, "524"), BackendUnavailable, True),
        (answered(529, "529"), BackendUnavailable, True),
        (not_connected(), BackendUnavailable, False),
        (aiohttp.ConnectionTimeoutError(), BackendTimeout, False),
        (aiohttp.ServerDisconnectedError(), BackendUnavailable, True),
        (aiohttp.ClientPayloadError(), BackendUnavailable, True),
        (TimeoutError(), BackendTimeout, True),
        (ConnectionResetError(104, "reset"), BackendUnavailable, True),
    ],
    ids=repr,
)
def test_every_failure_has_one_meaning(error: Exception, kind: type[BackendError], ambiguous: bool) -> None:
    assert isinstance(error, FAILURES)
    translated = translate(error, "b1", may_have_happened=True)
    assert type(translated) is kind
    assert (translated.backend, translated.ambiguous) == ("b1", ambiguous)
    assert not translate(error, "b1", may_have_happened=False).ambiguous


def test_a_refusal_keeps_its_status_and_code() -> None:
    refused = translate(answered(403, "QuotaExceeded"), "b1", may_have_happened=True)
    assert isinstance(refused, BackendRejected)
    assert (refused.status, refused.code) == (403, "QuotaExceeded")
    assert str(refused) == "backend b1: 403 QuotaExceeded: said"
