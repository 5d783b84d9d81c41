"""What malformed requests are made against: a fleet with a few objects and an upload in it; and the signer that makes all else right."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from unittest import mock
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.support.chunks import ChunkSigner
from tests.support.fleet import REGION, Fleet, KeyPair

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONTENT = bytes(range(256)) * 4
PART = b"p" * 5 * 1024**2
LAST_PART = b"the last part"
MAX_OBJECT_BYTES = 64 * 1024**2


@dataclass(frozen=True)
class Scene:
    """Names to be filled into targets, headers and documents by `fill`; signatures by the owner's keys unless others are given.

    `key` holds CONTENT, `joined` two parts. `upload` is under way at `slow` with parts 1 (too small to be followed by another) and 2.
    `other` is another bucket of the same owner, `foreign` one of somebody else.
    """

    host: str
    keys: KeyPair
    bucket: str
    other: str
    foreign: str
    key: str
    etag: str
    joined: str
    slow: str
    upload: str
    part_1: str
    part_2: str

    def fill(self, text: str) -> str:
        for name in ("bucket", "other", "foreign", "key", "etag", "joined", "slow", "upload", "part_1", "part_2", "host"):
            text = text.replace("{" + name + "}", getattr(self, name))
        return text


def build(fleet: Fleet, strangers: KeyPair) -> Scene:
    """Fill the fleet's buckets; `strangers` owns the bucket `vault`."""
    client, bucket = fleet.client(), fleet.bucket
    etag = client.put_object(Bucket=bucket, Key="kept.bin", Body=CONTENT, Metadata={"note": "kept"})["ETag"].strip('"')
    _join(client, bucket, "joined.bin")
    fleet.client(keys=strangers).put_object(Bucket="vault", Key="secret.bin", Body=b"secret")
    upload = client.create_multipart_upload(Bucket=bucket, Key="slow.bin", ChecksumAlgorithm="CRC32")["UploadId"]
    parts = [
        client.upload_part(Bucket=bucket, Key="slow.bin", UploadId=upload, PartNumber=number, Body=b"small", ChecksumAlgorithm="CRC32")
        for number in (1, 2)
    ]
    client.list_buckets()
    return Scene(
        host=fleet.endpoint.removeprefix("http://"),
        keys=fleet.keys,
        bucket=bucket,
        other="films",
        foreign="vault",
        key="kept.bin",
        etag=etag,
        joined="joined.bin",
        slow="slow.bin",
        upload=upload,
        part_1=parts[0]["ETag"].strip('"'),
        part_2=parts[1]["ETag"].strip('"'),
    )


def _join(client: S3Client, bucket: str, key: str) -> None:
    upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    etags = [
        client.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=body)["ETag"]
        for number, body in enumerate((PART, LAST_PART), start=1)
    ]
    listed = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, start=1)]
    client.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": listed})  # type: ignore[typeddict-item]  # ETags are all it needs


# --- signing ------------------------------------------------------------------------------------------------------------------------


class _AnyPayload(S3SigV4Auth):
    """Signs the x-amz-content-sha256 that it is told, whatever the body."""

    def __init__(self, keys: Credentials, region: str, payload: str) -> None:
        super().__init__(keys, "s3", region)
        self._payload = payload

    def payload(self, request: AWSRequest) -> str:
        return self._payload


def sign(
    scene: Scene,
    method: str,
    target: str,
    headers: Mapping[str, str],
    payload: str,
    *,
    keys: KeyPair | None = None,
    region: str = REGION,
    later: timedelta = timedelta(0),
) -> dict[str, str]:
    """`headers` with all that SigV4 adds, signed `later` than now. `payload` is what x-amz-content-sha256 says."""
    request = AWSRequest(method, f"http://{scene.host}{target}", headers={"Host": scene.host, **headers})
    pair = keys or scene.keys
    with _clock(later):
        _AnyPayload(Credentials(pair.access_key_id, pair.secret_access_key), region, payload).add_auth(request)
    return dict(request.headers.items())


def presign(
    scene: Scene,
    method: str,
    target: str,
    headers: Mapping[str, str] | None = None,
    *,
    expires_s: int = 60,
    later: timedelta = timedelta(0),
) -> str:
    """`target` with the parameters of a presigned URL."""
    request = AWSRequest(method, f"http://{scene.host}{target}", headers={"Host": scene.host, **(headers or {})})
    keys = Credentials(scene.keys.access_key_id, scene.keys.secret_access_key)
    with _clock(later):
        S3SigV4QueryAuth(keys, "s3", REGION, expires=expires_s).add_auth(request)
    signed = urlsplit(str(request.url))
    return f"{signed.path}?{signed.query}"


def chunk_signer(scene: Scene, headers: Mapping[str, str]) -> ChunkSigner:
    """Who signs the chunks behind a head that `sign` has signed."""
    scope = headers["Authorization"].partition("Credential=")[2].partition(",")[0].partition("/")[2]
    key = f"AWS4{scene.keys.secret_access_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return ChunkSigner(key, headers["Authorization"].rpartition("Signature=")[2], headers["X-Amz-Date"], scope)


def _clock(later: timedelta) -> mock._patch[object]:
    def now(remove_tzinfo: bool = True) -> datetime:
        at = datetime.now(UTC) + later
        return at.replace(tzinfo=None) if remove_tzinfo else at

    return mock.patch("botocore.auth.get_current_datetime", now)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
