"""Requests as RequestFacts: written by hand, or signed by botocore as an independent signer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import botocore.parsers
import botocore.session
import pytest
from botocore.auth import BaseSigner, HmacV1QueryAuth, S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.model import ServiceModel

from s3o_proxy.config.snapshot import Credential
from s3o_proxy.s3.errors import S3Error
from s3o_proxy.s3.request import RequestFacts

HOST = "s3.example.com:9000"
KEY_ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


class Keys:
    """A lookup of credentials, as the configuration's snapshot is one."""

    def __init__(self, *credentials: Credential) -> None:
        self._credentials = credentials

    def find_access_key(self, access_key_id: str) -> Credential | None:
        return next((each for each in self._credentials if access_key_id and each.access_key_id == access_key_id), None)

    def find_token(self, token: str) -> Credential | None:
        return next((each for each in self._credentials if token and each.token == token), None)


def credential(*buckets: str, secret: str = SECRET) -> Credential:
    return Credential(("photos/app",), frozenset(buckets or ("photos",)), access_key_id=KEY_ID, secret_access_key=secret)


def facts(method: str, target: str, headers: Mapping[str, str] | None = None, *, host: str = HOST) -> RequestFacts:
    """`target` is the wire form; header values are text, which travels as UTF-8."""
    path, _, query = target.partition("?")
    on_wire = {name.lower(): value.encode().decode("latin-1") for name, value in (headers or {}).items()}
    return RequestFacts(method, path.encode(), query.encode(), {"host": host, **on_wire}, host)


def signed_by_botocore(
    method: str,
    url: str,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    *,
    at_ms: int,
    secret: str = SECRET,
    region: str = "us-east-1",
    presigned: bool = False,
    expires_s: int = 3600,
) -> RequestFacts:
    """SigV4 as botocore signs it at `at_ms`, by header or by query."""
    request = AWSRequest(method, url, data=body, headers={"host": urlsplit(url).netloc, **(headers or {})})
    keys = Credentials(KEY_ID, secret)
    signer = S3SigV4QueryAuth(keys, "s3", region, expires=expires_s) if presigned else S3SigV4Auth(keys, "s3", region)
    return _sign(signer, request, at_ms)


def signed_by_botocore_v2(method: str, url: str, headers: Mapping[str, str] | None = None, *, at_ms: int) -> RequestFacts:
    """SigV2 by query, valid for an hour from `at_ms`."""
    request = AWSRequest(method, url, headers=dict(headers or {}))
    with mock.patch("botocore.auth.time.time", return_value=at_ms / 1000):
        return _sign(HmacV1QueryAuth(Credentials(KEY_ID, SECRET), expires=3600), request, at_ms)


def refusal_of(code: str, call: object, *arguments: object, **named: object) -> S3Error:
    """The S3Error of this code that `call` must raise."""
    assert callable(call)
    with pytest.raises(S3Error) as caught:
        call(*arguments, **named)
    assert caught.value.code == code, caught.value
    return caught.value


@cache
def s3_model() -> ServiceModel:
    """All of S3 as botocore knows it."""
    return botocore.session.get_session().get_service_model("s3")


def as_botocore_reads(operation: str, document: bytes, *, status: int = 200) -> dict[str, Any]:
    """What a client makes of an answer's document."""
    model = s3_model().operation_model(operation)
    assert model.output_shape is not None
    parser = botocore.parsers.create_parser("rest-xml")
    parsed: dict[str, Any] = dict(parser.parse({"status_code": status, "headers": {}, "body": document}, model.output_shape))
    parsed.pop("ResponseMetadata")
    return parsed


def _sign(signer: BaseSigner, request: AWSRequest, at_ms: int) -> RequestFacts:
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    with mock.patch("botocore.auth.get_current_datetime", lambda remove_tzinfo=True: at.replace(tzinfo=None) if remove_tzinfo else at):
        signer.add_auth(request)
    split = urlsplit(str(request.url))
    headers = {name.lower(): value if isinstance(value, str) else value.decode("latin-1") for name, value in request.headers.items()}
    headers.setdefault("host", split.netloc)
    return RequestFacts(str(request.method), split.path.encode(), split.query.encode(), headers, split.netloc)
