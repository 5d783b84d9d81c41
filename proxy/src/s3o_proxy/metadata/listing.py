"""The stories of listings: pages of keys, or of keys and common prefixes, in byte order, with exact truncation."""

from __future__ import annotations

from collections.abc import Sequence

from s3o_proxy.domain.keyrange import JUST_BEHIND, key_range, successor
from s3o_proxy.domain.model import ListedObject, ListedUpload, ListPage, ListQuery, Upload, UploadsPage
from s3o_proxy.metadata.records import listed_object, listed_upload, upload
from s3o_proxy.metadata.story import Steps, ask


def list_objects(query: ListQuery) -> Steps[ListPage]:
    span = key_range(query.prefix, query.delimiter, query.after)
    if query.limit <= 0 or span.empty:
        return ListPage((), (), truncated=False, last="")
    page: dict[str, object] = {"bucket": query.bucket, "start": span.start, "stop": span.stop, "count": query.limit + 1}
    if not query.delimiter:
        rows = yield from ask("list_keys", **page)
    else:
        rows = yield from ask("list_groups", **page, **_grouping(query.prefix, query.delimiter))
    objects: list[ListedObject] = []
    prefixes: list[str] = []
    last = ""
    for row in rows[: query.limit]:
        if row["size_bytes"] is not None:
            last = row["key"]
            objects.append(listed_object(row))
        else:
            last = common_prefix(row["key"], query.prefix, query.delimiter)
            prefixes.append(last)
    return ListPage(tuple(objects), tuple(prefixes), truncated=len(rows) > query.limit, last=last)


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
