"""docs/explain/failure-scenarios.md names tests, and each of them is there: a proof that was renamed or deleted is missed at once."""

from __future__ import annotations

import ast

from tests.support.repository import ROOT, all_table_rows, inline_code

PAGE = "docs/explain/failure-scenarios.md"
LEAST = 100
"""Scenarios. Fewer of them would mean that the page is not read as it is meant."""


def proofs() -> list[str]:
    """The last cell of each row."""
    return [row[-1] for row in all_table_rows(PAGE) if row[-1] != "test" and not row[-1].startswith("-")]


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


def test_every_test_that_a_scenario_names_is_there() -> None:
    named = [proof.strip("`") for proof in proofs()]
    assert len(named) >= LEAST
    missing = sorted({proof for proof in named if not is_there(proof)})
    assert not missing, f"{PAGE} names {missing}"


def test_nothing_that_looks_like_a_test_stands_elsewhere_on_the_page() -> None:
    """In a cell of its own, or nobody checks it."""
    elsewhere = {word for word in inline_code(PAGE) if "::" in word and word != "::"} - {proof.strip("`") for proof in proofs()}
    assert not elsewhere
