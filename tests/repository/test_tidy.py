"""What no tracked file may hold, and how long a file may be."""

from __future__ import annotations

import ast
import re

import pytest
from tests.support.repository import ROOT, python_files, read, tracked_files

# Written so that they do not find themselves.
FORBIDDEN = {
    r"(extra-|^|[^a-z])index[-]url|--regist[r]y|\"resolved\": *\"http|GOPROX[Y]=|^deb h[t]tp": "the address of a package index",
    r"/w[o]rk/|/r[o]ot/|bash_j[o]bs|/h[o]me/[a-z]": "a path of one machine",
    r"^(<{7}|>{7}) ": "an unresolved merge",
}


@pytest.mark.parametrize(("pattern", "what"), FORBIDDEN.items(), ids=FORBIDDEN.values())
def test_no_tracked_file_holds(pattern: str, what: str) -> None:
    found = []
    for name in tracked_files():
        try:
            text = read(name)
        except UnicodeDecodeError:
            continue
        found += [f"{name}:{number}" for number, line in enumerate(text.splitlines(), 1) if re.search(pattern, line)]
    assert not found, f"{what} stands in {found}"


def test_no_python_file_is_longer_than_400_lines() -> None:
    long = {name: lines for name in python_files() if (lines := len(read(name).splitlines())) > 400}
    assert not long, f"split these: {long}"


def test_every_module_says_what_it_is() -> None:
    silent = [name for name in python_files() if (text := read(name)).strip() and ast.get_docstring(ast.parse(text)) is None]
    assert not silent, f"open these with a docstring: {silent}"


def test_every_exemption_from_lint_or_types_has_its_reason() -> None:
    bare = re.compile(r"#\s*(noqa|type:\s*ignore)\b(:\s*[A-Z0-9, ]*[0-9]|\[[a-z, -]*\])?\s*$")
    found = [f"{name}:{number}" for name in python_files() for number, line in enumerate(read(name).splitlines(), 1) if bare.search(line)]
    assert not found, f"say why, behind the code: {found}"


def test_scripts_are_executable() -> None:
    scripts = [name for name in tracked_files() if read_start(name).startswith(b"#!")]
    assert scripts
    assert not [name for name in scripts if not (ROOT / name).stat().st_mode & 0o100]


def read_start(name: str) -> bytes:
    with (ROOT / name).open("rb") as file:
        return file.read(2)
