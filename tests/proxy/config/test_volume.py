"""The files of a mounted volume are those of one folder, whatever the kubelet does meanwhile."""

from __future__ import annotations

from pathlib import Path

from s3o_proxy.config.volume import settled


def test_a_volume_is_the_folder_that_its_link_names_now(tmp_path: Path) -> None:
    for version in ("..1", "..2"):
        (tmp_path / version).mkdir()
    (tmp_path / "..data").symlink_to("..1")
    before = settled(tmp_path)
    (tmp_path / "..new").symlink_to("..2")
    (tmp_path / "..new").rename(tmp_path / "..data")
    assert (before, settled(tmp_path)) == (tmp_path / "..1", tmp_path / "..2")


def test_any_other_directory_is_what_it_is(tmp_path: Path) -> None:
    assert settled(tmp_path) == tmp_path
    (tmp_path / "..data").mkdir()
    assert settled(tmp_path) == tmp_path
