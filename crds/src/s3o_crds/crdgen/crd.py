"""A row of the table of kinds, and the structural schema of its model → a CustomResourceDefinition."""

from __future__ import annotations

from s3o_crds.crdgen.structural import Schema, structural_schema
from s3o_crds.kinds import CATEGORY, VERSION, Column, Kind

_NOT_OURS: dict[str, Schema] = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
"""The API server knows these fields itself, and wants no more said about them."""


def resource_schema(kind: Kind) -> Schema:
    return structural_schema(kind.model, _NOT_OURS)


def custom_resource_definition(kind: Kind) -> Schema:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{kind.group}"},
        "spec": {
            "group": kind.group,
            "scope": "Namespaced",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": [kind.short_name],
                "categories": [CATEGORY],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": _subresources(kind),
                    "selectableFields": [{"jsonPath": path} for path in kind.selectable],
                    "additionalPrinterColumns": [_column(column) for column in kind.columns],
                    "schema": {"openAPIV3Schema": resource_schema(kind)},
                }
            ],
        },
    }


def _subresources(kind: Kind) -> Schema:
    if kind.scale is None:
        return {"status": {}}
    scale = {
        "specReplicasPath": kind.scale.spec_replicas,
        "statusReplicasPath": kind.scale.status_replicas,
        "labelSelectorPath": kind.scale.selector,
    }
    return {"status": {}, "scale": scale}


def _column(column: Column) -> Schema:
    return {"name": column.name, "type": column.type, "jsonPath": column.path} | ({"priority": 1} if column.wide else {})
