"""Request → operation: every operation that S3 has is recognised, and what nobody knows never becomes a write."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.wire import facts, refusal_of, s3_model

from s3o_proxy.s3 import operation as ops
from s3o_proxy.s3.errors import S3Error
from s3o_proxy.s3.request import RequestFacts
from s3o_proxy.s3.router import route
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


@pytest.mark.parametrize("target", ["/photos/key", "/photos/key?uploadId=u&partNumber=1"])
def test_a_piece_is_not_taken_for_the_whole(target: str) -> None:
    """`curl -C - -T file` sends the rest of it so."""
    error = refusal_of("NotImplemented", route, facts("PUT", target, {"content-range": "bytes 4096-8191/8192"}))
    assert (error.status, error.extra["Header"]) == (501, "Content-Range")


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
