"""Where `__init__.py` stands, and where it would break everything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.repository import ROOT


@pytest.mark.parametrize("member", ["crds", "operator", "proxy"])
def test_no_member_s_folder_is_a_package(member: str) -> None:
    there = [path for path in (ROOT / member / "__init__.py", ROOT / member / "src" / "__init__.py") if path.exists()]
    assert not there, f"remove {there}: operator/__init__.py would shadow the standard library's, and the interpreter dies"


def test_no_folder_of_tests_is_a_package() -> None:
    there = [path for folder in ("tests", "e2e", "hack") for path in (ROOT / folder).rglob("__init__.py")]
    assert not there, f"remove {there}: pytest runs in importlib mode, and a package named like a member shadows it"


@pytest.mark.parametrize("source", ["crds/src/s3o_crds", "operator/src/s3o_operator", "proxy/src/s3o_proxy"])
def test_every_folder_of_sources_is_a_typed_package(source: str) -> None:
    root = ROOT / source
    assert (root / "py.typed").exists()
    folders = {path.parent for path in root.rglob("*.py")}
    assert not [folder for folder in folders if not (folder / "__init__.py").exists()]


def test_the_standard_library_s_operator_is_the_one_that_is_imported(tmp_path: Path) -> None:
    script = "import operator; print(operator.__file__)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not Path(done.stdout.strip()).is_relative_to(ROOT / "operator")
