"""rclone: trees with names that a careless server would fold, decode twice or lose."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.fleet import BackendShape, Fleet, Launch
from tests.support.programs import Completed, run, run_to_fail
from tests.support.trees import random_bytes, read_tree, write_tree

MIB = 1024**2

AWKWARD = (
    "plain",
    "with space",
    " leading space",
    "trailing space ",
    "two  spaces",
    "plus+plus",
    "percent%percent",
    "percent%20encoded",
    "percent%2Fslash",
    "tilde~tilde",
    "hash#hash",
    "question?mark",
    "amper&sand=equals",
    "semi;colon,comma",
    "quote'single",
    'quote"double',
    "back`tick",
    "brackets[0]{1}(2)<3>",
    "star*pipe|caret^",
    "dollar$at@bang!",
    "colon:colon",
    "back\\slash",
    ".leading-dot",
    "..two-leading-dots",
    "trailing-dot.",
    "three...dots",
    "-leading-dash",
    "ünïcödé",
    "nai\u0308ve decomposed",
    "naïve composed",
    "日本語",
    "emoji 🦆",
    "right-to-left עברית",
    "tab\there",
    "new\nline",
    "CaseSensitive",
    "casesensitive",
    "deep/er/and deeper/+/% /file",
)


@pytest.fixture(scope="module")
def fleet(launch: Launch) -> Fleet:
    return launch(strategy="Spread", backends=[BackendShape("left"), BackendShape("right")])


def rclone(fleet: Fleet, *arguments: str | Path, stdin: bytes = b"") -> Completed:
    return run(["rclone", *arguments], env=environment(fleet), stdin=stdin)


def environment(fleet: Fleet) -> dict[str, str]:
    remote = {"TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": fleet.endpoint, "REGION": "us-east-1", "ENV_AUTH": "true"}
    return fleet.env() | {f"RCLONE_CONFIG_S3O_{name}": value for name, value in remote.items()} | {"RCLONE_CONFIG": "/dev/null"}


def test_sync_and_check_of_a_tree_with_awkward_names(fleet: Fleet, tmp_path: Path) -> None:
    source = write_tree(tmp_path / "source", {name: name.encode() * 3 for name in AWKWARD})
    rclone(fleet, "sync", source, "s3o:photos/awkward")
    rclone(fleet, "check", "--download", source, "s3o:photos/awkward")
    rclone(fleet, "sync", "s3o:photos/awkward", tmp_path / "target")
    assert read_tree(tmp_path / "target") == read_tree(source)
    assert "0 B" in rclone(fleet, "sync", "--stats-one-line", "-v", source, "s3o:photos/awkward").errors, "a second sync copied something"


def test_spread_puts_bytes_on_every_backend_and_each_object_on_one(fleet: Fleet, tmp_path: Path) -> None:
    source = write_tree(tmp_path / "source", {f"file-{number}": random_bytes(2000, number) for number in range(20)})
    rclone(fleet, "sync", source, "s3o:photos/spread")
    left, right = fleet.stored("left", "spread/"), fleet.stored("right", "spread/")
    assert len(left) + len(right) == 20
    assert min(len(left), len(right)) > 0


@pytest.mark.parametrize("size_bytes", [1024, 1023])
def test_a_key_of_1024_bytes(fleet: Fleet, tmp_path: Path, size_bytes: int) -> None:
    segments = "é" * 100 + "/" + "k" * 250 + "/" + "+" * 200 + "/"
    key = "long/" + segments + "z" * (size_bytes - len(f"long/{segments}".encode()))
    assert len(key.encode()) == size_bytes
    rclone(fleet, "rcat", f"s3o:photos/{key}", stdin=b"long")
    assert rclone(fleet, "cat", f"s3o:photos/{key}").output == b"long"
    assert key in rclone(fleet, "lsf", "-R", "--files-only", "s3o:photos/").lines


def test_a_key_of_1025_bytes_is_refused_by_name(fleet: Fleet) -> None:
    refused = run_to_fail(["rclone", "rcat", "--retries", "1", "s3o:photos/" + "k" * 1025], env=environment(fleet))
    assert "KeyTooLong" in refused.errors


def test_multipart_with_small_chunks(fleet: Fleet, tmp_path: Path) -> None:
    source = write_tree(tmp_path / "source", {"big": random_bytes(23 * MIB + 5)})
    small = ("--s3-chunk-size", "5M", "--s3-upload-cutoff", "5M", "--s3-upload-concurrency", "4")
    rclone(fleet, "sync", *small, source, "s3o:photos/multipart")
    rclone(fleet, "check", "--download", source, "s3o:photos/multipart")
    # rclone keeps the MD5 of a multipart upload in the object's metadata, and compares it here.
    rclone(fleet, "check", source, "s3o:photos/multipart")


def test_a_stream_of_unknown_length(fleet: Fleet) -> None:
    content = random_bytes(11 * MIB)
    rclone(fleet, "rcat", "--streaming-upload-cutoff", "1M", "--s3-chunk-size", "5M", "s3o:photos/stream", stdin=content)
    assert rclone(fleet, "cat", "s3o:photos/stream").output == content


def test_a_piece_of_an_object(fleet: Fleet) -> None:
    content = random_bytes(300_000)
    rclone(fleet, "rcat", "s3o:photos/piece", stdin=content)
    assert rclone(fleet, "cat", "--offset", "1000", "--count", "777", "s3o:photos/piece").output == content[1000:1777]
    assert rclone(fleet, "cat", "--tail", "99", "s3o:photos/piece").output == content[-99:]


def test_copies_on_the_server_by_parts(fleet: Fleet, tmp_path: Path) -> None:
    source = write_tree(tmp_path / "source", {"big": random_bytes(12 * MIB), "small": b"small"})
    rclone(fleet, "sync", source, "s3o:photos/copy-from")
    rclone(fleet, "copy", "--s3-copy-cutoff", "5M", "s3o:photos/copy-from", "s3o:photos/copy-to")
    rclone(fleet, "check", "--download", source, "s3o:photos/copy-to")


def test_a_changed_time_is_kept_without_moving_the_bytes_again(fleet: Fleet, tmp_path: Path) -> None:
    source = write_tree(tmp_path / "source", {"file": b"content"})
    rclone(fleet, "sync", source, "s3o:photos/times")
    # rclone does this by a copy of the object onto itself, with new metadata.
    rclone(fleet, "touch", "--timestamp", "2021-02-03T04:05:06", "s3o:photos/times/file")
    assert "2021-02-03 04:05:06" in rclone(fleet, "lsl", "s3o:photos/times").text
    assert rclone(fleet, "cat", "s3o:photos/times/file").output == b"content"


def test_sync_deletes_and_moves(fleet: Fleet, tmp_path: Path) -> None:
    source = write_tree(tmp_path / "source", {"a": b"1", "b": b"2"})
    rclone(fleet, "sync", source, "s3o:photos/changing")
    (source / "a").unlink()
    rclone(fleet, "sync", source, "s3o:photos/changing")
    assert rclone(fleet, "lsf", "s3o:photos/changing").lines == ["b"]
    rclone(fleet, "moveto", "s3o:photos/changing/b", "s3o:photos/changing/c")
    assert rclone(fleet, "lsf", "s3o:photos/changing").lines == ["c"]
    rclone(fleet, "purge", "s3o:photos/changing")
    assert rclone(fleet, "lsf", "s3o:photos/", "--include", "/changing/**").lines == []


def test_rows_bytes_and_counters_agree_after_all_of_this(fleet: Fleet) -> None:
    assert fleet.audit() == []
