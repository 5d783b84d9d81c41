"""A fleet that speaks http, and one that speaks https: what holds for a client holds over both, though it sends other bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.fleet import BackendShape, Fleet, Launch

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture(scope="module", params=["http", "https"])
def fleet(request: pytest.FixtureRequest, launch: Launch) -> Fleet:
    tls = request.param == "https"
    # Over https the backend's ETag is not trusted, so that the proxy computes its own: both ways must give the same.
    backends = [BackendShape("first", 1, spec={"etagIsMD5": not tls}), BackendShape("second", 2, spec={"etagIsMD5": not tls})]
    return launch(backends=backends, buckets=["photos", "archive"], tls=tls)


@pytest.fixture(scope="module")
def s3(fleet: Fleet) -> S3Client:
    return fleet.client()
