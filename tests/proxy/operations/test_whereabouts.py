"""That something was not found says something only of the bucket that the ledger has."""

from __future__ import annotations

import pytest
from tests.support.stories import Stage

from s3o_proxy.domain.errors import BackendUnavailable
from s3o_proxy.operations.whereabouts import bucket_here, looked_for_elsewhere, require_there


async def test_in_the_bucket_that_the_ledger_has_all_is_well(stage: Stage) -> None:
    here = bucket_here(stage.context(), "first")
    assert here == "first"
    assert await looked_for_elsewhere(stage.context(), {"first": here}) == {}
    await require_there(stage.context(), "first", here)


async def test_another_bucket_is_named_and_so_is_the_right_one(stage: Stage) -> None:
    found = await looked_for_elsewhere(stage.context(), {"first": "another", "second": "second"})
    assert found == {"first": "its bytes lie in the bucket first, this process looks in another"}
    with pytest.raises(BackendUnavailable, match="its bytes lie in the bucket first, this process looks in another"):
        await require_there(stage.context(), "first", "another")


async def test_a_backend_that_is_not_configured_any_more_is_looked_for_nowhere(stage: Stage) -> None:
    assert bucket_here(stage.context(), "third") == ""
    found = await looked_for_elsewhere(stage.context(), {"first": ""})
    assert found == {"first": "its bytes lie in the bucket first, this process looks in none"}


async def test_of_one_that_nobody_has_located_nothing_is_known(stage: Stage) -> None:
    """So a 404 of it is not taken for the truth."""
    with pytest.raises(BackendUnavailable, match="its bytes lie in the bucket none, this process looks in third"):
        await require_there(stage.context(), "third", "third")


async def test_the_ledger_is_not_asked_about_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(type(stage.metadata), "located")
    assert await looked_for_elsewhere(stage.context(), {}) == {}
