"""What is a bucket's name and what is a key."""

from __future__ import annotations

import pytest
from tests.support.wire import refusal_of

from s3o_proxy.s3.names import check_bucket_name, check_key, is_bucket_name


@pytest.mark.parametrize("name", ["abc", "a-b", "my.bucket", "0-9", "a" * 63, "1.2.3", "a--b"])
def test_bucket_names(name: str) -> None:
    assert is_bucket_name(name)
    check_bucket_name(name)


@pytest.mark.parametrize(
    "name", ["", "ab", "a" * 64, "-ab", "ab-", ".ab", "ab.", "a..b", "aBc", "a_b", "a b", "192.168.0.1", "abc\n", "äbc", "a/b"]
)
def test_what_is_no_bucket_name(name: str) -> None:
    assert not is_bucket_name(name)
    refusal_of("InvalidBucketName", check_bucket_name, name)


@pytest.mark.parametrize("key", ["k", "k" * 1024, "€" * 341, "\x01\x7f", "..", "a//b", " "])
def test_keys(key: str) -> None:
    check_key(key)


def test_a_key_has_1024_bytes_and_no_nul() -> None:
    assert refusal_of("KeyTooLongError", check_key, "€" * 342).extra == {"Size": "1026", "MaxSizeAllowed": "1024"}
    refusal_of("InvalidURI", check_key, "a\0b")
