"""Every module is specified by tests at the same place under tests/: in a file of its name, or in one that imports it."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.repository import PROXY, ROOT, package_modules

CRDS = ROOT / "crds" / "src" / "s3o_crds"

ELSEWHERE = {
    "proxy/app.py": "tests/clients/ and tests/probe/, by whole proxies",
}
"""What no test of its own package names, and where it is specified instead. Meant to shrink."""


def modules() -> dict[str, Path]:
    """Path within its member → folder of its tests."""
    found = {}
    for member, source in (("proxy", PROXY), ("crds", CRDS)):
        for path in package_modules(source):
            relative = path.relative_to(source)
            found[f"{member}/{relative}"] = ROOT / "tests" / member / relative.parent
    return found


def is_specified(name: str, folder: Path) -> bool:
    stem = Path(name).stem
    if (folder / f"test_{stem.strip('_')}.py").exists() or any(folder.glob(f"test_{stem}_*.py")):
        return True
    package = f"s3o_{Path(name).parent}".replace("/", ".")
    imports = re.compile(rf"^\s*(from {package}\.{stem} import|import {package}\.{stem}$|from {package} import .*\b{stem}\b)", re.MULTILINE)
    return any(imports.search(path.read_text(encoding="utf-8")) for path in folder.glob("*.py"))


def test_every_module_is_specified_where_a_reader_would_look() -> None:
    without = sorted(name for name, folder in modules().items() if not is_specified(name, folder) and name not in ELSEWHERE)
    assert not without, f"no test under tests/ at their place names {without}"


def test_the_exceptions_are_still_exceptions() -> None:
    present = modules()
    stale = sorted(name for name in ELSEWHERE if name not in present or is_specified(name, present[name]))
    assert not stale, f"take {stale} out of ELSEWHERE"
