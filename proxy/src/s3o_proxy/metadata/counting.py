"""The stories of what buckets hold: counted page by page in the order of the keys, kept whole, read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from s3o_proxy.domain.errors import DomainError
from s3o_proxy.domain.frozen import frozen
from s3o_proxy.domain.model import BucketUsage
from s3o_proxy.metadata.story import Book, Kind, Steps, ask, ask_each


@frozen
class KeepCounts:
    counts: tuple[BucketUsage, ...]
    now_ms: int


def count_page(after: tuple[str, str], limit: int) -> Steps[tuple[Sequence[BucketUsage], tuple[str, str]]]:
    """What lies behind `after` (bucket, key), at most `limit` objects of it; and where the next page begins: `after` itself at the end."""
    rows = yield from ask("count_page", bucket=after[0], key=after[1], count=limit)
    counted = [BucketUsage(row["bucket"], row["objects"], row["size_bytes"]) for row in rows]
    return counted, (rows[-1]["bucket"], rows[-1]["last_key"]) if rows else after


def keep_counts(members: Sequence[KeepCounts], _book: Book) -> Steps[list[DomainError | None]]:
    """The last one counts: each is a whole."""
    last = members[-1]
    yield from ask("forget_counts")
    yield from ask_each(
        "keep_counts",
        [{"bucket": one.bucket, "objects": one.objects, "size_bytes": one.size_bytes, "counted_ms": last.now_ms} for one in last.counts],
    )
    return [None for _ in members]


def bucket_usage() -> Steps[Mapping[str, BucketUsage]]:
    rows = yield from ask("bucket_usage")
    return {row["bucket"]: BucketUsage(row["bucket"], row["objects"], row["size_bytes"]) for row in rows}


KEEP_COUNTS = Kind("keep_counts", keep_counts, identity=lambda _: "counts")
