"""YAML files as documents, each with the place it stands at, so that an error can name it.

Stricter than YAML where YAML would lose something: a key that stands twice in a mapping is refused, and an unquoted date stays text; and
where a small file would hold up or end the process that reads it and serves meanwhile. No error repeats what it found: it may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import yaml

from s3o_proxy.config.volume import settled
from s3o_proxy.domain.frozen import frozen

_DEEPEST = 100
"""So many collections within each other: the parser crashes at some tens of thousands. The deepest of our fields lies at twenty."""
_LARGEST = 16 * 1024 * 1024
"""Characters of a document in which each alias stands for all that it repeats. An API server takes a tenth of it."""


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
        path
        for path in settled(directory).iterdir()
        if path.suffix in {".yaml", ".yml"} and not path.name.startswith(".") and path.is_file()
    )


def read_documents(path: Path) -> Iterator[Document]:
    """Every document of a file that is not empty. Raises Unreadable; what came before the fault was already yielded."""
    try:
        text = path.read_bytes()
        _require_bounds(text)
        for number, content in enumerate(yaml.load_all(text, _StrictLoader), 1):
            if content is not None:
                yield Document(path.name, number, content)
    except OSError as error:
        raise Unreadable(f"{path.name}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeError, RecursionError) as error:
        raise Unreadable(f"{path.name}: {_fault(error)}") from None


def _require_bounds(text: bytes) -> None:
    """Before anything is made of it. Raises MarkedYAMLError."""
    size, begun = 0, list[tuple[str | None, int]]()
    sizes: dict[str, int] = {}
    for event in _events(text):
        match event:
            case yaml.DocumentStartEvent():
                size = 0
                sizes.clear()
            case yaml.CollectionStartEvent():
                begun.append((event.anchor, size))
                size += 1
                if len(begun) > _DEEPEST:
                    raise _fault_at(event, f"more than {_DEEPEST} collections within each other")
            case yaml.CollectionEndEvent():
                anchor, before = begun.pop()
                if anchor:
                    sizes[anchor] = size - before
            case yaml.ScalarEvent():
                size += len(event.value) + 1
                if event.anchor:
                    sizes[event.anchor] = len(event.value) + 1
            case yaml.AliasEvent():
                size += sizes.get(event.anchor or "", 0)
                if size > _LARGEST:
                    raise _fault_at(event, "aliases that stand for too much")


def _events(text: bytes) -> Iterator[yaml.Event]:
    try:
        yield from yaml.parse(text, _StrictLoader)
    except (yaml.YAMLError, UnicodeError):
        return  # What comes before the fault is read all the same, and the fault is told then.


def _fault_at(event: yaml.Event, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=cast("yaml.Mark", event.start_mark))


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
