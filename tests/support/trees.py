"""Directories of files, as values that can be compared."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from pathlib import Path


def write_tree(directory: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return directory


def read_tree(directory: Path) -> dict[str, str]:
    """sha256 of every file, by its path below `directory`."""
    paths = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def random_bytes(size_bytes: int, seed: int = 1) -> bytes:
    """The same bytes for the same arguments; no compression and no repetition hides a misplaced block."""
    return random.Random(f"{seed}/{size_bytes}").randbytes(size_bytes)
