"""The aws command line, version 1, as people script it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import httpx
import pytest
from tests.support.fleet import BackendShape, Fleet, Launch
from tests.support.programs import Completed, run, run_to_fail
from tests.support.trees import random_bytes, read_tree, write_tree

MIB = 1024**2


@pytest.fixture(scope="module")
def fleet(launch: Launch) -> Fleet:
    return launch(backends=[BackendShape("second", 2), BackendShape("first", 1)], buckets=["photos", "archive"])


def aws(fleet: Fleet, *arguments: str | Path, stdin: bytes = b"") -> Completed:
    return run(["aws", *arguments], env=fleet.env(), stdin=stdin)


def keys_below(fleet: Fleet, prefix: str, bucket: str = "photos") -> list[str]:
    pages = fleet.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def test_cp_brings_a_file_up_and_down(fleet: Fleet, tmp_path: Path) -> None:
    write_tree(tmp_path, {"note.txt": b"hello"})
    aws(fleet, "s3", "cp", tmp_path / "note.txt", "s3://photos/cp/note.txt", "--metadata", "author=ann", "--cache-control", "max-age=60")
    aws(fleet, "s3", "cp", "s3://photos/cp/note.txt", tmp_path / "back.txt")
    assert (tmp_path / "back.txt").read_bytes() == b"hello"
    head = fleet.client().head_object(Bucket="photos", Key="cp/note.txt")
    assert (head["ContentType"], head["CacheControl"], head["Metadata"]) == ("text/plain", "max-age=60", {"author": "ann"})


def test_cp_of_an_empty_file(fleet: Fleet, tmp_path: Path) -> None:
    write_tree(tmp_path, {"empty": b""})
    aws(fleet, "s3", "cp", tmp_path / "empty", "s3://photos/empty")
    aws(fleet, "s3", "cp", "s3://photos/empty", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b""


def test_cp_reads_standard_input_and_writes_standard_output(fleet: Fleet) -> None:
    content = random_bytes(9 * MIB)
    aws(fleet, "s3", "cp", "-", "s3://photos/stream.bin", stdin=content)
    assert aws(fleet, "s3", "cp", "s3://photos/stream.bin", "-").output == content


def test_a_file_above_8_mib_goes_by_multipart(fleet: Fleet, tmp_path: Path) -> None:
    write_tree(tmp_path, {"big.bin": random_bytes(21 * MIB + 17)})
    aws(fleet, "s3", "cp", tmp_path / "big.bin", "s3://photos/multipart/big.bin")
    aws(fleet, "s3", "cp", "s3://photos/multipart/big.bin", tmp_path / "back.bin")
    assert (tmp_path / "back.bin").read_bytes() == (tmp_path / "big.bin").read_bytes()
    assert fleet.client().head_object(Bucket="photos", Key="multipart/big.bin")["ETag"].endswith('-3"')


def test_sync_of_a_thousand_files_up_and_down(fleet: Fleet, tmp_path: Path) -> None:
    files = {f"d{number % 10}/e{number % 7}/file-{number:04}.dat": random_bytes(200 + number, number) for number in range(1000)}
    source = write_tree(tmp_path / "source", files)
    # S3 tells times in whole seconds: a file that changed within the second of its upload would be taken for a newer one.
    an_hour_ago = time.time() - 3600
    for name in files:
        os.utime(source / name, (an_hour_ago, an_hour_ago))
    aws(fleet, "s3", "sync", source, "s3://photos/sync", "--only-show-errors")
    assert len(keys_below(fleet, "sync/")) == 1000

    aws(fleet, "s3", "sync", "s3://photos/sync", tmp_path / "target", "--only-show-errors")
    assert read_tree(tmp_path / "target") == read_tree(source)

    assert aws(fleet, "s3", "sync", source, "s3://photos/sync").text == "", "a second sync found differences"
    # Pack: everything on the backend of the lowest order, in spite of its name and its file coming later.
    assert len(fleet.stored("first", "sync/")) == 1000
    assert not fleet.stored("second", "sync/")


def test_sync_delete_removes_what_the_source_no_longer_has(fleet: Fleet, tmp_path: Path) -> None:
    source = write_tree(tmp_path / "source", {"keep": b"1", "drop": b"2", "deep/drop": b"3"})
    aws(fleet, "s3", "sync", source, "s3://photos/mirror")
    (source / "drop").unlink()
    (source / "deep/drop").unlink()
    aws(fleet, "s3", "sync", source, "s3://photos/mirror", "--delete")
    assert keys_below(fleet, "mirror/") == ["mirror/keep"]


def test_ls_shows_prefixes_and_objects_apart(fleet: Fleet, tmp_path: Path) -> None:
    source = write_tree(tmp_path, {"a.txt": b"12345", "deep/b.txt": b"1"})
    aws(fleet, "s3", "sync", source, "s3://photos/ls")
    listing = [line.split() for line in aws(fleet, "s3", "ls", "s3://photos/ls/").lines]
    assert [line[-1] for line in listing] == ["deep/", "a.txt"]
    assert listing[1][2] == "5"
    recursive = aws(fleet, "s3", "ls", "s3://photos/ls/", "--recursive", "--summarize").text
    assert "ls/a.txt" in recursive
    assert "Total Objects: 2" in recursive


def test_ls_without_a_bucket_shows_the_buckets_of_the_credential(fleet: Fleet) -> None:
    assert [line.split()[-1] for line in aws(fleet, "s3", "ls").lines] == ["archive", "photos"]


def test_mv_within_a_bucket(fleet: Fleet, tmp_path: Path) -> None:
    write_tree(tmp_path, {"old": b"moved"})
    aws(fleet, "s3", "mv", tmp_path / "old", "s3://photos/mv/old")
    assert not (tmp_path / "old").exists()
    aws(fleet, "s3", "mv", "s3://photos/mv/old", "s3://photos/mv/new")
    assert keys_below(fleet, "mv/") == ["mv/new"]
    assert aws(fleet, "s3", "cp", "s3://photos/mv/new", "-").output == b"moved"


@pytest.mark.parametrize("size_bytes", [1000, 17 * MIB + 3], ids=["CopyObject", "UploadPartCopy"])
def test_cp_across_buckets_keeps_bytes_and_metadata(fleet: Fleet, tmp_path: Path, size_bytes: int) -> None:
    key = f"copied-{size_bytes}"
    write_tree(tmp_path, {key: random_bytes(size_bytes)})
    aws(fleet, "s3", "cp", tmp_path / key, f"s3://photos/{key}", "--metadata", "kind=copy", "--content-type", "image/x-test")
    aws(fleet, "s3", "cp", f"s3://photos/{key}", f"s3://archive/{key}")
    assert aws(fleet, "s3", "cp", f"s3://archive/{key}", "-").output == (tmp_path / key).read_bytes()
    if size_bytes <= 8 * MIB:  # For a copy by parts, this aws does not ask what there is to keep.
        head = fleet.client().head_object(Bucket="archive", Key=key)
        assert (head["ContentType"], head["Metadata"]) == ("image/x-test", {"kind": "copy"})


def test_rm_recursive_leaves_nothing_below_the_prefix_and_everything_beside_it(fleet: Fleet, tmp_path: Path) -> None:
    source = write_tree(tmp_path, {f"gone/{number}": b"x" for number in range(30)} | {"gone-not": b"y"})
    aws(fleet, "s3", "sync", source, "s3://photos/rm")
    aws(fleet, "s3", "rm", "s3://photos/rm/gone/", "--recursive")
    assert keys_below(fleet, "rm/") == ["rm/gone-not"]


def test_rm_of_one_object(fleet: Fleet) -> None:
    aws(fleet, "s3", "cp", "-", "s3://photos/rm-one", stdin=b"1")
    aws(fleet, "s3", "rm", "s3://photos/rm-one")
    assert keys_below(fleet, "rm-one") == []


def test_a_presigned_url_opens_one_object_to_anybody(fleet: Fleet) -> None:
    aws(fleet, "s3", "cp", "-", "s3://photos/presigned", stdin=b"for you")
    # For us-east-1 this aws still presigns with signature version 2, unless it is told otherwise.
    aws(fleet, "configure", "set", "default.s3.signature_version", "s3v4")
    url = aws(fleet, "s3", "presign", "s3://photos/presigned", "--expires-in", "60").text.strip()
    assert httpx.get(url).content == b"for you"
    assert httpx.get(url.replace("photos/presigned", "photos/other")).status_code == 403


def test_what_is_not_there_is_an_error_that_says_so(fleet: Fleet, tmp_path: Path) -> None:
    missing = run_to_fail(["aws", "s3", "cp", "s3://photos/nothing-here", tmp_path / "x"], env=fleet.env())
    assert "(404) when calling the HeadObject operation" in missing.errors
    no_bucket = run_to_fail(["aws", "s3", "ls", "s3://nobody-has-this"], env=fleet.env())
    assert "NoSuchBucket" in no_bucket.errors or "AccessDenied" in no_bucket.errors


def test_a_wrong_secret_is_refused(fleet: Fleet) -> None:
    refused = run_to_fail(["aws", "s3", "ls", "s3://photos"], env=fleet.env() | {"AWS_SECRET_ACCESS_KEY": "wrong"})
    assert "SignatureDoesNotMatch" in refused.errors


def test_mb_of_the_own_bucket_is_answered_as_s3_does(fleet: Fleet) -> None:
    # us-east-1 answers 200 for a bucket that is already one's own; elsewhere it is BucketAlreadyOwnedByYou.
    aws(fleet, "s3", "mb", "s3://photos")


def test_rows_bytes_and_counters_agree_after_all_of_this(fleet: Fleet) -> None:
    assert fleet.audit() == []
