"""Requests on the service and on a bucket → operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from s3o_proxy.s3.errors import S3Error, invalid_argument
from s3o_proxy.s3.headers import refuse_what_nobody_keeps
from s3o_proxy.s3.operation import (
    CreateBucket,
    DeleteObjects,
    GetBucketLocation,
    HeadBucket,
    ListBuckets,
    ListMultipartUploads,
    ListObjects,
    ListObjectsV2,
    Operation,
)
from s3o_proxy.s3.query import integer_parameter, wants_url_encoding
from s3o_proxy.s3.tokens import decode_token

Parameters = Mapping[str, str]
Headers = Mapping[str, str]
BucketBuilder = Callable[[str, Parameters, Headers], Operation]

MAX_PAGE = 1000
MAX_BUCKETS_PAGE = 10_000


def list_buckets(_: str, parameters: Parameters, __: Headers) -> ListBuckets:
    asked = integer_parameter(parameters, "max-buckets", MAX_BUCKETS_PAGE)
    if asked == 0:
        raise invalid_argument("max-buckets", "0", f"Argument max-buckets must be an integer between 1 and {MAX_BUCKETS_PAGE}")
    token = parameters.get("continuation-token", "")
    return ListBuckets(
        prefix=parameters.get("prefix", ""),
        after=decode_token(token) if token else "",
        region=parameters.get("bucket-region", ""),
        max_buckets=min(asked, MAX_BUCKETS_PAGE),
    )


def list_objects(bucket: str, parameters: Parameters, _: Headers) -> ListObjects | ListObjectsV2:
    max_keys = min(
        integer_parameter(parameters, "max-keys", MAX_PAGE, message="Provided max-keys not an integer or within integer range"), MAX_PAGE
    )
    prefix, delimiter = parameters.get("prefix", ""), parameters.get("delimiter", "")
    url_encode = wants_url_encoding(parameters)
    if "list-type" not in parameters:
        return ListObjects(bucket, "", prefix, delimiter, parameters.get("marker", ""), max_keys, url_encode)
    if parameters["list-type"] != "2":
        raise invalid_argument("list-type", parameters["list-type"], "Invalid List Type specified in Request")
    start_after, token = parameters.get("start-after", ""), parameters.get("continuation-token")
    return ListObjectsV2(
        bucket,
        prefix=prefix,
        delimiter=delimiter,
        after=start_after if token is None else decode_token(token),
        start_after=start_after,
        continuation_token=token or "",
        max_keys=max_keys,
        url_encode=url_encode,
        fetch_owner=_is_true(parameters, "fetch-owner"),
    )


def list_multipart_uploads(bucket: str, parameters: Parameters, _: Headers) -> ListMultipartUploads:
    key_marker = parameters.get("key-marker", "")
    return ListMultipartUploads(
        bucket,
        prefix=parameters.get("prefix", ""),
        delimiter=parameters.get("delimiter", ""),
        key_marker=key_marker,
        # S3 ignores an upload-id-marker that comes without a key-marker.
        upload_id_marker=parameters.get("upload-id-marker", "") if key_marker else "",
        max_uploads=min(integer_parameter(parameters, "max-uploads", MAX_PAGE), MAX_PAGE),
        url_encode=wants_url_encoding(parameters),
    )


def create_bucket(bucket: str, _: Parameters, headers: Headers) -> CreateBucket:
    refuse_what_nobody_keeps(headers)
    return CreateBucket(bucket)


def head_bucket(bucket: str, _: Parameters, __: Headers) -> HeadBucket:
    return HeadBucket(bucket)


def get_bucket_location(bucket: str, _: Parameters, __: Headers) -> GetBucketLocation:
    return GetBucketLocation(bucket)


def delete_objects(bucket: str, _: Parameters, headers: Headers) -> DeleteObjects:
    refuse_what_nobody_keeps(headers)
    return DeleteObjects(bucket)


_LIST = frozenset({"prefix", "delimiter", "max-keys", "encoding-type"})

LIST_PARAMETERS = {
    "": _LIST | {"marker"},
    "2": _LIST | {"list-type", "continuation-token", "start-after", "fetch-owner"},
}
"""By list-type: version 2 does not know `marker`, version 1 none of version 2's."""

BUCKET_BUILDERS: dict[str, tuple[BucketBuilder, frozenset[str]]] = {
    "ListBuckets": (list_buckets, frozenset({"prefix", "continuation-token", "max-buckets", "bucket-region"})),
    "ListObjects": (list_objects, LIST_PARAMETERS[""]),
    "ListObjectsV2": (list_objects, LIST_PARAMETERS["2"]),
    "ListMultipartUploads": (
        list_multipart_uploads,
        frozenset({"uploads", "prefix", "delimiter", "key-marker", "upload-id-marker", "max-uploads", "encoding-type"}),
    ),
    "CreateBucket": (create_bucket, frozenset()),
    "HeadBucket": (head_bucket, frozenset()),
    "GetBucketLocation": (get_bucket_location, frozenset({"location"})),
    "DeleteObjects": (delete_objects, frozenset({"delete"})),
}
"""S3's name of a request → who makes the operation of it, and the parameters that it may carry."""


def _is_true(parameters: Parameters, name: str) -> bool:
    text = parameters.get(name, "").lower()
    if text not in ("", "true", "false"):
        raise S3Error("InvalidArgument", extra={"ArgumentName": name, "ArgumentValue": parameters[name]})
    return text == "true"
