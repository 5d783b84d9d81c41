"""Heads of requests as the wire has them, signed by botocore, for the payload modes that it does not send itself."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.support.chunks import ChunkSigner
from tests.support.dictionary import KEY_ID, SECRET

_REGION = "us-east-1"


class _AnyPayload(S3SigV4Auth):
    def __init__(self, payload: str, keys: Credentials) -> None:
        super().__init__(keys, "s3", _REGION)
        self._payload = payload

    def payload(self, request: AWSRequest) -> str:
        return self._payload


def signed_head(
    method: str, path: str, headers: Mapping[str, str], payload: str, *, host: str = "127.0.0.1", key_id: str = KEY_ID, secret: str = SECRET
) -> tuple[bytes, ChunkSigner]:
    """The head, and who signs the chunks that follow it."""
    request = AWSRequest(method, f"http://{host}{path}", headers={"Host": host, **headers})
    _AnyPayload(payload, Credentials(key_id, secret)).add_auth(request)
    lines = [f"{method} {path} HTTP/1.1", *[f"{name}: {value}" for name, value in request.headers.items()]]
    return "\r\n".join([*lines, "", ""]).encode(), _chunk_signer(dict(request.headers.items()), secret)


def _chunk_signer(headers: Mapping[str, str], secret: str) -> ChunkSigner:
    authorization, amz_time = headers["Authorization"], headers["X-Amz-Date"]
    found = re.search(r"Credential=[^/]+/([^,]+), .*Signature=([0-9a-f]{64})", authorization)
    assert found is not None
    key = f"AWS4{secret}".encode()
    for part in found[1].split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return ChunkSigner(key, found[2], amz_time, found[1])
