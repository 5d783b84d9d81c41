"""A document of a client is parsed where it keeps nobody waiting."""

from __future__ import annotations

import threading

import pytest
from tests.support.stories import BytesBody

from s3o_proxy.operations.document import read_document
from s3o_proxy.s3.errors import S3Error

LIMIT_BYTES = 1024**2


@pytest.mark.parametrize(("size", "aside"), [(1000, False), (200_000, True)])
async def test_a_large_one_beside_the_loop(size: int, aside: bool) -> None:
    def parse(document: bytes) -> tuple[int, bool]:
        return len(document), threading.current_thread() is not threading.main_thread()

    assert await read_document(BytesBody(b"x" * size), LIMIT_BYTES, parse) == (size, aside)


@pytest.mark.parametrize("size", [1000, 200_000])
async def test_what_is_wrong_with_it_is_heard_from_either_place(size: int) -> None:
    def parse(_: bytes) -> None:
        raise S3Error("MalformedXML")

    with pytest.raises(S3Error, match="MalformedXML"):
        await read_document(BytesBody(b"x" * size), LIMIT_BYTES, parse)
