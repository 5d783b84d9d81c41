"""Files become documents that know where they stand; faults are named by file, line and column, without what was found there."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3o_proxy.config.documents import Unreadable, files_of, read_documents


def read(tmp_path: Path, text: str | bytes) -> list[object]:
    path = tmp_path / "f.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return [document.content for document in read_documents(path)]


def test_documents_are_counted_from_one_and_empty_ones_left_out(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("---\n# only a comment\n---\na: 1\n---\n---\nb: 2\n")
    assert [(document.place, document.content) for document in read_documents(path)] == [
        ("f.yaml, document 2", {"a": 1}),
        ("f.yaml, document 4", {"b": 2}),
    ]


def test_only_visible_yaml_files_of_the_directory_itself_are_read(tmp_path: Path) -> None:
    for name in ("b.yml", "a.yaml", ".hidden.yaml", "a.yaml~", "notes.txt", "c.yaml.swp"):
        (tmp_path / name).write_text("")
    (tmp_path / "d.yaml").mkdir()
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "e.yaml").write_text("")
    assert [path.name for path in files_of(tmp_path)] == ["a.yaml", "b.yml"]


def test_a_volume_of_symbolic_links_is_read_as_its_files(tmp_path: Path) -> None:
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "a.yaml").write_text("a: 1")
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    assert [path.name for path in files_of(tmp_path)] == ["a.yaml"]


def test_an_unquoted_date_is_text_as_in_kubernetes(tmp_path: Path) -> None:
    assert read(tmp_path, "on: 2026-11-21\nat: 2026-11-21 10:00:00\n")[0] == {True: "2026-11-21", "at": "2026-11-21 10:00:00"}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: 1\na: 2\n", "f.yaml: line 2, column 1: the key a stands twice in one mapping"),
        ("a: {b: 1, c: {b: 1, b: 2}}\n", "f.yaml: line 1, column 21: the key b stands twice in one mapping"),
        ("a: [1, 2\nb: 3\n", "f.yaml: line 2, column 2: "),
        ("password: *hunter22\n", "f.yaml: line 1, column 11: found undefined alias"),
        ("password: !hunter22 x\n", "f.yaml: line 1, column 11: could not determine a constructor for the tag"),
        ("a: !!python/object:os.system x\n", "f.yaml: line 1, column 4: could not determine a constructor for the tag"),
        (b"a: \xff\xfe\n", "f.yaml: is no YAML (in UTF-8)"),
    ],
)
def test_a_fault_is_named_by_its_place_and_never_quoted(tmp_path: Path, text: str | bytes, fault: str) -> None:
    with pytest.raises(Unreadable) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(fault)
    assert "hunter22" not in str(caught.value)


def bomb(leaf: str) -> str:
    """Nine lines that are a billion of `leaf`."""
    lines = [f"a: &a [{', '.join([leaf] * 10)}]"]
    lines += [f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]" for before, name in zip("abcdefgh", "bcdefghi", strict=True)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[" * 1_000_000, "f.yaml: line 1, column 101: more than 100 collections within each other"),
        ("a: 1\n---\nb: " + "{c: " * 50 + "[" * 51, "f.yaml: line 3, column 253: more than 100 collections within each other"),
        (bomb("[]"), "f.yaml: line 8, column 8: aliases that stand for too much"),
        (bomb("x"), "f.yaml: line 7, column 32: aliases that stand for too much"),
        (f"a: &a {'x' * 1_000_000}\nb: [{', '.join(['*a'] * 20)}]", "f.yaml: line 2, column 65: aliases that stand for too much"),
    ],
)
def test_what_would_end_or_hold_up_its_reader_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(Unreadable) as caught:
        read(tmp_path, text)
    assert str(caught.value) == fault


def test_what_is_deep_or_repeated_within_reason_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, "a: &a {b: 1}\nc: [*a, *a]\nd: {<<: *a, e: 2}\n")[0] == {
        "a": {"b": 1},
        "c": [{"b": 1}, {"b": 1}],
        "d": {"b": 1, "e": 2},
    }
    assert len(read(tmp_path, "[" * 100 + "]" * 100)) == 1
    assert len(read(tmp_path, f"--- &a\n{'x' * 9_000_000}\n--- [{'x' * 9_000_000}]\n")) == 2


def test_what_stands_before_a_fault_is_read_and_then_the_fault_is_told(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("a: 1\n---\nb: [\n")
    documents = read_documents(path)
    assert next(documents).content == {"a": 1}
    with pytest.raises(Unreadable, match=r"f\.yaml: line"):
        next(documents)


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=r"gone\.yaml: cannot be read: No such file"):
        list(read_documents(tmp_path / "gone.yaml"))
