"""Who may import whom. The rules stand in the root pyproject.toml, under tool.importlinter."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

from tests.support.repository import ROOT


def test_the_import_rules_hold() -> None:
    program = Path(sysconfig.get_path("scripts")) / "lint-imports"
    done = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"an import crosses the layers:\n{done.stdout}{done.stderr}"
