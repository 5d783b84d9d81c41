"""Buckets: what a client sees of what VirtualBuckets declare."""

from __future__ import annotations

import pytest
from tests.support.stories import START_MS, Stage

from s3o_proxy.domain.errors import NoSuchBucket, NoSuchKey
from s3o_proxy.s3.errors import S3Error
from s3o_proxy.s3.operation import (
    BucketExists,
    BucketLocation,
    BucketsListed,
    CreateBucket,
    GetBucketLocation,
    GetUnconfigured,
    HeadBucket,
    ListBuckets,
    Unsupported,
)


async def names(stage: Stage, operation: ListBuckets) -> tuple[list[str], str | None]:
    answer = await stage.perform(operation)
    assert isinstance(answer, BucketsListed)
    return [name for name, _ in answer.buckets], answer.next_after


async def test_a_client_sees_its_buckets_in_pages(stage: Stage) -> None:
    assert await names(stage, ListBuckets()) == (["films", "photos"], None)
    assert await names(stage, ListBuckets(max_buckets=1)) == (["films"], "films")
    assert await names(stage, ListBuckets(max_buckets=1, after="films")) == (["photos"], None)
    assert await names(stage, ListBuckets(prefix="ph")) == (["photos"], None)
    assert await names(stage, ListBuckets(region="elsewhere")) == ([], None)


async def test_a_bucket_is_as_old_as_its_first_sight(stage: Stage) -> None:
    await stage.perform(ListBuckets())
    stage.now_ms += 1000
    answer = await stage.perform(ListBuckets())
    assert isinstance(answer, BucketsListed)
    assert answer.buckets == (("films", START_MS), ("photos", START_MS))


async def test_ones_own_bucket_exists_and_may_be_created_again(stage: Stage) -> None:
    assert await stage.perform(HeadBucket("photos")) == BucketExists()
    assert await stage.perform(CreateBucket("photos")) == BucketExists(created=True)
    assert await stage.perform(GetBucketLocation("photos")) == BucketLocation("us-east-1")


async def test_elsewhere_creating_again_is_a_conflict(stage: Stage) -> None:
    server = stage.config.server.model_copy(update={"region": "eu-central-1"})
    stage.config = stage.config.model_copy(update={"server": server})
    with pytest.raises(S3Error) as refusal:
        await stage.perform(CreateBucket("photos"))
    assert (refusal.value.code, refusal.value.status) == ("BucketAlreadyOwnedByYou", 409)


async def test_a_bucket_cannot_be_wished_into_another_region(stage: Stage) -> None:
    body = b"<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>"
    with pytest.raises(S3Error) as refusal:
        await stage.perform(CreateBucket("photos"), body)
    assert refusal.value.status == 400


async def test_what_is_not_there(stage: Stage) -> None:
    with pytest.raises(NoSuchBucket):
        await stage.perform(HeadBucket("other"))
    with pytest.raises(NoSuchKey):
        await stage.perform(GetUnconfigured("photos", "missing", subresource="object-tagging"))
    with pytest.raises(S3Error) as refusal:
        await stage.perform(Unsupported("photos", operation="PutBucketPolicy"))
    assert (refusal.value.code, refusal.value.status) == ("NotImplemented", 501)
