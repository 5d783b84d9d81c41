"""What the router reads out of requests for objects, copies, uploads and listings."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from tests.support.wire import facts, refusal_of

from s3o_proxy.domain.model import Conditions, Description
from s3o_proxy.domain.ranges import RangeSpec
from s3o_proxy.domain.read_conditions import ReadConditions
from s3o_proxy.s3 import operation as ops
from s3o_proxy.s3.router import route
from s3o_proxy.s3.tokens import encode_token

# --- objects -------------------------------------------------------------------------------------------------------


def test_a_get_with_everything() -> None:
    request = facts(
        "GET",
        "/photos/key?response-content-type=text%2Fhtml&response-expires=x&versionId=null&x-id=GetObject",
        {
            "range": "bytes=5-9",
            "if-match": '"a", "b"',
            "if-range": '"etag"',
            "if-unmodified-since": "Fri, 20 Mar 2026 17:09:45 GMT",
            "x-amz-checksum-mode": "ENABLED",
        },
    )
    assert route(request) == ops.GetObject(
        "photos",
        "key",
        range=RangeSpec(5, 9),
        conditions=ReadConditions(if_match=("a", "b"), if_unmodified_since_ms=1_774_026_585_000),
        range_conditions=ReadConditions(if_match=("etag",)),
        response_headers={"content-type": "text/html", "expires": "x"},
        checksum_mode=True,
    )


def test_a_part_of_an_object() -> None:
    assert route(facts("HEAD", "/photos/key?partNumber=3")) == ops.HeadObject("photos", "key", part_number=3)


@pytest.mark.parametrize("number", ["0", "10001", "-1", "", "one", "1.5", "٣", "9" * 30])
def test_part_numbers_go_from_1_to_10000(number: str) -> None:
    for method, target in (("GET", "/photos/k?partNumber="), ("PUT", "/photos/k?uploadId=u&partNumber=")):
        error = refusal_of("InvalidArgument", route, facts(method, target + quote(number)))
        assert error.extra == {"ArgumentName": "partNumber", "ArgumentValue": number}


def test_a_part_and_a_range_exclude_each_other() -> None:
    refusal_of("InvalidRequest", route, facts("GET", "/photos/k?partNumber=1", {"range": "bytes=0-1"}))


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_there_is_one_version_and_its_name_is_null(method: str) -> None:
    assert route(facts(method, "/photos/k?versionId=null")) == route(facts(method, "/photos/k"))
    assert refusal_of("NoSuchVersion", route, facts(method, "/photos/k?versionId=3HL4kqtJlcpXroDTDmJ")).status == 404
    refusal_of("InvalidArgument", route, facts(method, "/photos/k?versionId="))


def test_a_response_header_cannot_be_forged() -> None:
    refusal_of("InvalidArgument", route, facts("GET", "/photos/k?response-content-type=a%0D%0Aset-cookie:%20b"))


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_response_overrides_are_for_reading_only(method: str) -> None:
    assert isinstance(route(facts(method, "/photos/k?response-content-type=a")), ops.Unsupported)


def test_a_put() -> None:
    request = facts("PUT", "/photos/key?x-id=PutObject", {"content-type": "text/plain", "x-amz-meta-a": "1", "if-none-match": "*"})
    described = Description({"content-type": "text/plain"}, {"a": "1"})
    assert route(request) == ops.PutObject("photos", "key", described, Conditions(if_none_match="*"))


def test_a_delete_with_a_condition() -> None:
    assert route(facts("DELETE", "/photos/k", {"if-match": '"e"'})) == ops.DeleteObject("photos", "k", Conditions(if_match="e"))


# --- copies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "bucket", "key"),
    [
        ("/photos/key", "photos", "key"),
        ("photos/key", "photos", "key"),
        ("photos/a%20b%2Bc", "photos", "a b+c"),
        ("photos/a+b", "photos", "a+b"),
        ("photos/a%3Fb?versionId=null", "photos", "a?b"),
        ("%2Fphotos%2Fa%2Fb", "photos", "a/b"),
        ("photos/€/x", "photos", "€/x"),
    ],
)
def test_copy_sources(value: str, bucket: str, key: str) -> None:
    operation = route(facts("PUT", "/archive/k", {"x-amz-copy-source": value}))
    assert isinstance(operation, ops.CopyObject)
    assert (operation.source.bucket, operation.source.key) == (bucket, key)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("", "InvalidArgument"),
        ("/", "InvalidArgument"),
        ("photos", "InvalidArgument"),
        ("photos/", "InvalidArgument"),
        ("/photos/k?versionId=abc", "NoSuchVersion"),
        ("arn:aws:s3:us-east-1:1:accesspoint/x/object/k", "InvalidBucketName"),
        ("photos/%FF", "InvalidURI"),
        ("photos/" + "k" * 1025, "KeyTooLongError"),
    ],
)
def test_copy_sources_that_name_nothing(value: str, code: str) -> None:
    refusal_of(code, route, facts("PUT", "/archive/k", {"x-amz-copy-source": value}))


def test_a_copy_with_everything() -> None:
    request = facts(
        "PUT",
        "/archive/k",
        {
            "x-amz-copy-source": "/photos/s",
            "x-amz-copy-source-if-none-match": '"e"',
            "x-amz-metadata-directive": "REPLACE",
            "x-amz-tagging-directive": "COPY",
            "x-amz-checksum-algorithm": "sha256",
            "x-amz-meta-a": "1",
            "if-none-match": "*",
        },
    )
    assert route(request) == ops.CopyObject(
        "archive",
        "k",
        ops.CopySource("photos", "s", ReadConditions(if_none_match=("e",))),
        replace_metadata=True,
        description=Description({"content-type": "binary/octet-stream"}, {"a": "1"}),
        conditions=Conditions(if_none_match="*"),
        checksum_algorithm="SHA256",
    )


def test_without_replace_the_sources_description_is_kept() -> None:
    operation = route(facts("PUT", "/archive/k", {"x-amz-copy-source": "/photos/s", "content-type": "text/plain"}))
    assert operation == ops.CopyObject("archive", "k", ops.CopySource("photos", "s"))


def test_a_copy_onto_itself_must_change_something() -> None:
    onto_itself = {"x-amz-copy-source": "/photos/k"}
    assert "illegal" in refusal_of("InvalidRequest", route, facts("PUT", "/photos/k", onto_itself)).message
    for change in ({"x-amz-metadata-directive": "REPLACE"}, {"x-amz-checksum-algorithm": "CRC32"}):
        assert isinstance(route(facts("PUT", "/photos/k", {**onto_itself, **change})), ops.CopyObject)


@pytest.mark.parametrize("name", ["x-amz-metadata-directive", "x-amz-tagging-directive"])
def test_directives_are_copy_or_replace(name: str) -> None:
    refusal_of("InvalidArgument", route, facts("PUT", "/archive/k", {"x-amz-copy-source": "/photos/k", name: "MERGE"}))


# --- multipart -----------------------------------------------------------------------------------------------------


def test_an_upload_in_parts() -> None:
    create = facts("POST", "/photos/k?uploads", {"x-amz-checksum-algorithm": "CRC64NVME", "content-type": "a/b", "if-none-match": "*"})
    assert route(create) == ops.CreateMultipartUpload("photos", "k", Description({"content-type": "a/b"}), "CRC64NVME", "FULL_OBJECT")
    assert route(facts("PUT", "/photos/k?partNumber=7&uploadId=u")) == ops.UploadPart("photos", "k", "u", 7)
    copy = {"x-amz-copy-source": "photos/s", "x-amz-copy-source-range": "bytes=0-99"}
    assert route(facts("PUT", "/photos/k?partNumber=8&uploadId=u", copy)) == ops.UploadPartCopy(
        "photos", "k", "u", 8, ops.CopySource("photos", "s"), (0, 99)
    )
    complete = {
        "x-amz-checksum-sha256": "A" * 43 + "=-3",
        "x-amz-mp-object-size": "12",
        "x-amz-checksum-type": "COMPOSITE",
        "if-match": "e",
    }
    assert route(facts("POST", "/photos/k?uploadId=u", complete)) == ops.CompleteMultipartUpload(
        "photos", "k", "u", Conditions(if_match="e"), {"SHA256": "A" * 43 + "=-3"}, "COMPOSITE", 12
    )
    assert route(facts("GET", "/photos/k?uploadId=u&max-parts=5000&part-number-marker=3")) == ops.ListParts("photos", "k", "u", 3, 1000)
    assert route(facts("DELETE", "/photos/k?uploadId=u")) == ops.AbortMultipartUpload("photos", "k", "u")


@pytest.mark.parametrize("query", ["partNumber=1", "uploadId=u"])
def test_half_a_part_is_refused_and_never_an_object(query: str) -> None:
    refusal_of("InvalidArgument", route, facts("PUT", f"/photos/k?{query}"))


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_empty_upload_id_is_no_upload(method: str) -> None:
    refusal_of("NoSuchUpload", route, facts(method, "/photos/k?uploadId="))


@pytest.mark.parametrize("size", ["-1", "1.5", "many", "9" * 40])
def test_an_object_size_that_is_none(size: str) -> None:
    refusal_of("InvalidRequest", route, facts("POST", "/photos/k?uploadId=u", {"x-amz-mp-object-size": size}))


# --- listings ------------------------------------------------------------------------------------------------------


def test_a_listing_of_version_1() -> None:
    request = facts("GET", "/photos?prefix=a%2F&delimiter=%2F&marker=a%2Fb&max-keys=7&encoding-type=url")
    assert route(request) == ops.ListObjects("photos", "", "a/", "/", "a/b", 7, True)


def test_a_listing_of_version_2() -> None:
    first = facts("GET", "/photos?list-type=2&prefix=a+b&start-after=a+c&fetch-owner=true")
    assert route(first) == ops.ListObjectsV2("photos", prefix="a b", after="a c", start_after="a c", fetch_owner=True)
    token = encode_token("a d")
    second = facts("GET", f"/photos?list-type=2&start-after=a+c&continuation-token={quote(token)}")
    assert route(second) == ops.ListObjectsV2("photos", after="a d", start_after="a c", continuation_token=token)


@pytest.mark.parametrize(("given_keys", "meant"), [("0", 0), ("1", 1), ("1000", 1000), ("1001", 1000), ("2147483647", 1000), ("", 1000)])
def test_a_page_has_at_most_1000_keys(given_keys: str, meant: int) -> None:
    operation = route(facts("GET", f"/photos?max-keys={given_keys}"))
    assert isinstance(operation, ops.ListObjects)
    assert operation.max_keys == meant


@pytest.mark.parametrize(
    "query",
    [
        "max-keys=-1",
        "max-keys=ten",
        "max-keys=1.0",
        "max-keys=2147483648",
        "max-keys=%D9%A3",
        "max-keys=" + "9" * 5000,
        "encoding-type=base64",
        "list-type=3",
        "list-type=2&continuation-token=",
        "list-type=2&continuation-token=nonsense",
        "list-type=2&fetch-owner=perhaps",
        "uploads&max-uploads=-1",
    ],
)
def test_listing_parameters_that_cannot_be(query: str) -> None:
    assert refusal_of("InvalidArgument", route, facts("GET", f"/photos?{query}")).status == 400


@pytest.mark.parametrize("query", ["list-type=2&marker=a", "start-after=a", "continuation-token=a", "fetch-owner=true"])
def test_one_versions_parameters_are_unknown_to_the_other(query: str) -> None:
    assert isinstance(route(facts("GET", f"/photos?{query}")), ops.Unsupported)


def test_uploads_in_progress() -> None:
    request = facts("GET", "/photos?uploads&prefix=a&key-marker=k&upload-id-marker=u&max-uploads=3")
    assert route(request) == ops.ListMultipartUploads("photos", "", "a", "", "k", "u", 3)
    alone = route(facts("GET", "/photos?uploads&upload-id-marker=u"))
    assert alone == ops.ListMultipartUploads("photos")


def test_a_page_of_buckets() -> None:
    token = quote(encode_token("photos"))
    assert route(facts("GET", f"/?prefix=p&max-buckets=5&continuation-token={token}&bucket-region=eu")) == ops.ListBuckets(
        prefix="p", after="photos", region="eu", max_buckets=5
    )
    refusal_of("InvalidArgument", route, facts("GET", "/?max-buckets=0"))
    assert isinstance(route(facts("GET", "/?acl")), ops.Unsupported)
