"""The same schema for editors: JSON Schema (draft 7), which the YAML plugins of editors read. Here an unknown field is an error at once."""

from __future__ import annotations

from s3o_crds.crdgen.crd import resource_schema
from s3o_crds.crdgen.structural import Schema
from s3o_crds.kinds import VERSION, Kind

_METADATA: Schema = {
    "type": "object",
    "description": "Kubernetes' own: name, namespace, labels, annotations.",
    "required": ["name"],
    "properties": {"name": {"type": "string"}, "namespace": {"type": "string"}},
}


def editor_schema(kind: Kind) -> Schema:
    schema = _closed(resource_schema(kind))
    given = {
        "apiVersion": {"enum": [f"{kind.group}/{VERSION}"]},
        "kind": {"enum": [kind.name]},
        "metadata": _METADATA,
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        **schema,
        "required": [*given, "spec"],
        "properties": {**schema["properties"], **given},
    }


def _closed(schema: Schema) -> Schema:
    """Without Kubernetes' own words, and with every section closed."""
    kept = {key: value for key, value in schema.items() if not key.startswith("x-kubernetes-") and key != "format"}
    if "items" in kept:
        kept["items"] = _closed(kept["items"])
    if isinstance(kept.get("additionalProperties"), dict):
        kept["additionalProperties"] = _closed(kept["additionalProperties"])
    if "properties" in kept:
        kept["properties"] = {name: _closed(member) for name, member in kept["properties"].items()}
        kept["additionalProperties"] = False
    return kept
