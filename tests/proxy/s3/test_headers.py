"""What a client says of an object, kept as it was said; and what nobody here would keep, refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.wire import facts, refusal_of

from s3o_proxy.domain.model import Description
from s3o_proxy.s3.headers import content_encoding, description, refuse_what_nobody_keeps, user_metadata
from s3o_proxy.s3.request import wire_text


def test_everything_that_describes() -> None:
    headers = {
        "content-type": "text/html; charset=utf-8",
        "cache-control": "max-age=1",
        "content-disposition": 'attachment; filename="ü"',
        "content-encoding": "gzip",
        "content-language": "de",
        "expires": "not a date, and kept",
        "x-amz-website-redirect-location": "/other",
        "x-amz-meta-Mtime": "1",
        "content-length": "3",
        "x-amz-date": "20260320T170945Z",
    }
    assert description(facts("PUT", "/photos/k", headers).headers) == Description(
        {
            "content-type": "text/html; charset=utf-8",
            "cache-control": "max-age=1",
            "content-disposition": 'attachment; filename="ü"',
            "content-language": "de",
            "expires": "not a date, and kept",
            "content-encoding": "gzip",
            "x-amz-website-redirect-location": "/other",
        },
        {"mtime": "1"},
    )


@pytest.mark.parametrize("headers", [{}, {"content-type": ""}])
def test_an_object_without_a_type_is_bytes(headers: dict[str, str]) -> None:
    assert description(headers) == Description({"content-type": "binary/octet-stream"})


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("gzip", "gzip"),
        ("aws-chunked", ""),
        ("gzip,aws-chunked", "gzip"),
        ("aws-chunked, gzip , br", "gzip,br"),
        ("AWS-Chunked,", ""),
        ("", ""),
        ("gzip, br", "gzip, br"),
    ],
)
def test_how_the_body_travels_is_no_property_of_the_object(sent: str, kept: str) -> None:
    assert content_encoding({"content-encoding": sent}) == kept
    assert description({"content-encoding": sent}).headers.get("content-encoding", "") == kept


def test_user_metadata_is_text_in_utf_8_or_as_it_came() -> None:
    headers = {"x-amz-meta-a": "ü".encode().decode("latin-1"), "x-amz-meta-b": "\xfc", "x-amz-meta-": "", "x-other": "1"}
    assert user_metadata(headers) == {"a": "ü", "b": "ü", "": ""}


def test_user_metadata_has_2_kib() -> None:
    assert user_metadata({"x-amz-meta-ab": "v" * 2046}) == {"ab": "v" * 2046}
    error = refusal_of("MetadataTooLarge", user_metadata, {"x-amz-meta-ab": "v" * 2047})
    assert error.extra == {"Size": "2049", "MaxSizeAllowed": "2048"}
    refusal_of("MetadataTooLarge", user_metadata, {"x-amz-meta-a": ("€" * 683).encode().decode("latin-1")})


def test_a_redirect_points_somewhere() -> None:
    refusal_of("InvalidRedirectLocation", description, {"x-amz-website-redirect-location": "elsewhere"})


@given(st.text(st.characters(max_codepoint=255)))
def test_wire_text_loses_nothing_that_is_text(value: str) -> None:
    assert wire_text(value.encode().decode("latin-1")) == value


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("x-amz-server-side-encryption", "AES256", "NotImplemented"),
        ("x-amz-server-side-encryption", "aws:kms", "NotImplemented"),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256", "NotImplemented"),
        ("x-amz-copy-source-server-side-encryption-customer-key", "k", "NotImplemented"),
        ("x-amz-object-lock-mode", "GOVERNANCE", "NotImplemented"),
        ("x-amz-object-lock-legal-hold", "ON", "NotImplemented"),
        ("x-amz-bucket-object-lock-enabled", "true", "NotImplemented"),
        ("x-amz-tagging", "a=b", "NotImplemented"),
        ("x-amz-write-offset-bytes", "5", "NotImplemented"),
        ("x-amz-if-match-size", "5", "NotImplemented"),
        ("x-amz-acl", "public-read", "AccessControlListNotSupported"),
        ("x-amz-acl", "authenticated-read", "AccessControlListNotSupported"),
        ("x-amz-acl", "mine", "InvalidArgument"),
        ("x-amz-grant-read", "id=1", "AccessControlListNotSupported"),
        ("x-amz-storage-class", "GLACIER", "InvalidStorageClass"),
        ("x-amz-storage-class", "standard", "InvalidStorageClass"),
    ],
)
def test_what_nobody_would_keep(name: str, value: str, code: str) -> None:
    refusal_of(code, refuse_what_nobody_keeps, {name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amz-acl", "private"),
        ("x-amz-acl", "bucket-owner-full-control"),
        ("x-amz-tagging", ""),
        ("x-amz-bucket-object-lock-enabled", "false"),
        ("x-amz-storage-class", "STANDARD"),
        ("x-amz-expected-bucket-owner", "123456789012"),
        ("x-amz-request-payer", "requester"),
        ("x-amz-meta-server-side-encryption", "AES256"),
        ("x-amz-user-agent", "aws-sdk-js"),
    ],
)
def test_what_holds_anyway(name: str, value: str) -> None:
    refuse_what_nobody_keeps({name: value})
