"""A document that a client sends: read as a whole, and understood."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from s3o_proxy.s3.body import Body

T = TypeVar("T")

_ASIDE_BYTES = 64 * 1024
"""From here on it is parsed in a thread: 10,000 parts take a fifth of a second, in which nobody else would be served."""


async def read_document(body: Body, limit_bytes: int, parse: Callable[[bytes], T]) -> T:
    """Raises what `parse` raises, DocumentTooLong, BodyError."""
    document = await body.read_all(limit_bytes)
    return await asyncio.to_thread(parse, document) if len(document) > _ASIDE_BYTES else parse(document)
