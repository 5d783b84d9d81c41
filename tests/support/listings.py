"""What a listing is to say, grouped by hand, and the keys at which engines could differ."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hypothesis import strategies as st

from s3o_proxy.domain.model import ListQuery

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
