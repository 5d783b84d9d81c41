"""One document, as YAML or JSON gave it, becomes a model; or an error that names every field that is wrong.

A refused value is never repeated in an error: it might be a secret in the wrong place.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError
from pydantic_core import ErrorDetails

from s3o_crds.meta import GROUP, Resource
from s3o_crds.v1alpha1 import S3Orchestrator, StorageBackend, VirtualBucket
from s3o_crds.values import SecretKey


def _is_base64(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("is not base64; plain text goes under stringData") from None
    return text


class Secret(Resource):
    """A Kubernetes Secret: the one foreign kind that is read here."""

    type: str = "Opaque"
    immutable: bool = False
    data: Annotated[dict[SecretKey, Annotated[str, AfterValidator(_is_base64)]] | None, Field(repr=False)] = None
    string_data: Annotated[dict[SecretKey, str] | None, Field(repr=False)] = None

    @property
    def values(self) -> dict[str, bytes]:
        """The decoded values by key; `stringData` wins over `data`, as in Kubernetes."""
        decoded = {key: base64.b64decode(text) for key, text in (self.data or {}).items()}
        return decoded | {key: text.encode() for key, text in (self.string_data or {}).items()}


class InvalidResource(Exception):
    """A document that is no resource of ours, or a wrong one. `problems`: one `field.path: sentence` each."""

    def __init__(self, kind: str, name: str, problems: list[str]) -> None:
        self.kind = kind
        self.name = name
        self.problems = problems
        super().__init__(f"{kind or 'document'} {name or '(without a name)'}: {'; '.join(problems)}")


class UnknownKind(InvalidResource):
    """A document of a kind that is not read here, such as a ConfigMap or a Kustomization in the same folder."""


V1ALPHA1 = f"{GROUP}/v1alpha1"
_MODELS: dict[tuple[str, str], type[S3Orchestrator] | type[StorageBackend] | type[VirtualBucket] | type[Secret]] = {
    (V1ALPHA1, "S3Orchestrator"): S3Orchestrator,
    (V1ALPHA1, "StorageBackend"): StorageBackend,
    (V1ALPHA1, "VirtualBucket"): VirtualBucket,
    ("v1", "Secret"): Secret,
}


def parse_resource(document: object) -> S3Orchestrator | StorageBackend | VirtualBucket | Secret:
    """Raises InvalidResource, or UnknownKind. A `status` is left unread: it is a report, and a newer operator may report more."""
    if not isinstance(document, Mapping):
        raise InvalidResource("", "", ["is not a mapping with apiVersion, kind and metadata"])
    kind, name = _text(document.get("kind")), _name_of(document)
    model = _MODELS.get((_text(document.get("apiVersion")), kind))
    if model is None:
        raise UnknownKind(kind, name, _unknown_kind(document, kind))
    wanted = {field: value for field, value in document.items() if field != "status"}
    try:
        # Through JSON, so that models see what the API server would see: no dates, no tuples, no numbers for text.
        return model.model_validate_json(json.dumps(wanted, default=_as_json, allow_nan=False))
    except ValidationError as error:
        raise InvalidResource(kind, name, [_sentence(detail) for detail in _details(error)]) from None
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidResource(kind, name, [f"holds what JSON cannot say: {error}"]) from None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _name_of(document: Mapping[Any, Any]) -> str:
    metadata = document.get("metadata")
    return _text(metadata.get("name")) if isinstance(metadata, Mapping) else ""


def _unknown_kind(document: Mapping[Any, Any], kind: str) -> list[str]:
    for api_version, known in _MODELS:
        if known == kind:
            return [f"apiVersion: must be {api_version} for a {kind}"]
    return [f"kind: must be one of {', '.join(known for _, known in _MODELS)}" if document.get("kind") else "kind: is missing"]


def _as_json(value: object) -> str:
    if isinstance(value, datetime | date):  # YAML reads an unquoted timestamp as one
        return value.isoformat()
    raise TypeError(f"a {type(value).__name__}")


def _details(error: ValidationError) -> list[ErrorDetails]:
    return error.errors(include_url=False, include_context=False, include_input=False)


_SENTENCES: dict[str, str] = {
    "missing": "is required",
    "extra_forbidden": "is not a field of this kind",
    "string_type": "must be text (in YAML: between quotes)",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "model_type": "must be a mapping",
    "dict_type": "must be a mapping",
    "tuple_type": "must be a list",
}


def _sentence(detail: ErrorDetails) -> str:
    path = ""
    for step in detail["loc"]:
        if step == "[key]":
            continue
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step)
    message = _SENTENCES.get(detail["type"]) or detail["msg"].removeprefix("Value error, ")
    message = re.sub("^(Input|String|List|Tuple|Dictionary) should", "must", message)
    return f"{path}: {message}" if path else message
