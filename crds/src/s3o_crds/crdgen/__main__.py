"""`python -m s3o_crds.crdgen --write` makes the generated files; `--check` says what differs and ends with 1."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterator
from pathlib import Path

from s3o_crds.crdgen.files import generated_files


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m s3o_crds.crdgen", description="Make CRDs, editor schemas and the API reference from the models."
    )
    parser.add_argument("root", nargs="?", type=Path, default=Path(), help="root of the repository (default: the working directory)")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", action="store_true", help="write the files")
    action.add_argument("--check", action="store_true", help="print a diff and end with 1 where a file is not what the models say")
    arguments = parser.parse_args()
    if arguments.write:
        write(arguments.root)
        return 0
    diff = "".join(differences(arguments.root))
    sys.stdout.write(diff)
    return 1 if diff else 0


def write(root: Path) -> None:
    for name, text in generated_files().items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def differences(root: Path) -> Iterator[str]:
    """A unified diff, from what lies there to what the models say; a file that no model makes any more differs, too."""
    wanted = generated_files()
    there = {str(path.relative_to(root)) for pattern in ("crds/*.yaml", "crds/schemas/*.json") for path in root.glob(pattern)}
    for name in sorted(wanted.keys() | there):
        path = root / name
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        yield from difflib.unified_diff(before.splitlines(True), wanted.get(name, "").splitlines(True), name, f"{name} (generated)")


if __name__ == "__main__":
    sys.exit(main())
