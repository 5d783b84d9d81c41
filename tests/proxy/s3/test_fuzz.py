"""Parsers against input that is nearly right: known names with values of every kind. Each gives a value or an error of S3, nothing else.

Wholly random input stands beside each parser's own tests; it seldom comes past the first check.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.wire import facts

from s3o_proxy.s3 import operation as ops
from s3o_proxy.s3.body_promises import body_promises
from s3o_proxy.s3.bucket_requests import BUCKET_BUILDERS
from s3o_proxy.s3.checksum_headers import asked_algorithm, checksum_type, checksum_values, trailer_algorithm, upload_checksum
from s3o_proxy.s3.documents import parse_complete_multipart_upload, parse_create_bucket, parse_delete
from s3o_proxy.s3.errors import S3Error
from s3o_proxy.s3.object_requests import OBJECT_BUILDERS
from s3o_proxy.s3.query import parse_query
from s3o_proxy.s3.router import route
from s3o_proxy.s3.subresources import BUCKET_SUBRESOURCES, OBJECT_SUBRESOURCES
from s3o_proxy.s3.target import decode_copy_source

PARAMETERS = sorted(
    {"x-id", *OBJECT_SUBRESOURCES, *BUCKET_SUBRESOURCES}.union(*[known for _, known in (OBJECT_BUILDERS | BUCKET_BUILDERS).values()])
)
HEADERS = [
    "range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "if-range",
    "x-amz-copy-source",
    "x-amz-copy-source-range",
    "x-amz-copy-source-if-match",
    "x-amz-metadata-directive",
    "x-amz-tagging-directive",
    "x-amz-acl",
    "x-amz-storage-class",
    "x-amz-tagging",
    "x-amz-website-redirect-location",
    "x-amz-meta-a",
    "x-amz-mp-object-size",
    "x-amz-checksum-algorithm",
    "x-amz-checksum-type",
    "x-amz-checksum-mode",
    "x-amz-checksum-crc32",
    "x-amz-checksum-sha256",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-trailer",
    "x-amz-content-sha256",
    "x-amz-decoded-content-length",
    "content-type",
    "content-encoding",
    "content-length",
    "content-md5",
    "transfer-encoding",
]
TELLING = [
    "0",
    "1",
    "-1",
    "10001",
    "null",
    "true",
    "url",
    "2",
    "*",
    '"etag"',
    "COPY",
    "REPLACE",
    "private",
    "STANDARD",
    "bytes=0-1",
    "bytes=5-",
    "bytes=-5",
    "/photos/key",
    "photos/%00",
    "photos/%FF",
    "%",
    "CRC32",
    "SHA512",
    "COMPOSITE",
    "AAAAAA==",
    "AAAAAA==-2",
    "AXh4eA==",
    "chunked",
    "aws-chunked",
    "UNSIGNED-PAYLOAD",
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "x-amz-checksum-crc32",
]
VALUES = st.text(st.characters(max_codepoint=255), max_size=12) | st.sampled_from(
    ["", "9" * 400, "Sun, 06 Nov 1994 08:49:37 GMT", *TELLING]
)


@given(
    st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"]),
    st.sampled_from(["/", "/photos", "/photos/key", "/photos/a%2Fb"]),
    st.dictionaries(st.sampled_from(PARAMETERS), VALUES, max_size=3),
    st.dictionaries(st.sampled_from(HEADERS), VALUES, max_size=4),
)
def test_known_parameters_and_headers_of_any_value(method: str, path: str, parameters: dict[str, str], headers: dict[str, str]) -> None:
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items())
    request = facts(method, f"{path}?{query}" if query else path, headers)
    with suppress(S3Error):
        operation = route(request)
        assert isinstance(operation, ops.Operation)
        body_promises(request, operation)


@given(st.dictionaries(st.sampled_from(HEADERS), VALUES, max_size=5))
def test_checksum_headers(headers: dict[str, str]) -> None:
    readers: tuple[Callable[[], object], ...] = (
        lambda: checksum_values(headers),
        lambda: checksum_values(headers, of_parts=True),
        lambda: asked_algorithm(headers),
        lambda: checksum_type(headers),
        lambda: upload_checksum(headers),
        lambda: trailer_algorithm(headers),
    )
    for read in readers:
        with suppress(S3Error):
            read()


@given(
    st.text(st.sampled_from("/?%&=.\u00e9\x000123456789abcdefABCDEFversionIdphotos"), max_size=40)
    | st.text(st.characters(max_codepoint=255))
)
def test_copy_sources(value: str) -> None:
    with suppress(S3Error):
        bucket, key, _ = decode_copy_source(value)
        assert bucket
        assert key


@given(st.binary(max_size=40) | st.text("&=%+0Aaf\u00e9", max_size=30).map(str.encode))
def test_queries(raw: bytes) -> None:
    with suppress(S3Error):
        assert all("\0" not in name + value for name, value in parse_query(raw).items())


NAMES = [
    "Delete",
    "Object",
    "Key",
    "Quiet",
    "VersionId",
    "ETag",
    "Size",
    "CompleteMultipartUpload",
    "Part",
    "PartNumber",
    "ChecksumCRC32",
    "CreateBucketConfiguration",
    "LocationConstraint",
    "Tags",
    "Other",
]
TEXTS = st.sampled_from(["", " ", "9" * 5000, "k" * 1025, "\u0661", "\x00", "\ufffe", "<!-- -->", "<?p i?>"]) | st.sampled_from(
    ["1", "0", "-1", "10001", "true", "no", "key", "&#1;", "&amp;", "&e;", "<![CDATA[x]]>", "]]>"]
)


def _element(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    spaces = st.sampled_from(["", ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"', ' xmlns="other"', ' a="1"', " xmlns:s='x'"])
    return st.builds("<{0}{1}>{2}</{0}>".format, st.sampled_from(NAMES), spaces, st.lists(inner, max_size=4).map("".join))


DOCUMENTS = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["", '<?xml version="1.0"?>', "<!DOCTYPE x>", "\ufeff", " "]), st.recursive(TEXTS, _element, max_leaves=8), TEXTS
    ),
)


@pytest.mark.parametrize("parse", [parse_delete, parse_complete_multipart_upload, parse_create_bucket])
@given(document=DOCUMENTS, encoding=st.sampled_from(["utf-8", "utf-16", "latin-1", "utf-7"]))
def test_documents_of_known_elements(parse: Callable[[bytes], object], document: str, encoding: str) -> None:
    with suppress(S3Error):
        parse(document.encode(encoding, "replace"))
