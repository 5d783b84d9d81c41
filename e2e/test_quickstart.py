"""docs/quickstart.md as its reader types it, and what the reader sees then. S3O_WRITE_GOLDEN=1 writes that into the page."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from e2e.kubectl import Kubectl
from e2e.transcript import Step, differences, rewritten, steps
from tests.support.repository import ROOT, read

PAGE = "docs/quickstart.md"
BRING_UP, REPLAYED = steps(read(PAGE))[:2], steps(read(PAGE))[2:]


def test_it_takes_fewer_than_ten_commands() -> None:
    assert 5 < len(BRING_UP) + len(REPLAYED) < 10


def test_ci_brings_the_cluster_up_with_its_first_commands() -> None:
    typed = [line.strip() for line in (ROOT / ".ci" / "run").read_text().splitlines()]
    assert [step.command for step in BRING_UP] == ["make cluster", 'eval "$(hack/kube/up env)"']
    assert all(any(step.command in line for line in typed) for step in BRING_UP)


@pytest.fixture(scope="module")
def kubeconfig(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy: the reader's is changed by the third command."""
    path = tmp_path_factory.mktemp("reader") / "kubeconfig"
    path.write_text(kubectl.run("config", "view", "--raw", "--flatten"))
    kubectl.run("delete", "namespace", kubectl.namespace)  # The page makes it itself.
    return path


@pytest.fixture(scope="module")
def printed(kubectl: Kubectl, kubeconfig: Path) -> dict[str, str]:
    """By command; those after one that failed are not typed."""
    found: dict[str, str] = {}
    for step in REPLAYED:
        command = step.command.replace("demo", kubectl.namespace)
        environment = os.environ | {"KUBECONFIG": str(kubeconfig)}
        done = subprocess.run(["bash", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)
        found[step.command] = done.stdout.replace(kubectl.namespace, "demo")
        if done.returncode != 0:
            kubectl.tell()
            pytest.fail(f"{command}\n{done.stdout}{done.stderr}")
    if os.environ.get("S3O_WRITE_GOLDEN"):
        (ROOT / PAGE).write_text(rewritten(read(PAGE), found))
    return found


@pytest.mark.parametrize("step", REPLAYED, ids=lambda step: step.command[:40])
def test_what_is_printed_is_what_the_page_shows(printed: dict[str, str], step: Step) -> None:
    (shown,) = [one.printed for one in steps(read(PAGE)) if one.command == step.command]
    assert differences(shown, printed[step.command]) == [], f"S3O_WRITE_GOLDEN=1 corrects the page\n{printed[step.command]}"
