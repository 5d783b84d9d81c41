"""Which generated file holds what: path below the repository's root → its bytes, the same on every run."""

from __future__ import annotations

import json

import yaml

from s3o_crds.crdgen.crd import custom_resource_definition
from s3o_crds.crdgen.editor import editor_schema
from s3o_crds.crdgen.reference import reference_page
from s3o_crds.kinds import KINDS, Kind


def generated_files() -> dict[str, str]:
    files = {"crds/kustomization.yaml": _kustomization(), "docs/reference/api.md": reference_page()}
    for kind in KINDS:
        files[f"crds/{kind.plural}.yaml"] = _header(kind) + _yaml(custom_resource_definition(kind))
        files[f"crds/schemas/{kind.singular}.json"] = json.dumps(editor_schema(kind), indent=2) + "\n"
    return dict(sorted(files.items()))


def _header(kind: Kind) -> str:
    return f"# Generated from {kind.model.__module__}.{kind.name}; edit there, then `make generate`.\n"


def _kustomization() -> str:
    document = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [f"{kind.plural}.yaml" for kind in KINDS],
    }
    return "# Generated from s3o_crds.kinds; edit there, then `make generate`.\n" + _yaml(document)


class _Dumper(yaml.SafeDumper):
    """Without aliases: the API server knows them, people do not."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  the signature of the base class
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002  likewise; lists stand indented
        super().increase_indent(flow, indentless=False)


def _yaml(document: object) -> str:
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000)
