"""CopyObject and UploadPartCopy, within and across buckets and backends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.proxy.operations.test_multipart import BIG, SMALL, complete, create, two_parts
from tests.support.stories import Stage, backend_config, open_stage

from s3o_proxy.backends.port import Traits
from s3o_proxy.domain.errors import NoCopyReadable, NoSuchKey, PreconditionFailed
from s3o_proxy.domain.model import Conditions, Description
from s3o_proxy.domain.read_conditions import ReadConditions
from s3o_proxy.s3.errors import S3Error
from s3o_proxy.s3.operation import AbortMultipartUpload, CopyObject, CopySource, GetObject, ObjectCopied, PutObject, UploadPartCopy

DATA = b"the bytes of the source"
SOURCE = CopySource("photos", "source")
DESCRIPTION = Description({"content-type": "text/plain"}, {"colour": "blue"})


@pytest.fixture
async def stage(stage: Stage) -> Stage:
    """The stage, with a source to copy."""
    await stage.perform(PutObject("photos", "source", DESCRIPTION), DATA)
    return stage


def verbs(stage: Stage) -> list[str]:
    return [verb for verb, _ in stage.backends["first"].calls]


async def test_on_one_backend_the_backend_copies(stage: Stage) -> None:
    copied = await stage.perform(CopyObject("films", "copy", source=SOURCE))
    assert isinstance(copied, ObjectCopied)
    assert await stage.read(GetObject("films", "copy")) == DATA
    assert verbs(stage) == ["put", "copy", "get"]
    found = await stage.metadata.find_object("films", "copy")
    assert found is not None
    assert found.description == DESCRIPTION


async def test_between_backends_the_bytes_pass_through(tmp_path: Path) -> None:
    stage = await open_stage(tmp_path, [backend_config("first", quotaBytes=30), backend_config("second")])
    await stage.perform(PutObject("photos", "source", DESCRIPTION), DATA)
    await stage.perform(CopyObject("films", "copy", source=SOURCE))
    assert await stage.read(GetObject("films", "copy")) == DATA
    assert len(stage.backends["second"].objects) == 1
    assert await stage.audit() == []
    await stage.metadata.close()


@pytest.mark.parametrize("quota_bytes", [None, len(DATA) + 5], ids=["by the backend", "through us"])
async def test_a_copy_has_the_content_hash_of_its_source(tmp_path: Path, quota_bytes: int | None) -> None:
    """Reference bug 31: a copy had none, and nobody could tell any more whether its bytes were right."""
    stage = await open_stage(tmp_path, [backend_config("first", quotaBytes=quota_bytes), backend_config("second")])
    await stage.perform(PutObject("photos", "source", DESCRIPTION), DATA)
    await stage.perform(CopyObject("films", "copy", source=SOURCE))
    hashes = []
    for bucket, key in (("photos", "source"), ("films", "copy")):
        found = await stage.metadata.find_object(bucket, key)
        assert found is not None
        hashes.append((found.digests.content_hash, found.copies[0].backend))
    assert hashes[0][0]
    assert hashes == [(hashes[0][0], "first"), (hashes[0][0], "first" if quota_bytes is None else "second")]
    await stage.metadata.close()


async def test_metadata_can_be_replaced_in_place(stage: Stage) -> None:
    await stage.perform(
        CopyObject("photos", "source", source=SOURCE, replace_metadata=True, description=Description({}, {"colour": "red"}))
    )
    found = await stage.metadata.find_object("photos", "source")
    assert found is not None
    assert found.description.user_metadata == {"colour": "red"}
    assert await stage.read(GetObject("photos", "source")) == DATA


async def test_a_checksum_that_the_source_lacks_is_computed(stage: Stage) -> None:
    copied = await stage.perform(CopyObject("photos", "copy", source=SOURCE, checksum_algorithm="SHA256"))
    assert isinstance(copied, ObjectCopied)
    assert set(copied.digests.checksums) == {"SHA256"}
    assert "copy" not in verbs(stage)


async def test_a_backend_that_cannot_copy_is_no_obstacle(stage: Stage) -> None:
    stage.backends["first"].fail("copy")
    await stage.perform(CopyObject("photos", "copy", source=SOURCE))
    assert await stage.read(GetObject("photos", "copy")) == DATA


async def test_the_copy_of_a_multipart_object_is_one_piece(stage: Stage) -> None:
    upload_id, parts = await two_parts(stage)
    await complete(stage, upload_id, *parts)
    copied = await stage.perform(CopyObject("photos", "copy", source=CopySource("photos", "k")))
    assert isinstance(copied, ObjectCopied)
    assert "-" not in copied.etag
    assert await stage.read(GetObject("photos", "copy")) == BIG + SMALL


async def test_conditions_of_the_source_and_of_the_target(stage: Stage) -> None:
    refused = CopySource("photos", "source", ReadConditions(if_match=("other",)))
    with pytest.raises(PreconditionFailed):
        await stage.perform(CopyObject("photos", "copy", source=refused))
    with pytest.raises(PreconditionFailed):
        await stage.perform(CopyObject("photos", "copy", source=CopySource("photos", "source", ReadConditions(if_none_match=("*",)))))
    await stage.perform(CopyObject("photos", "copy", source=SOURCE, conditions=Conditions(if_none_match="*")))
    with pytest.raises(PreconditionFailed):
        await stage.perform(CopyObject("photos", "copy", source=SOURCE, conditions=Conditions(if_none_match="*")))
    assert (await stage.clean_up().run_once()).done == 1, "due at once: the copy's arrival was confirmed"


async def test_a_source_that_is_not_there(stage: Stage) -> None:
    with pytest.raises(NoSuchKey):
        await stage.perform(CopyObject("photos", "copy", source=CopySource("films", "source")))


async def test_damaged_bytes_are_not_copied(stage: Stage) -> None:
    (key,) = stage.backends["first"].objects
    stage.backends["first"].corrupt(key)
    with pytest.raises(Exception, match="does not match its content hash"):
        await stage.perform(CopyObject("photos", "copy", source=SOURCE, checksum_algorithm="SHA256"))
    assert await stage.metadata.find_object("photos", "copy") is None


async def test_a_range_becomes_a_part(stage: Stage) -> None:
    upload_id = await create(stage)
    part = await stage.perform(UploadPartCopy("photos", "k", upload_id, 1, SOURCE, (4, 8)))
    assert isinstance(part, ObjectCopied)
    with pytest.raises(S3Error, match="not valid for source object of size"):
        await stage.perform(UploadPartCopy("photos", "k", upload_id, 1, SOURCE, (4, len(DATA))))
    await complete(stage, upload_id, (1, part.etag))
    assert await stage.read(GetObject("photos", "k")) == DATA[4:9]


async def test_bytes_of_the_source_that_are_missing_are_no_missing_upload(stage: Stage) -> None:
    """A client that hears NoSuchUpload throws its upload away."""
    upload_id = await create(stage, "target")
    objects = dict(stage.backends["first"].objects)
    stage.backends["first"].objects.clear()
    with pytest.raises(NoCopyReadable):
        await stage.perform(UploadPartCopy("photos", "target", upload_id, 1, CopySource("photos", "source"), None))
    stage.backends["first"].objects.update(objects)
    await stage.perform(AbortMultipartUpload("photos", "target", upload_id))


async def test_a_copy_that_the_backend_made_of_other_bytes_is_none(stage: Stage) -> None:
    """Its ETag tells. The bytes are streamed instead, and those are held against their hash."""
    found = await stage.metadata.find_object("photos", "source")
    assert found is not None
    stored = stage.backends["first"].objects[found.copies[0].storage_key]
    etag, stored.etag = stored.etag, "0" * 32
    await stage.perform(CopyObject("photos", "copy", SOURCE))
    stored.etag = etag
    assert verbs(stage) == ["put", "copy", "put", "get"]
    assert await stage.read(GetObject("photos", "copy")) == DATA
    await stage.settle()
    assert len(stage.backends["first"].objects) == 2


async def test_a_reload_during_a_copy_does_not_spare_it_the_comparison(stage: Stage) -> None:
    """The backend that copied vouches for MD5s, whatever its successor does."""
    first = stage.backends["first"]
    found = await stage.metadata.find_object("photos", "source")
    assert found is not None
    first.objects[found.copies[0].storage_key].etag = "0" * 32
    fault = first.stall("copy", at="done")
    copying = asyncio.create_task(stage.perform(CopyObject("photos", "copy", SOURCE)))
    await fault.reached.wait()
    first.traits = Traits(etag_is_md5=False, verifies_content_md5=False)
    fault.release()
    await copying
    assert verbs(stage) == ["put", "copy", "put", "get"], "the bytes were streamed instead"
