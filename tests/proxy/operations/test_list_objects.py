"""ListObjects v1 and v2 ask the ledger alone."""

from __future__ import annotations

from tests.support.stories import Stage

from s3o_proxy.s3.operation import ListObjects, ListObjectsV2, ObjectsListed, PutObject


async def test_pages_lead_through_the_whole_bucket_and_through_no_other(stage: Stage) -> None:
    keys = ["a", "b/1", "b/2", "b0", "c"]
    for key in [*keys]:
        await stage.perform(PutObject("photos", key), b"")
    await stage.perform(PutObject("films", "b/3"), b"")
    calls = {name: len(backend.calls) for name, backend in stage.backends.items()}
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = await stage.perform(ListObjectsV2("photos", delimiter="/", after=after, max_keys=2))
        assert isinstance(page, ObjectsListed)
        assert len(page.objects) + len(page.prefixes) <= 2
        seen += sorted([*(listed.key for listed in page.objects), *page.prefixes])
        after = page.next_after
    assert seen == ["a", "b/", "b0", "c"]
    assert {name: len(backend.calls) for name, backend in stage.backends.items()} == calls


async def test_the_first_version_pages_by_marker(stage: Stage) -> None:
    for key in ("a", "b", "c"):
        await stage.perform(PutObject("photos", key), b"")
    page = await stage.perform(ListObjects("photos", after="a", max_keys=1))
    assert isinstance(page, ObjectsListed)
    assert ([listed.key for listed in page.objects], page.next_after) == (["b"], "b")
