"""One GiB through one proxy by boto3's transfers: every byte arrives, and the proxy never holds more than a little of it."""

from __future__ import annotations

import pytest
from boto3.s3.transfer import TransferConfig
from tests.support.fleet import BackendShape, Fleet, Launch
from tests.support.memory import held_to_limit
from tests.support.noise import MIB, Noise

GIB = Noise(0, 1024 * MIB)


@pytest.fixture(scope="module")
def fleet(launch: Launch) -> Fleet:
    # Pack names the first backend that has room for it: the other is too small for so large an object.
    return launch(backends=[BackendShape("small", 1, spec={"quota": {"bytes": "4Mi"}}), BackendShape("large", 2)])


def test_a_gib_up_and_down(fleet: Fleet) -> None:
    s3 = fleet.client()
    with held_to_limit(fleet.proxies[0], "a GiB up and down", 2 * GIB.size_bytes):
        config = TransferConfig(multipart_chunksize=16 * MIB, max_concurrency=4)
        s3.upload_fileobj(GIB.file(), fleet.bucket, "gib", Config=config)
        GIB.assert_is(s3.get_object(Bucket=fleet.bucket, Key="gib")["Body"])

    first, last = 700 * MIB - 3, 716 * MIB + 4
    ranged = s3.get_object(Bucket=fleet.bucket, Key="gib", Range=f"bytes={first}-{last}")
    assert ranged["Body"].read() == GIB.piece(first, last + 1)
    assert list(fleet.stored("large", "gib").values()) == [GIB.size_bytes]
    assert fleet.stored("small") == {}
    assert fleet.audit() == []
    fleet.discard("large")
