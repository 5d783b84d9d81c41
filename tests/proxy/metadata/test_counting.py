"""What buckets hold is counted page by page, each object once, and kept as a whole."""

from __future__ import annotations

from tests.support.ledger import BUCKET, NOW_MS, an_object, put

from s3o_proxy.domain.model import BucketUsage
from s3o_proxy.metadata.port import Metadata


async def walk(ledger: Metadata, page: int) -> list[BucketUsage]:
    after, found = ("", ""), list[BucketUsage]()
    while True:
        counted, following = await ledger.count_objects(after, page)
        found += counted
        if sum(one.objects for one in counted) < page:
            return found
        after = following


async def test_every_object_is_counted_once_whatever_the_page(ledger: Metadata) -> None:
    for number in range(7):
        await put(ledger, f"w{number}", f"key-{number}")
    whole = await walk(ledger, 100)
    assert [(one.bucket, one.objects) for one in whole] == [(BUCKET, 7)]
    for page in (1, 3, 7):
        pages = await walk(ledger, page)
        assert sum(one.objects for one in pages) == 7
        assert sum(one.size_bytes for one in pages) == whole[0].size_bytes == 7 * an_object("w").size_bytes


async def test_nothing_is_counted_where_nothing_is(ledger: Metadata) -> None:
    assert await ledger.count_objects(("", ""), 10) == ([], ("", ""))
    assert await ledger.bucket_usage() == {}


async def test_what_is_kept_replaces_all_that_was(ledger: Metadata) -> None:
    await ledger.keep_counts([BucketUsage("photos", 3, 30), BucketUsage("gone", 1, 1)], NOW_MS)
    await ledger.keep_counts([BucketUsage("photos", 4, 40), BucketUsage("new")], NOW_MS + 1)
    assert await ledger.bucket_usage() == {"photos": BucketUsage("photos", 4, 40), "new": BucketUsage("new", 0, 0)}
