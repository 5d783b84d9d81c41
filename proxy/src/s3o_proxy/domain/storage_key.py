"""Where the bytes of one write lie on a backend: a name that no other write ever has.

`{bucket}/{key}~{write_id}`, readable by a person with any S3 browser. Keys that a backend might fold, refuse, hide or read as a path
of its own (empty or dot segments, control characters, long segments, long keys, names that servers keep for themselves)
are replaced by their hash; the object then carries its true key in its metadata (`METADATA_KEY`).
"""

from __future__ import annotations

import base64
import hashlib
import re

METADATA_KEY = "s3o-key"

_MAX_KEY_BYTES = 900
"""S3 allows 1,024; the rest is left to backends that store a prefix of their own."""
_MAX_SEGMENT_BYTES = 200
"""Backends that keep objects as files are bound by the 255 bytes of a file name."""
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\\\ufffe\uffff]")
_PATHS = ("//", "/./", "/../")
"""Segments that a backend might read as a path of its own: empty ones and dots. (The first is a bucket, the last ends in a write id.)"""
_KEPT = ("/.uploads/", ".versions/")
"""Folders that servers keep for themselves: SeaweedFS stores what is put below them and never lists it."""


def storage_key(bucket: str, key: str, write_id: str) -> str:
    plain = f"{bucket}/{key}~{write_id}"
    return plain if _is_plain(plain) else f"{bucket}/~{hashlib.sha256(key.encode()).hexdigest()}~{write_id}"


def key_metadata(bucket: str, key: str, write_id: str) -> dict[str, str]:
    """The metadata that tells the true key of a hashed storage key (base64url of its UTF-8); empty for a plain one."""
    if _is_plain(f"{bucket}/{key}~{write_id}"):
        return {}
    return {METADATA_KEY: base64.urlsafe_b64encode(key.encode()).decode()}


def _is_plain(storage: str) -> bool:
    if _UNSAFE.search(storage) or any(folder in storage for folder in (*_PATHS, *_KEPT)):
        return False
    if len(storage) * 4 <= _MAX_SEGMENT_BYTES:
        return True  # However its characters are encoded.
    longest = max(len(segment.encode()) for segment in storage.split("/"))
    return longest <= _MAX_SEGMENT_BYTES and len(storage.encode()) <= _MAX_KEY_BYTES
