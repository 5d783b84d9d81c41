"""`make setup` over what an interrupted one left."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.repository import ROOT


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A repository that pins nothing, with an environment whose making was interrupted before it had pip."""
    (tmp_path / "hack").mkdir()
    shutil.copy(ROOT / "hack" / "setup.sh", tmp_path / "hack")
    (tmp_path / "constraints.txt").touch()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / ".venv")], check=True)
    return tmp_path / ".venv"


def has_pip(environment: Path) -> bool:
    return subprocess.run([str(environment / "bin" / "python"), "-c", "import pip"], check=False, capture_output=True).returncode == 0


def test_an_environment_without_pip_is_made_again_and_a_whole_one_is_kept(environment: Path) -> None:
    assert not has_pip(environment)
    setup = [str(environment.parent / "hack" / "setup.sh"), ".venv", "nothing"]
    subprocess.run(setup, check=False, capture_output=True)  # It fails later, at a member that is not there.
    assert has_pip(environment)
    (environment / "kept").touch()
    subprocess.run(setup, check=False, capture_output=True)
    assert (environment / "kept").exists()
