"""Preconditions of reads (GET, HEAD, and the source of a copy), in the order that RFC 9110 §13.2.2 gives them."""

from __future__ import annotations

from enum import Enum

from s3o_proxy.domain.errors import PreconditionFailed
from s3o_proxy.domain.frozen import frozen


@frozen
class ReadConditions:
    """ETags unquoted (weak ones keep `W/`), or `("*",)`; "" stands for what could not be read, and matches nothing. A date header that
    cannot be parsed is absent, as the RFC asks."""

    if_match: tuple[str, ...] = ()
    if_none_match: tuple[str, ...] = ()
    if_modified_since_ms: int | None = None
    if_unmodified_since_ms: int | None = None


class Reading(Enum):
    PROCEED = "proceed"
    NOT_MODIFIED = "not modified"


def evaluate(conditions: ReadConditions, etag: str, modified_ms: int) -> Reading:
    """Raises PreconditionFailed. Dates compare in whole seconds: that is all that an HTTP date can say."""
    modified_s = modified_ms // 1000
    if conditions.if_match:
        if not _any_matches(conditions.if_match, etag, weak=False):
            raise PreconditionFailed("If-Match")
    elif conditions.if_unmodified_since_ms is not None and modified_s > conditions.if_unmodified_since_ms // 1000:
        raise PreconditionFailed("If-Unmodified-Since")
    if conditions.if_none_match:
        if _any_matches(conditions.if_none_match, etag, weak=True):
            return Reading.NOT_MODIFIED
    elif conditions.if_modified_since_ms is not None and modified_s <= conditions.if_modified_since_ms // 1000:
        return Reading.NOT_MODIFIED
    return Reading.PROCEED


def _any_matches(asked: tuple[str, ...], etag: str, *, weak: bool) -> bool:
    if weak:
        asked = tuple(tag.removeprefix("W/") for tag in asked)
    return "*" in asked or etag in asked
