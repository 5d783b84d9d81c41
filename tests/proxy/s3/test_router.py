"""Request → operation: every operation that S3 has is recognised, and what nobody knows never becomes a write."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.wire import facts, refusal_of, s3_model

from s3o_proxy.domain.model import Conditions, Description
from s3o_proxy.domain.ranges import RangeSpec
from s3o_proxy.domain.read_conditions import ReadConditions
from s3o_proxy.s3 import operation as ops
from s3o_proxy.s3.errors import S3Error
from s3o_proxy.s3.request import RequestFacts
from s3o_proxy.s3.router import route
from s3o_proxy.s3.tokens import encode_token
from s3o_proxy.s3.unconfigured import DOCUMENTS, REFUSALS

DEPRECATED = {
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration",
    "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
    "GetBucketNotification": "GetBucketNotificationConfiguration",
    "PutBucketNotification": "PutBucketNotificationConfiguration",
}
NEED_A_PARAMETER = {
    "ListParts": "uploadId=u",
    "UploadPart": "uploadId=u&partNumber=1",
    "UploadPartCopy": "uploadId=u&partNumber=1",
    "CompleteMultipartUpload": "uploadId=u",
    "AbortMultipartUpload": "uploadId=u",
}
LISTS_OF_CONFIGURATIONS = {
    "ListBucketAnalyticsConfigurations",
    "ListBucketIntelligentTieringConfigurations",
    "ListBucketInventoryConfigurations",
    "ListBucketMetricsConfigurations",
    "ListObjectAnnotations",
}
"""Without an `id` these have the sub-resource of their singular, by whose name they are refused."""
ELSEWHERE = {"ListDirectoryBuckets", "WriteGetObjectResponse"}
"""These live on endpoints of their own."""


def all_of_s3() -> Iterator[tuple[str, str, str]]:
    model = s3_model()
    for name in model.operation_names:
        if name in ELSEWHERE:
            continue
        http = model.operation_model(name).http
        uri = http["requestUri"].replace("{Bucket}", "photos").replace("{Key+}", "a/key")
        if name in NEED_A_PARAMETER:
            uri += ("&" if "?" in uri else "?") + NEED_A_PARAMETER[name]
        yield name, http["method"], uri


@pytest.mark.parametrize(("name", "method", "uri"), list(all_of_s3()))
def test_every_operation_of_s3_has_its_name(name: str, method: str, uri: str) -> None:
    headers = {"x-amz-copy-source": "/photos/source"} if "Copy" in name else {}
    operation = route(facts(method, uri, headers))
    expected = DEPRECATED.get(name, name)
    if isinstance(operation, ops.GetUnconfigured):
        assert method == "GET"
        assert operation.subresource in DOCUMENTS.keys() | REFUSALS.keys()
        assert operation.subresource == ("object-" if operation.key else "") + uri.partition("?")[2]
    elif name in LISTS_OF_CONFIGURATIONS:
        assert isinstance(operation, ops.Unsupported)
    elif isinstance(operation, ops.Unsupported):
        assert operation.operation == expected
    else:
        assert operation.name == expected


def test_what_is_served_is_what_the_vocabulary_has() -> None:
    served = {
        type(route(facts(method, uri, {"x-amz-copy-source": "/photos/s"} if "Copy" in name else {}))) for name, method, uri in all_of_s3()
    }
    vocabulary = {kind for kind in vars(ops).values() if isinstance(kind, type) and issubclass(kind, ops.Operation)}
    assert served == vocabulary - {ops.Operation}


# --- nothing unknown is a write ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
@pytest.mark.parametrize("name", ["acl", "tagging", "retention", "legal-hold", "foo", "append", "Acl", "uploadid", "versioning", "x"])
@pytest.mark.parametrize("value", ["", "=", "=1"])
def test_put_key_with_any_subresource_is_no_put(method: str, name: str, value: str) -> None:
    """Bug class: `PUT key?acl` overwrote the object with the document."""
    assert isinstance(route(facts(method, f"/photos/key?{name}{value}")), ops.Unsupported)
    assert isinstance(route(facts(method, f"/photos?{name}{value}")), ops.Unsupported)


@given(st.text(min_size=1, max_size=12), st.text(max_size=12))
def test_no_random_parameter_lets_a_write_through(name: str, value: str) -> None:
    target = f"/photos/key?{quote(name, safe='', errors='ignore')}={quote(value, safe='', errors='ignore')}"
    request = facts("PUT", target)
    try:
        operation = route(request)
    except S3Error:
        return
    ignored = name == "x-id" or request.raw_query == b"="
    assert ignored or isinstance(operation, (ops.Unsupported, ops.UploadPart))


def test_an_unknown_parameter_is_named() -> None:
    operation = route(facts("GET", "/photos?list-type=2&allow-unordered=true"))
    assert operation == ops.Unsupported("photos", operation="?allow-unordered")


def test_a_long_unknown_parameter_is_cut() -> None:
    operation = route(facts("GET", "/photos?" + "a" * 5000))
    assert isinstance(operation, ops.Unsupported)
    assert len(operation.operation) == 200


@pytest.mark.parametrize(
    ("method", "target"), [("GET", "/photos?acl&policy"), ("PUT", "/photos/k?tagging&uploadId=1"), ("GET", "/photos/k?acl&tagging")]
)
def test_two_subresources_conflict(method: str, target: str) -> None:
    assert "Conflicting query string parameters" in refusal_of("InvalidArgument", route, facts(method, target)).message


@pytest.mark.parametrize("target", ["/photos?prefix=a&prefix=b", "/photos/k?versionId=null&versionId=null"])
def test_a_parameter_given_twice_is_refused(target: str) -> None:
    refusal_of("InvalidArgument", route, facts("GET", target))


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [
        ("POST", "/photos/key", "DELETE, GET, HEAD, OPTIONS, PUT"),
        ("PATCH", "/photos/key", "DELETE, GET, HEAD, OPTIONS, PUT"),
        ("PATCH", "/photos", "DELETE, GET, HEAD, OPTIONS, POST, PUT"),
        ("PUT", "/", "GET, OPTIONS"),
        ("DELETE", "/", "GET, OPTIONS"),
        ("get", "/photos/key", "DELETE, GET, HEAD, OPTIONS, PUT"),
    ],
)
def test_methods_that_do_not_exist(method: str, target: str, allowed: str) -> None:
    error = refusal_of("MethodNotAllowed", route, facts(method, target))
    assert (error.status, error.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize(
    ("method", "target", "name"),
    [
        ("POST", "/photos", "PostObject"),
        ("DELETE", "/photos", "DeleteBucket"),
        ("OPTIONS", "/photos/key", "CORS preflight"),
        ("HEAD", "/photos/key?acl", "HEAD ?acl"),
        ("HEAD", "/photos?location", "HEAD ?location"),
        ("POST", "/photos/key?select&select-type=2", "SelectObjectContent"),
    ],
)
def test_recognised_and_not_served(method: str, target: str, name: str) -> None:
    operation = route(facts(method, target))
    assert isinstance(operation, ops.Unsupported)
    assert operation.operation == name


# --- where it points -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "host", "bucket", "key"),
    [
        ("/photos/key", "s3.example.com", "photos", "key"),
        ("/photos/", "s3.example.com", "photos", ""),
        ("/photos", "127.0.0.1:9000", "photos", ""),
        ("/key", "photos.s3.example.com", "photos", "key"),
        ("/", "photos.s3.example.com:9000", "photos", ""),
        ("/photos/key", "PHOTOS.S3.Example.COM", "photos", "photos/key"),
        ("/a/b", "my.dotted.bucket.s3.example.com", "my.dotted.bucket", "a/b"),
        ("/photos/key", "others3.example.com", "photos", "key"),
        ("/photos//a", "s3.example.com", "photos", "/a"),
        ("/photos/a%20b+c%2Fd%25", "s3.example.com", "photos", "a b+c/d%"),
        ("/photos/%E2%82%AC", "s3.example.com", "photos", "€"),
        ("/photos/€", "s3.example.com", "photos", "€"),
        ("/photos/../x", "s3.example.com", "photos", "../x"),
        ("/photos/" + "k" * 1024, "s3.example.com", "photos", "k" * 1024),
    ],
)
def test_bucket_and_key(target: str, host: str, bucket: str, key: str) -> None:
    operation = route(facts("GET", target, host=host), "s3.example.com")
    assert (operation.bucket, operation.key) == (bucket, key)


def test_without_a_domain_every_host_is_path_style() -> None:
    assert route(facts("GET", "/photos/key", host="photos.s3.example.com")).bucket == "photos"


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("/photos/%FF", "InvalidURI"),
        ("/photos/%C3%28", "InvalidURI"),
        ("/photos/a%00b", "InvalidURI"),
        ("/photos/a%zz", "InvalidURI"),
        ("/photos/a%2", "InvalidURI"),
        ("photos/key", "InvalidURI"),
        ("*", "InvalidURI"),
        ("/photos?prefix=%FF", "InvalidURI"),
        ("/photos?prefix=%00", "InvalidURI"),
        ("/photos/" + "k" * 1025, "KeyTooLongError"),
        ("/photos/" + "%E2%82%AC" * 342, "KeyTooLongError"),
        ("/PHOTOS/key", "InvalidBucketName"),
        ("/ph/key", "InvalidBucketName"),
        ("/pho%2Ftos/key", "InvalidBucketName"),
        ("//key", "InvalidBucketName"),
        ("/192.168.0.1/key", "InvalidBucketName"),
    ],
)
def test_paths_that_name_nothing(target: str, code: str) -> None:
    assert refusal_of(code, route, facts("GET", target)).status == 400


def test_a_bucket_of_the_host_must_be_a_legal_name() -> None:
    refusal_of("InvalidBucketName", route, facts("GET", "/k", host="-x.s3.example.com"), "s3.example.com")


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


# --- whatever comes ------------------------------------------------------------------------------------------------


@given(
    st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", ""]),
    st.binary(max_size=60),
    st.binary(max_size=80),
    st.dictionaries(
        st.sampled_from(["range", "if-match", "if-none-match", "x-amz-copy-source", "x-amz-acl", "x-amz-checksum-crc32", "x-amz-meta-a"]),
        st.text(st.characters(max_codepoint=255), max_size=30),
    ),
)
def test_any_request_becomes_an_operation_or_an_error_of_s3(method: str, path: bytes, query: bytes, headers: dict[str, str]) -> None:
    for raw_path in (path, b"/photos/" + path):
        try:
            operation = route(RequestFacts(method, raw_path, query, headers, "localhost"), "s3.example.com")
        except S3Error:
            continue
        assert isinstance(operation, ops.Operation)
