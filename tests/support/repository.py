"""The repository as the tests of its own rules see it: the tracked files, and what is written in its pages."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROXY = ROOT / "proxy" / "src" / "s3o_proxy"
OPERATOR = ROOT / "operator" / "src" / "s3o_operator"


@cache
def tracked_files() -> tuple[str, ...]:
    """Paths below ROOT, of files that exist."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return tuple(name for name in listed.split("\0") if name and (ROOT / name).exists())


def python_files() -> list[str]:
    return [name for name in tracked_files() if name.endswith(".py")]


def pages() -> list[str]:
    """Every page that people read."""
    return [name for name in tracked_files() if name.endswith(".md")]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def inline_code(page: str) -> set[str]:
    """What stands between single backticks."""
    return set(re.findall(r"`([^`\n]+)`", _FENCED.sub("", read(page))))


def fenced_blocks(page: str) -> list[str]:
    return [block.partition("\n")[2].rpartition("\n")[0] for block in _FENCED.findall(read(page))]


def table_rows(page: str) -> Iterator[list[str]]:
    """The cells of every table row of a page that begins with code."""
    return (row for row in all_table_rows(page) if row[0].startswith("`"))


def all_table_rows(page: str) -> Iterator[list[str]]:
    """The cells of every table row of a page, headings and rules among them."""
    for line in read(page).splitlines():
        if line.startswith("|"):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def package_modules(package: Path) -> list[Path]:
    """Every module below `package` that holds code (an `__init__.py` is its package's docstring)."""
    return sorted(path for path in package.rglob("*.py") if path.name != "__init__.py")
