"""boto3 and the AWS command line against the real edge, over http and https: each sends other bytes over the other."""

from __future__ import annotations

import asyncio
import importlib
import os
import ssl
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import botocore.config
import pytest
from boto3.s3.transfer import TransferConfig
from tests.support import programs
from tests.support.dictionary import BUCKET, KEY_ID, SECRET, Dictionary, DictionaryEdge, dictionary
from tests.support.manifests import self_signed_certificate
from tests.support.s3 import refused

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DATA = os.urandom(3 * 1024 * 1024 + 17)


@dataclass
class Shop:
    """The edge on a port, and what a client needs to come in."""

    url: str
    certificate: Path
    edge: DictionaryEdge

    @property
    def application(self) -> Dictionary:
        return self.edge.application

    def client(self, **config: Any) -> S3Client:
        return boto3.client(
            "s3",
            region_name="us-east-1",
            endpoint_url=self.url,
            verify=str(self.certificate),
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
            config=botocore.config.Config(**config),
        )


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return self_signed_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=["http", "https"])
async def shop(request: pytest.FixtureRequest, certificate: tuple[Path, Path]) -> AsyncIterator[Shop]:
    context: ssl.SSLContext | None = None
    if request.param == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
    async with dictionary(tls=context) as (served, edge):
        yield Shop(f"{request.param}://localhost:{served.port}", certificate[0], edge)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def seconds_of(call: Callable[[], object]) -> float:
    started = time.monotonic()
    call()
    return time.monotonic() - started


async def test_boto3_with_default_settings_writes_reads_and_deletes(shop: Shop) -> None:
    def session(s3: S3Client) -> None:
        for data in (b"", b"x", DATA):
            put = s3.put_object(Bucket=BUCKET, Key="a key/ü+~%", Body=data, Metadata={"Owner": "ann"}, ContentEncoding="gzip")
            got = s3.get_object(Bucket=BUCKET, Key="a key/ü+~%")
            assert got["Body"].read() == data
            assert (got["ETag"], got["ChecksumCRC32"]) == (put["ETag"], put["ChecksumCRC32"])
            assert (got["Metadata"], got["ContentEncoding"]) == ({"owner": "ann"}, "gzip")
        assert s3.get_object(Bucket=BUCKET, Key="a key/ü+~%", Range="bytes=5-9")["Body"].read() == DATA[5:10]
        assert s3.head_object(Bucket=BUCKET, Key="a key/ü+~%")["ContentLength"] == len(DATA)
        assert [each["Key"] for each in s3.list_objects_v2(Bucket=BUCKET)["Contents"]] == ["a key/ü+~%"]
        assert s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "a key/ü+~%"}]})["Deleted"] == [{"Key": "a key/ü+~%"}]
        with refused("NoSuchKey", 404):
            s3.get_object(Bucket=BUCKET, Key="a key/ü+~%")
        with refused("404", 404):
            s3.head_object(Bucket=BUCKET, Key="a key/ü+~%")

    await asyncio.to_thread(session, shop.client())


async def test_boto3_transfers_in_parts(shop: Shop, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(DATA * 4)

    def session(s3: S3Client) -> None:
        small_parts = TransferConfig(multipart_threshold=5 * 2**20, multipart_chunksize=5 * 2**20)
        s3.upload_file(str(source), BUCKET, "large", Config=small_parts)
        s3.download_file(BUCKET, "large", str(target), Config=small_parts)

    await asyncio.to_thread(session, shop.client())
    assert target.read_bytes() == source.read_bytes()


async def test_presigned_urls(shop: Shop, tmp_path: Path) -> None:
    def session(s3: S3Client) -> None:
        (tmp_path / "data").write_bytes(DATA)
        curl = ["curl", "--silent", "--show-error", "--fail", "--cacert", str(shop.certificate)]
        put = s3.generate_presigned_url("put_object", {"Bucket": BUCKET, "Key": "by curl"})
        programs.run([*curl, "--upload-file", str(tmp_path / "data"), put])
        get = s3.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": "by curl", "ResponseContentType": "text/x"})
        assert programs.run([*curl, get]).output == DATA

    await asyncio.to_thread(session, shop.client(signature_version="s3v4"))


@pytest.mark.parametrize("size", [0, 5, 1024 * 1024])
async def test_no_refusal_of_a_put_spoils_the_connection_of_an_old_botocore(shop: Shop, size: int) -> None:
    """Every botocore before boto/botocore#3755 remembers a final answer to its `Expect: 100-continue` on the pooled connection: the next
    PUT on it waits 60 s for an answer to a body that it never sent. The copy inside aws-cli v1 is such a one."""
    s3 = (
        importlib.import_module("awscli.botocore.session")
        .Session()
        .create_client(
            "s3",
            endpoint_url=shop.url,
            region_name="us-east-1",
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
            verify=str(shop.certificate),
            config=importlib.import_module("awscli.botocore.config").Config(
                max_pool_connections=1, read_timeout=15, retries={"total_max_attempts": 1}
            ),
        )
    )

    def puts() -> None:
        for _ in range(3):
            with pytest.raises(Exception, match="AccessDenied"):
                s3.put_object(Bucket="not-mine", Key="key", Body=bytes(size))
            s3.put_object(Bucket=BUCKET, Key="key", Body=bytes(size))

    assert await asyncio.to_thread(seconds_of, puts) < 5
    assert shop.application.objects["key"][1] == bytes(size)


async def test_the_aws_command_line_copies_up_and_down(shop: Shop, tmp_path: Path) -> None:
    for name, size in [("small", 5), ("empty", 0), ("large file", 20 * 2**20)]:
        (tmp_path / name).write_bytes(os.urandom(size))
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": shop.url,
        "AWS_CA_BUNDLE": str(shop.certificate),
    }
    back = tmp_path.with_name(tmp_path.name + "-back")

    def session() -> None:
        programs.run(["aws", "s3", "sync", tmp_path, f"s3://{BUCKET}/tree"], env=environment)
        programs.run(["aws", "s3", "cp", "--recursive", f"s3://{BUCKET}/tree", back], env=environment)
        assert files_of(back) == files_of(tmp_path)

    await asyncio.to_thread(session)
