"""Whether a conditional write or delete may go on, given what is there now (RFC 9110 §13.1, as S3 applies it to single ETags)."""

from __future__ import annotations

from s3o_proxy.domain.errors import DomainError, NoSuchKey, PreconditionFailed
from s3o_proxy.domain.model import Conditions


def refusal(bucket: str, key: str, current_etag: str | None, conditions: Conditions) -> DomainError | None:
    """Why the write must not happen, or None. `current_etag` is that of the committed object, None when there is none.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html: If-Match on a key that does not exist is
    404 NoSuchKey, on another ETag 412; `If-None-Match: *` on a key that exists is 412.
    """
    if conditions.if_match is not None:
        if current_etag is None:
            return NoSuchKey(bucket, key)
        if conditions.if_match not in ("*", current_etag):
            return PreconditionFailed("If-Match")
    if conditions.if_none_match is not None and current_etag is not None and conditions.if_none_match in ("*", current_etag):
        return PreconditionFailed("If-None-Match")
    return None
