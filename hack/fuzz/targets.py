"""The targets by name, and their corpora. Imported after `hack.fuzz.__main__` has arranged that what is imported is counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hack.fuzz import wire, words

CORPUS = Path(__file__).parents[2] / "tests" / "corpus"

TARGETS: dict[str, Callable[[bytes], None]] = {
    "request": wire.request,
    "answer": wire.answer,
    "signature": words.signature,
    "proof": words.proof,
    "chunks": words.chunks,
    "document": words.document,
    "conditions": words.conditions,
}
"""Each raises on whatever is not as its docstring says, and on nothing else."""


def corpus(target: str) -> list[Path]:
    return sorted(path for path in (CORPUS / target).iterdir() if path.is_file())
