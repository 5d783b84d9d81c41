"""YAML files as documents, each with the place it stands at, so that an error can name it.

Stricter than YAML where YAML would lose something: a key that stands twice in a mapping is refused, and an unquoted date stays text. No
error repeats what it found: it might be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from s3o_proxy.domain.frozen import frozen


@frozen
class Document:
    """`number` counts the documents of its file from 1."""

    file: str
    number: int
    content: object

    @property
    def place(self) -> str:
        return f"{self.file}, document {self.number}"


class Unreadable(Exception):
    """A file that is no YAML. The message names the file and the place in it."""


def files_of(directory: Path) -> list[Path]:
    """The YAML files directly in `directory`, by name; hidden ones (editors' and volumes' own) are not among them. Raises OSError."""
    return sorted(
        path for path in directory.iterdir() if path.suffix in {".yaml", ".yml"} and not path.name.startswith(".") and path.is_file()
    )


def read_documents(path: Path) -> Iterator[Document]:
    """Every document of a file that is not empty. Raises Unreadable; what came before the fault was already yielded."""
    try:
        for number, content in enumerate(yaml.load_all(path.read_bytes(), _StrictLoader), 1):
            if content is not None:
                yield Document(path.name, number, content)
    except OSError as error:
        raise Unreadable(f"{path.name}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeError, RecursionError) as error:
        raise Unreadable(f"{path.name}: {_fault(error)}") from None


def _fault(error: Exception) -> str:
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return "is no YAML (in UTF-8)"
    # The parser quotes what it stumbled over: an alias or a tag that somebody meant to be a password.
    problem = re.sub(r"['\"].{2,}['\"]", "…", error.problem or "is no YAML")
    return f"line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}: {problem}"


class _StrictLoader(yaml.CSafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"the key {key.value} stands twice in one mapping", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


# Kubernetes knows no dates: `2026-11-21` is the text that was written.
_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
