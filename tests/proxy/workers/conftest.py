"""A stage for each test; whatever a test did, the ledger and the bytes agree when it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from tests.support.stories import Stage, open_stage


@pytest_asyncio.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    opened = await open_stage(tmp_path)
    yield opened
    assert await opened.audit() == []
    await opened.settle()
    assert await opened.audit() == []
    depths = await opened.metadata.queue_depths()
    assert (depths["cleanup_queue"], depths["intents"]) == (0, 0)
    await opened.metadata.close()
