"""ARCHITECTURE.md's picture is the tree."""

from __future__ import annotations

from pathlib import Path

from tests.support.repository import PROXY, ROOT, fenced_blocks


def picture() -> list[Path]:
    """Every path that the picture shows."""
    shown: list[Path] = []
    member = ROOT
    for line in fenced_blocks("ARCHITECTURE.md")[0].splitlines():
        name = line.split()[0]
        if line.startswith(" "):
            shown.append(member / name)
        else:
            member = ROOT / name
            shown.append(member)
    return shown


def test_what_the_picture_shows_is_there() -> None:
    missing = [str(path.relative_to(ROOT)) for path in picture() if not path.exists()]
    assert not missing, f"the picture in ARCHITECTURE.md shows {missing}"


def test_every_package_of_the_proxy_is_in_the_picture() -> None:
    there = {path for path in PROXY.iterdir() if (path / "__init__.py").exists() or path.suffix == ".py"} - {PROXY / "__init__.py"}
    missing = sorted(path.name for path in there - set(picture()))
    assert not missing, f"draw {missing} into the picture in ARCHITECTURE.md"
