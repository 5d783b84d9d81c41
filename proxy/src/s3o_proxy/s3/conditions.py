"""The headers that make a request conditional or partial: ETags, dates, ranges."""

from __future__ import annotations

import re
from collections.abc import Mapping

from s3o_proxy.domain.model import Conditions
from s3o_proxy.domain.ranges import RangeSpec
from s3o_proxy.domain.read_conditions import ReadConditions
from s3o_proxy.s3.dates import parse_http_date
from s3o_proxy.s3.errors import header_not_implemented, invalid_argument

_ETAG = re.compile(r'\s*(W/)?(?:"([^"]*)"|([^\s",]+))\s*(?:,|$)')
_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.IGNORECASE | re.ASCII)
_COPY_RANGE = re.compile(r"bytes=(\d+)-(\d+)", re.ASCII)
_READ_CONDITIONS = ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since")
NO_CONDITIONS = ReadConditions()
_UNENDING = 10**18
"""Stands for any offset with more digits than an object can have bytes (and than int() likes to read)."""


def read_conditions(headers: Mapping[str, str], prefix: str = "") -> ReadConditions:
    """If-Match and its three kin; with `prefix` `x-amz-copy-source-`, those of a copy's source."""
    if not headers or not any(prefix + name in headers for name in _READ_CONDITIONS):
        return NO_CONDITIONS
    return ReadConditions(
        if_match=_etags(headers.get(prefix + "if-match")),
        if_none_match=_etags(headers.get(prefix + "if-none-match")),
        if_modified_since_ms=_date(headers.get(prefix + "if-modified-since")),
        if_unmodified_since_ms=_date(headers.get(prefix + "if-unmodified-since")),
    )


def range_conditions(headers: Mapping[str, str]) -> ReadConditions:
    """If-Range as the condition under which the Range header counts (RFC 9110 §13.1.5): an ETag, compared strongly, or a date."""
    value = headers.get("if-range")
    if value is None:
        return NO_CONDITIONS
    at_ms = parse_http_date(value.strip())
    if at_ms is not None:
        return ReadConditions(if_unmodified_since_ms=at_ms)
    return ReadConditions(if_match=parse_etags(value))


def write_conditions(headers: Mapping[str, str]) -> Conditions:
    """If-Match: <one ETag or *> and If-None-Match: *, which is what S3 has for writes and deletes.

    Raises NotImplemented for any other condition: a write that ignored its condition could destroy what it meant to protect.
    """
    for name in ("if-modified-since", "if-unmodified-since"):
        if name in headers:
            raise header_not_implemented(_canonical(name))
    if_none_match = headers.get("if-none-match")
    if if_none_match is not None:
        if_none_match = if_none_match.strip()
        if if_none_match.strip('"') != "*":
            raise header_not_implemented("If-None-Match")
        if_none_match = "*"
    if_match = headers.get("if-match")
    if if_match is not None:
        etags = parse_etags(if_match)
        if "" in etags:
            raise invalid_argument("If-Match", if_match, "If-Match names no ETag")
        if len(etags) != 1:
            raise header_not_implemented("If-Match")
        if_match = etags[0]
    return Conditions(if_match=if_match, if_none_match=if_none_match)


def parse_etags(value: str) -> tuple[str, ...]:
    """`"a", W/"b", c` → ("a", "W/b", "c"); `*` stays `*`. From a syntax error on all counts as "", which no object has: a condition that
    names nothing must not pass for none."""
    etags: list[str] = []
    position = 0
    while position < len(value) or not etags:
        found = _ETAG.match(value, position)
        if found is None:
            etags.append("")
            break
        weak, quoted, bare = found.groups()
        etags.append((weak or "") + (bare if quoted is None else quoted))
        position = found.end()
    return tuple(etags)


def quote_etag(etag: str) -> str:
    return f'"{etag}"'


def unquote_etag(etag: str) -> str:
    etag = etag.strip()
    return etag[1:-1] if len(etag) >= 2 and etag[0] == etag[-1] == '"' else etag


def parse_range(value: str | None) -> RangeSpec | None:
    """One byte range (RFC 9110 §14.2). None, so the whole object, for what S3 ignores: several ranges, another unit, bad syntax."""
    found = _RANGE.fullmatch(value.strip()) if value else None
    if found is None or found.group(1) == found.group(2) == "":
        return None
    first = _offset(found.group(1)) if found.group(1) else None
    last = _offset(found.group(2)) if found.group(2) else None
    if first is not None and last is not None and last < first:
        return None
    return RangeSpec(first, last)


def parse_copy_range(value: str | None) -> tuple[int, int] | None:
    """x-amz-copy-source-range: `bytes=first-last`, both given. Raises InvalidArgument for anything else."""
    if value is None:
        return None
    found = _COPY_RANGE.fullmatch(value.strip())
    if found is not None:
        first, last = _offset(found.group(1)), _offset(found.group(2))
        if first <= last:
            return first, last
    raise invalid_argument(
        "x-amz-copy-source-range",
        value,
        "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the "
        "first and last bytes to copy",
    )


def _offset(digits: str) -> int:
    return int(digits) if len(digits) <= 18 else _UNENDING


def _etags(value: str | None) -> tuple[str, ...]:
    return () if value is None else parse_etags(value)


def _date(value: str | None) -> int | None:
    return parse_http_date(value.strip()) if value else None


def _canonical(name: str) -> str:
    return "-".join(word.capitalize() for word in name.split("-"))
