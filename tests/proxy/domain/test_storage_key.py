"""Where the bytes of a write lie on a backend."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3o_proxy.domain.storage_key import METADATA_KEY, key_metadata, storage_key

ID = "01J00000000000000000000000"
KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(lambda key: len(key.encode()) <= 1024)


@pytest.mark.parametrize("key", ["a", "a/b", "räksmörgås", "a b+c%20~d", "日本/語", "x" * 170])
def test_an_ordinary_key_stays_readable(key: str) -> None:
    assert storage_key("photos", key, ID) == f"photos/{key}~{ID}"
    assert key_metadata("photos", key, ID) == {}


@pytest.mark.parametrize(
    "key",
    ["/a", "a//b", "a/", ".", "..", "a/../b", "a\nb", "a\\b", "x" * 1024, "x" * 201 + "/y", "a\ufffeb", "a/.uploads/b", "x.versions/b"],
)
def test_a_key_that_a_backend_might_fold_is_hashed_and_told_in_metadata(key: str) -> None:
    stored = storage_key("photos", key, ID)
    if key == "a/":
        assert stored == f"photos/a/~{ID}"  # The write id makes the last segment an ordinary one.
        return
    if key in (".", ".."):
        assert stored == f"photos/{key}~{ID}"
        return
    assert stored.startswith("photos/~")
    assert stored.endswith(f"~{ID}")
    assert base64.urlsafe_b64decode(key_metadata("photos", key, ID)[METADATA_KEY]).decode() == key


@given(key=KEYS)
def test_every_key_gets_a_name_that_every_backend_takes(key: str) -> None:
    stored = storage_key("photos", key, ID)
    assert len(stored.encode()) <= 900
    assert all(segment not in ("", ".", "..") and len(segment.encode()) <= 200 for segment in stored.split("/"))


@given(first=KEYS, second=KEYS)
def test_two_writes_never_share_a_name(first: str, second: str) -> None:
    assert storage_key("photos", first, ID) != storage_key("photos", second, "01J00000000000000000000001")
