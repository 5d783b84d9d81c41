"""The stories of listings: pages of keys, or of keys and common prefixes, in byte order, with exact truncation."""

from __future__ import annotations

from collections.abc import Sequence

from s3o_proxy.domain.keyrange import JUST_BEHIND, KeyRange, key_range, successor
from s3o_proxy.domain.model import ListedUpload, ListPage, ListQuery, Upload, UploadsPage
from s3o_proxy.metadata.records import listed_objects, listed_upload, upload
from s3o_proxy.metadata.story import Row, Steps, ask

FIRST_CHUNK = 100
WORTH_READING = 4
"""Rows read for each entry, up to which reading on is cheaper than seeking from entry to entry."""


def list_objects(query: ListQuery) -> Steps[ListPage]:
    span = key_range(query.prefix, query.delimiter, query.after)
    if query.limit <= 0 or span.empty:
        return ListPage((), (), truncated=False, last="")
    wanted = query.limit + 1
    if not query.delimiter:
        rows = yield from ask("list_keys", bucket=query.bucket, start=span.start, stop=span.stop, count=wanted)
        objects = listed_objects(rows[: query.limit])
        return ListPage(objects, (), truncated=len(rows) > query.limit, last=objects[-1].key if objects else "")
    entries = yield from _grouped(query, span, wanted)
    page = entries[: query.limit]
    last = page[-1] if page else ""
    return ListPage(
        objects=listed_objects([entry for entry in page if not isinstance(entry, str)]),
        prefixes=tuple([entry for entry in page if isinstance(entry, str)]),
        truncated=len(entries) > query.limit,
        last=last if isinstance(last, str) else last["key"],
    )


def _grouped(query: ListQuery, span: KeyRange, wanted: int) -> Steps[list[Row | str]]:
    """The rows of keys, and common prefixes (as str), in order.

    Keys that stand beside each other are read in one scan. Where many lie below few prefixes, the rest of the page is a walk that
    seeks from entry to entry; so what a page costs depends on its entries alone, never on what lies below them.
    """
    entries: list[Row | str] = []
    start, chunk = span.start, min(FIRST_CHUNK, wanted)
    while len(entries) < wanted and start < span.stop:
        before = len(entries)
        rows = yield from ask("list_keys", bucket=query.bucket, start=start, stop=span.stop, count=chunk)
        for row in rows:
            start = _add(entries, row, query, start)
        if len(rows) < chunk:
            return entries
        if (len(entries) - before) * WORTH_READING < len(rows):
            break
        chunk = wanted - len(entries)
    if len(entries) < wanted and start < span.stop:
        page = {"bucket": query.bucket, "start": start, "stop": span.stop, "count": wanted - len(entries)}
        for row in (yield from ask("list_groups", **page, **_grouping(query.prefix, query.delimiter))):
            start = _add(entries, row, query, start)
    return entries


def _add(entries: list[Row | str], row: Row, query: ListQuery, start: str) -> str:
    """Add the entry for one key, unless it was there; returns where the listing goes on behind it."""
    key: str = row["key"]
    if key < start:
        return start  # below the common prefix that was added last
    at = key.find(query.delimiter, len(query.prefix))
    if at < 0:
        entries.append(row)
        return key + JUST_BEHIND
    entry = key[: at + len(query.delimiter)]
    entries.append(entry)
    return successor(entry)


def list_uploads(bucket: str, prefix: str, delimiter: str, after_key: str, after_upload_id: str, limit: int) -> Steps[UploadsPage]:
    """`after_upload_id` counts only together with `after_key`: it continues within the uploads of that key."""
    span = key_range(prefix, delimiter, after_key)
    start = max(after_key, prefix) if after_upload_id else span.start
    if limit <= 0 or start >= span.stop:
        return UploadsPage((), (), truncated=False)
    page: dict[str, object] = {
        "bucket": bucket,
        "start": start,
        "stop": span.stop,
        "after_key": after_key if after_upload_id else "",
        "after_upload_id": after_upload_id,
        "count": limit + 1,
    }
    if not delimiter:
        rows = yield from ask("list_uploads", **page)
    else:
        rows = yield from ask("list_upload_groups", **page, **_grouping(prefix, delimiter))
    uploads: list[ListedUpload] = []
    prefixes: list[str] = []
    for row in rows[:limit]:
        if row["upload_id"] is not None:
            uploads.append(listed_upload(row))
        else:
            prefixes.append(common_prefix(row["key"], prefix, delimiter))
    return UploadsPage(tuple(uploads), tuple(prefixes), truncated=len(rows) > limit)


def stale_uploads(before_ms: int, now_ms: int, limit: int) -> Steps[Sequence[Upload]]:
    rows = yield from ask("stale_uploads", before_ms=before_ms, now_ms=now_ms, count=limit)
    return tuple(upload(row) for row in rows)


def common_prefix(key: str, prefix: str, delimiter: str) -> str:
    """The entry that stands for `key`, which holds the delimiter behind the prefix."""
    return key[: key.index(delimiter, len(prefix)) + len(delimiter)]


def _grouping(prefix: str, delimiter: str) -> dict[str, object]:
    """`below`: the position (from 1) of a key's first character behind the prefix."""
    return {
        "delimiter": delimiter,
        "behind_delimiter": successor(delimiter),
        "just_behind": JUST_BEHIND,
        "below": len(prefix) + 1,
    }
