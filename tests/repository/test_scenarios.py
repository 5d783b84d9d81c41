"""Pages that name the test of each of their claims: each of them is there, and one that was renamed or deleted is missed at once."""

from __future__ import annotations

import ast
from itertools import pairwise

import pytest
from tests.support.repository import ROOT, all_table_rows, inline_code

PAGES = {"docs/explain/failure-scenarios.md": 100, "docs/explain/instructive-bugs.md": 55}
"""Page → how many claims it has at least. Fewer of them would mean that it is not read as it is meant."""


def proofs(page: str) -> list[str]:
    """The last cell of each row of the tables whose last column is that of tests."""
    found, is_meant = [], False
    for row, below in pairwise([*all_table_rows(page), [""]]):
        if below[-1].startswith("-"):
            is_meant = row[-1] == "test"
        elif is_meant and not row[-1].startswith("-"):
            found.append(row[-1])
    return found


def is_there(proof: str) -> bool:
    path, *names = proof.split("::")
    file = ROOT / path if path.startswith("e2e/") else ROOT / "tests" / path
    if not file.exists():
        return False
    within: list[ast.stmt] = ast.parse(file.read_text(encoding="utf-8")).body
    for name in names:
        found = [one for one in within if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and one.name == name]
        if not found:
            return False
        within = found[0].body
    return True


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_a_page_names_is_there(page: str) -> None:
    named = [proof.strip("`") for proof in proofs(page)]
    assert len(named) >= PAGES[page]
    missing = sorted({proof for proof in named if not is_there(proof)})
    assert not missing, f"{page} names {missing}"


@pytest.mark.parametrize("page", PAGES)
def test_nothing_that_looks_like_a_test_stands_elsewhere_on_a_page(page: str) -> None:
    """In a cell of its own, or nobody checks it."""
    elsewhere = {word for word in inline_code(page) if "::" in word and word != "::"} - {proof.strip("`") for proof in proofs(page)}
    assert not elsewhere
