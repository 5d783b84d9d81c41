"""A mounted volume changes at once: the kubelet writes a new folder and then turns the link `..data` to it."""

from __future__ import annotations

from pathlib import Path


def settled(directory: Path) -> Path:
    """Where its files lie now. Read through one reading of the link, they are never one of before and one of after. Where there is no such
    link, the directory itself."""
    link = directory / "..data"
    return link.resolve() if link.is_symlink() else directory
