"""Listings against a model: sorted keys in a list, grouped by hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.ledger import BUCKET, NOW_MS, an_object, an_upload, put
from tests.support.listings import DELIMITERS, KEYS, LETTERS, expected

from s3o_proxy.domain.model import ListedObject, ListPage, ListQuery, UploadsPage
from s3o_proxy.metadata import listing
from s3o_proxy.metadata.port import Metadata

QUERIES = st.builds(
    ListQuery,
    bucket=st.just(""),
    prefix=st.just("") | st.text(LETTERS, max_size=3),
    delimiter=DELIMITERS,
    after=st.just("") | KEYS,
    limit=st.integers(0, 6),
)
fresh_buckets = (f"bucket-{number}" for number in count())


async def fill(ledger: Metadata, keys: Iterable[str], bucket: str) -> None:
    async with asyncio.TaskGroup() as group:
        for key in keys:
            group.create_task(put(ledger, f"{bucket}~{key}", key, bucket=bucket))


@pytest.fixture(params=["reading", "seeking"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How grouped pages are made: as they come, or from the second entry on by seeking alone."""
    if request.param == "seeking":
        monkeypatch.setattr(listing, "FIRST_CHUNK", 1)
        monkeypatch.setattr(listing, "WORTH_READING", 0)
    return str(request.param)


def entries(page: ListPage) -> list[str]:
    return sorted([*(listed.key for listed in page.objects), *page.prefixes], key=str.encode)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(KEYS, max_size=40), st.lists(QUERIES, max_size=8))
async def test_pages_are_what_the_model_says(ledger: Metadata, way: str, keys: set[str], queries: list[ListQuery]) -> None:
    bucket = next(fresh_buckets)
    await fill(ledger, keys, bucket)
    for query in (replace(query, bucket=bucket) for query in queries):
        page, model = await ledger.list_objects(query), expected(keys, query)
        assert entries(page) == model.entries
        assert page.truncated == model.truncated
        assert page.last == (model.entries[-1] if model.entries else "")


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(KEYS, max_size=40), QUERIES, st.integers(1, 5))
async def test_paging_through_shows_everything_once(ledger: Metadata, way: str, keys: set[str], query: ListQuery, limit: int) -> None:
    query = replace(query, bucket=next(fresh_buckets), limit=limit)
    await fill(ledger, keys, query.bucket)
    seen: list[str] = []
    after = query.after
    while True:
        page = await ledger.list_objects(replace(query, after=after))
        seen += entries(page)
        if not page.truncated:
            break
        after = page.last
    assert seen == expected(keys, replace(query, limit=1000)).entries


async def test_a_listed_object_is_described(ledger: Metadata) -> None:
    await put(ledger, "w1")
    new = an_object("w1")
    page = await ledger.list_objects(ListQuery(BUCKET))
    assert page.objects == (ListedObject("cat.jpg", 10, new.etag, NOW_MS, ("CRC32", "SHA256"), "FULL_OBJECT"),)
    assert await ledger.list_objects(ListQuery(BUCKET, delimiter="/")) == page


async def test_a_listing_shows_one_bucket(ledger: Metadata) -> None:
    await put(ledger, "w1", "a/x", bucket="one")
    await put(ledger, "w2", "b/x", bucket="two")
    for delimiter, shown in (("", ["b/x"]), ("/", ["b/"])):
        assert entries(await ledger.list_objects(ListQuery("two", delimiter=delimiter))) == shown


async def test_a_page_that_ends_with_the_last_entry_is_not_truncated(ledger: Metadata) -> None:
    await fill(ledger, ["a/1", "a/2", "b", "c/1"], BUCKET)
    assert not (await ledger.list_objects(ListQuery(BUCKET, limit=4))).truncated
    assert (await ledger.list_objects(ListQuery(BUCKET, limit=3))).truncated
    assert not (await ledger.list_objects(ListQuery(BUCKET, delimiter="/", limit=3))).truncated
    assert (await ledger.list_objects(ListQuery(BUCKET, delimiter="/", limit=2))).truncated


@pytest.mark.parametrize(
    ("after", "shown"),
    [
        ("", ["a/", "b", "c/"]),
        ("a", ["a/", "b", "c/"]),
        ("a/", ["b", "c/"]),
        ("a/1", ["a/", "b", "c/"]),
        ("a/2", ["b", "c/"]),
        ("b", ["c/"]),
        ("c/", []),
    ],
)
async def test_where_a_grouped_listing_goes_on(ledger: Metadata, after: str, shown: list[str]) -> None:
    await fill(ledger, ["a/1", "a/2", "b", "c/1"], BUCKET)
    assert entries(await ledger.list_objects(ListQuery(BUCKET, delimiter="/", after=after))) == shown


async def test_a_page_over_large_and_small_groups_and_keys(ledger: Metadata) -> None:
    """Long enough that a page begins by reading and goes on by seeking."""
    keys = [f"{letter}{number:03}" for letter in "ac" for number in range(150)] + [f"b/{number:03}" for number in range(700)]
    keys += [f"d{number:02}/{below}" for number in range(40) for below in range(8)]
    for start in range(0, len(keys), 400):
        await fill(ledger, keys[start : start + 400], BUCKET)
    for limit in (149, 150, 151, 152, 300, 301, 340, 341, 342):
        page = await ledger.list_objects(ListQuery(BUCKET, delimiter="/", limit=limit))
        model = expected(keys, ListQuery(BUCKET, delimiter="/", limit=limit))
        assert (entries(page), page.truncated, page.last) == (model.entries, model.truncated, model.entries[-1])


@pytest.mark.parametrize("delimiter", ["", "/"])
async def test_keys_of_the_greatest_length_page_like_others(ledger: Metadata, delimiter: str) -> None:
    last = "\U0010ffff" * 256
    keys = [last, last[:-1], last[:-2] + "/" + "\U0010ffff", "k" * 1024, "k" * 1023]
    await fill(ledger, keys, BUCKET)
    query = ListQuery(BUCKET, delimiter=delimiter)
    assert entries(await ledger.list_objects(query)) == expected(keys, query).entries


async def test_the_cost_of_a_grouped_page_does_not_grow_with_what_lies_below(ledger: Metadata) -> None:
    """Ten times the keys below each prefix, the same page: seeks, not reads."""

    async def best_ms(bucket: str) -> float:
        times = []
        for _ in range(15):
            started = time.perf_counter()
            page = await ledger.list_objects(ListQuery(bucket, delimiter="/"))
            times.append((time.perf_counter() - started) * 1000)
            assert page.prefixes == ("a/", "b/", "c/", "d/")
        return min(times)

    for bucket, below in (("small", 500), ("large", 5000)):
        for start in range(0, below, 500):
            await fill(ledger, [f"{prefix}/{number:06}" for prefix in "abcd" for number in range(start, start + 500)], bucket)
    small, large = await best_ms("small"), await best_ms("large")
    assert large < 3 * small + 1


# --- uploads -------------------------------------------------------------------------------------------------------


async def open_uploads(ledger: Metadata, keys: Iterable[str]) -> None:
    for number, key in enumerate(keys):
        await ledger.create_upload(an_upload(f"u{number}", key, initiated_ms=NOW_MS + number), None)
        await ledger.open_upload(f"u{number}", f"theirs-{number}")


def shown(page: UploadsPage) -> list[str]:
    return [*(f"{listed.key}:{listed.upload_id}" for listed in page.uploads), *page.prefixes]


async def test_uploads_are_listed_by_key_and_id(ledger: Metadata) -> None:
    await open_uploads(ledger, ["b", "a", "b", "c/1", "c/2"])
    await ledger.create_upload(an_upload("unopened", "a"), None)
    page = await ledger.list_uploads(BUCKET, "", "", "", "", 10)
    assert shown(page) == ["a:u1", "b:u0", "b:u2", "c/1:u3", "c/2:u4"]
    assert (page.uploads[0].initiated_ms, page.uploads[0].checksum_algorithm) == (NOW_MS + 1, "CRC64NVME")
    assert shown(await ledger.list_uploads(BUCKET, "c", "", "", "", 10)) == ["c/1:u3", "c/2:u4"]
    assert shown(await ledger.list_uploads(BUCKET, "", "/", "", "", 10)) == ["a:u1", "b:u0", "b:u2", "c/"]
    assert shown(await ledger.list_uploads(BUCKET, "c/", "/", "", "", 10)) == ["c/1:u3", "c/2:u4"]
    assert shown(await ledger.list_uploads("other", "", "", "", "", 10)) == []
    assert await ledger.list_uploads(BUCKET, "", "", "", "", 0) == UploadsPage((), (), truncated=False)


@pytest.mark.parametrize(
    ("after_key", "after_id", "rest"),
    [
        ("a", "", ["b:u0", "b:u2", "c/"]),
        ("b", "", ["c/"]),
        ("b", "u0", ["b:u2", "c/"]),
        ("b", "u2", ["c/"]),
        ("b", "u1", ["b:u2", "c/"]),
        ("c/", "", []),
        ("c/1", "", ["c/"]),
        ("c/1", "u3", ["c/"]),
        ("c/2", "u3", ["c/"]),
        ("c/2", "u4", []),
    ],
)
async def test_where_a_listing_of_uploads_goes_on(ledger: Metadata, after_key: str, after_id: str, rest: list[str]) -> None:
    await open_uploads(ledger, ["b", "a", "b", "c/1", "c/2"])
    assert shown(await ledger.list_uploads(BUCKET, "", "/", after_key, after_id, 10)) == rest
    ungrouped = [one for one in await _ungrouped(ledger, after_key, after_id) if not one.startswith("c/")]
    assert ungrouped == [one for one in rest if one != "c/"]


async def _ungrouped(ledger: Metadata, after_key: str, after_id: str) -> list[str]:
    return shown(await ledger.list_uploads(BUCKET, "", "", after_key, after_id, 10))


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["a", "a/1", "a/2", "b", "b/", "b/x/y", "c", "\uffff", "\U00010000/"]), max_size=14), st.integers(1, 4))
async def test_paging_through_uploads_shows_everything_once(ledger: Metadata, keys: list[str], limit: int) -> None:
    bucket = next(fresh_buckets)
    for number, key in enumerate(keys):
        upload_id = f"{bucket}-{number:02}"
        await ledger.create_upload(an_upload(upload_id, key, bucket=bucket), None)
        await ledger.open_upload(upload_id, upload_id)
    for delimiter in ("", "/"):
        seen: list[str] = []
        marker = ("", "")
        while True:
            page = await ledger.list_uploads(bucket, "", delimiter, *marker, limit)
            seen += shown(page)
            if not page.truncated:
                break
            last_upload = (page.uploads[-1].key, page.uploads[-1].upload_id) if page.uploads else ("", "")
            marker = max(last_upload, (page.prefixes[-1], "") if page.prefixes else ("", ""))
        whole = shown(await ledger.list_uploads(bucket, "", delimiter, "", "", 1000))
        assert sorted(seen) == sorted(whole)
        assert len(seen) == len(set(seen))
