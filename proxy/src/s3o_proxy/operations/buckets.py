"""Buckets are declared by VirtualBuckets; a client can see its own and ask for them to exist."""

from __future__ import annotations

from s3o_proxy.domain.errors import NoSuchKey
from s3o_proxy.operations.context import Context
from s3o_proxy.s3.documents import parse_create_bucket
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
    NothingConfigured,
)

CREATE_BODY_BYTES = 64 * 1024


async def list_buckets(context: Context, operation: ListBuckets) -> BucketsListed:
    if operation.region not in ("", context.snapshot.server.region):
        return BucketsListed((), operation)
    names = sorted(
        name
        for name in context.buckets
        if name.startswith(operation.prefix) and name > operation.after and context.snapshot.bucket(name) is not None
    )
    page = names[: operation.max_buckets]
    created = [(name, await context.metadata.bucket_created_ms(name, context.clock())) for name in page]
    return BucketsListed(tuple(created), operation, page[-1] if len(page) < len(names) else None)


async def head_bucket(context: Context, operation: HeadBucket) -> BucketExists:
    context.require_bucket(operation.bucket)
    return BucketExists()


async def create_bucket(context: Context, operation: CreateBucket) -> BucketExists:
    """Creating one's own bucket again: 200 in us-east-1, 409 elsewhere (AWS, CreateBucket, BucketAlreadyOwnedByYou)."""
    context.require_bucket(operation.bucket)
    location = parse_create_bucket(await context.body.read_all(CREATE_BODY_BYTES))
    if location not in ("", context.snapshot.server.region):
        raise S3Error("InvalidLocationConstraint")
    if context.snapshot.server.region != "us-east-1":
        raise S3Error("BucketAlreadyOwnedByYou")
    return BucketExists(created=True)


async def get_bucket_location(context: Context, operation: GetBucketLocation) -> BucketLocation:
    context.require_bucket(operation.bucket)
    return BucketLocation(context.snapshot.server.region)


async def get_unconfigured(context: Context, operation: GetUnconfigured) -> NothingConfigured:
    context.require_bucket(operation.bucket)
    if operation.key and await context.metadata.find_object(operation.bucket, operation.key) is None:
        raise NoSuchKey(operation.bucket, operation.key)
    return NothingConfigured(operation.subresource)
