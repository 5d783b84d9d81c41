"""Every field that a user can write, by its path, out of the models."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from s3o_crds.meta import Section
from s3o_crds.v1alpha1 import S3Orchestrator, StorageBackend, VirtualBucket

KINDS = (S3Orchestrator, StorageBackend, VirtualBucket)


def spec_fields(kind: type[BaseModel]) -> Iterator[tuple[str, bool]]:
    """The path of every field below `spec`, and whether it is a leaf. Members of a list have `[]` in their path."""
    spec = kind.model_fields["spec"].annotation
    assert isinstance(spec, type)
    yield from _below(spec, "spec")


def _below(section: type[BaseModel], path: str) -> Iterator[tuple[str, bool]]:
    for name, field in section.model_fields.items():
        here = f"{path}.{field.alias or name}"
        inner, is_list = _section_in(field.annotation)
        yield here, inner is None
        if inner is not None:
            yield from _below(inner, here + "[]" * is_list)


def _section_in(annotation: Any) -> tuple[type[Section] | None, bool]:
    """The section that a field holds, directly, optionally, or in a list."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation, False
    is_list = get_origin(annotation) is tuple
    if is_list or get_origin(annotation) in (Union, types.UnionType):
        for argument in get_args(annotation):
            found, below_list = _section_in(argument)
            if found is not None:
                return found, is_list or below_list
    return None, False


_PATHS = {"spec", *(path for kind in KINDS for path, _ in spec_fields(kind))}
SPEC_PATHS = frozenset(_PATHS | {path.rpartition(".")[0] for path in _PATHS})
"""Those of fields, and of the members of lists, which rules may be about."""
