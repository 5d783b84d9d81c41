"""What a listing is to say, grouped by hand, and the keys at which engines could differ."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from s3o_proxy.domain.model import ListedUpload, ListQuery, Upload, UploadsPage

# Letters at the edges of the encoding, wildcards of LIKE, and delimiters often enough that groups arise.
LETTERS = st.sampled_from("//aab-%_\\é\ud7ff\ue000\uffff\U00010000\U0010ffff\x01")
KEYS = st.text(LETTERS, min_size=1, max_size=7)
DELIMITERS = st.sampled_from(["", "/", "a", "a/", "//", "%", "\ud7ff", "\U0010ffff", "\U0010ffff\U0010ffff"])


@dataclass
class Page:
    entries: list[str]
    truncated: bool


def expected(keys: Iterable[str], query: ListQuery) -> Page:
    """S3's rule: a key is shown when it sorts behind `after`; a common prefix when a key of it does, unless `after` is that prefix."""
    entries: list[str] = []
    for key in sorted(keys, key=str.encode):
        if not key.startswith(query.prefix) or key.encode() <= query.after.encode():
            continue
        at = key.find(query.delimiter, len(query.prefix)) if query.delimiter else -1
        entry = key if at < 0 else key[: at + len(query.delimiter)]
        if at >= 0 and (entry == query.after or entry in entries):
            continue
        entries.append(entry)
    return Page(entries[: query.limit], len(entries) > query.limit > 0)


def expected_uploads(uploads: Iterable[Upload], query: ListQuery, after_upload_id: str, limit: int) -> UploadsPage:
    """Behind `query.after`, or behind that key's upload `after_upload_id`. The limit is not that of `query`, which groups without one."""
    entries: list[str | Upload] = []
    for upload in sorted(uploads, key=lambda one: (one.key.encode(), one.upload_id)):
        behind = (upload.key, upload.upload_id) > (query.after, after_upload_id) if after_upload_id else upload.key > query.after
        if not behind or not upload.key.startswith(query.prefix):
            continue
        group = next((entry for entry in expected([upload.key], replace(query, after="")).entries if entry != upload.key), None)
        if group is None and is_group(upload.key, query):
            group = upload.key
        if group is None:
            entries.append(upload)
        elif group not in entries and (after_upload_id or group != query.after):
            entries.append(group)
    page = entries[: max(limit, 0)]
    uploads = [one for one in page if isinstance(one, Upload)]
    return UploadsPage(
        tuple(ListedUpload(one.key, one.upload_id, one.initiated_ms, one.checksum_algorithm, one.checksum_type) for one in uploads),
        tuple(one for one in page if isinstance(one, str)),
        len(entries) > limit > 0,
    )


def is_group(entry: str, query: ListQuery) -> bool:
    return bool(query.delimiter) and query.delimiter in entry[len(query.prefix) :]
