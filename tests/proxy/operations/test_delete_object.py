"""DeleteObject and DeleteObjects: rows first, bytes by the cleanup."""

from __future__ import annotations

import pytest
from tests.support.stories import Stage

from s3o_proxy.domain.errors import NoSuchKey, PreconditionFailed
from s3o_proxy.domain.model import Conditions
from s3o_proxy.s3.operation import Deleted, DeleteObject, DeleteObjects, GetObject, ObjectsDeleted, PutObject


async def test_what_is_deleted_is_gone_at_once_and_its_bytes_soon(stage: Stage) -> None:
    await stage.perform(PutObject("photos", "k"), b"data")
    assert await stage.perform(DeleteObject("photos", "k")) == Deleted()
    with pytest.raises(NoSuchKey):
        await stage.perform(GetObject("photos", "k"))
    assert (await stage.used()).orphan_bytes == 4
    await stage.clean_up().run_once()
    assert stage.backends["first"].objects == {}
    assert (await stage.used()).held_bytes == 0


async def test_deleting_nothing_succeeds(stage: Stage) -> None:
    assert await stage.perform(DeleteObject("photos", "k")) == Deleted()
    assert stage.wakes == 0


async def test_a_delete_may_be_conditional(stage: Stage) -> None:
    await stage.perform(PutObject("photos", "k"), b"data")
    with pytest.raises(PreconditionFailed):
        await stage.perform(DeleteObject("photos", "k", Conditions(if_match="other")))
    assert await stage.read(GetObject("photos", "k")) == b"data"


async def test_many_at_once_each_by_itself(stage: Stage) -> None:
    for key in ("a", "b", "c&d"):
        await stage.perform(PutObject("photos", key), b"data")
    body = (
        "<Delete><Object><Key>a</Key></Object><Object><Key>b</Key><ETag>other</ETag></Object>"
        "<Object><Key>c&amp;d</Key></Object><Object><Key>never there</Key></Object></Delete>"
    )
    answer = await stage.perform(DeleteObjects("photos"), body.encode())
    assert isinstance(answer, ObjectsDeleted)
    assert answer.deleted == ("a", "c&d", "never there")
    assert [(failure.key, failure.code) for failure in answer.failed] == [("b", "PreconditionFailed")]


async def test_quietly_only_failures_are_told(stage: Stage) -> None:
    await stage.perform(PutObject("photos", "a"), b"data")
    answer = await stage.perform(DeleteObjects("photos"), b"<Delete><Quiet>true</Quiet><Object><Key>a</Key></Object></Delete>")
    assert answer == ObjectsDeleted((), ())


async def test_another_version_than_the_only_one_is_not_there(stage: Stage) -> None:
    await stage.perform(PutObject("photos", "a"), b"data")
    body = b"<Delete><Object><Key>a</Key><VersionId>v1</VersionId></Object></Delete>"
    answer = await stage.perform(DeleteObjects("photos"), body)
    assert isinstance(answer, ObjectsDeleted)
    assert [failure.code for failure in answer.failed] == ["NoSuchVersion"]
    assert await stage.read(GetObject("photos", "a")) == b"data"
    await stage.perform(DeleteObjects("photos"), body.replace(b"v1", b"null"))
    with pytest.raises(NoSuchKey):
        await stage.perform(GetObject("photos", "a"))
