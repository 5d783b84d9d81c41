"""What the charts repeat: the custom resource definitions, the rules of the roles, the schema of an instance's values.

`python -m hack.charts --write` (`make generate`) makes it in charts/; `--check` (`make lint`) says what differs and ends with 1.
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from s3o_crds.crdgen.editor import editor_schema
from s3o_crds.crdgen.files import generated_files
from s3o_crds.kinds import KINDS

ROOT = Path(__file__).parents[1]
OPERATOR, INSTANCE = "charts/s3-orchestrator-operator", "charts/s3-orchestrator"
_KEEP = """metadata:
  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
"""
_RULES = {
    "s3orchestrator-operator": "operator",
    "s3orchestrator-operator-leadership": "leadership",
    "s3orchestrator-view": "view",
    "s3orchestrator-edit": "edit",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m hack.charts", description="Make the generated files of charts/.")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", action="store_true", help="write the files")
    action.add_argument("--check", action="store_true", help="print a diff and end with 1 where a file is not current")
    if parser.parse_args().write:
        for name, text in made().items():
            (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / name).write_text(text, encoding="utf-8")
        return 0
    diff = "".join(differences())
    sys.stdout.write(diff)
    return 1 if diff else 0


def differences() -> Iterator[str]:
    """A unified diff, from what lies there to what should; a file that nothing makes any more differs, too."""
    wanted = made()
    folders = (f"{OPERATOR}/templates/crds", f"{OPERATOR}/files")
    there = {str(path.relative_to(ROOT)) for folder in folders for path in (ROOT / folder).glob("*")}
    for name in sorted(wanted.keys() | there):
        before = (ROOT / name).read_text(encoding="utf-8") if (ROOT / name).exists() else ""
        yield from difflib.unified_diff(before.splitlines(True), wanted.get(name, "").splitlines(True), name, f"{name} (generated)")


def made() -> dict[str, str]:
    """Path below the repository's root → content, the same on every run."""
    crds = generated_files()
    files = {f"{OPERATOR}/templates/crds/{kind.plural}.yaml": _definition(crds[f"crds/{kind.plural}.yaml"]) for kind in KINDS}
    for page in ("config/rbac/role.yaml", "config/rbac/users.yaml"):
        for name, rules in _rules((ROOT / page).read_text(encoding="utf-8")):
            files[f"{OPERATOR}/files/{_RULES[name]}-rules.yaml"] = f"# Generated from {page}; edit there, then `make generate`.\n{rules}"
    files[f"{INSTANCE}/values.schema.json"] = json.dumps(_instance_schema(), indent=2) + "\n"
    return dict(sorted(files.items()))


def _definition(text: str) -> str:
    """A template: Helm upgrades it as it upgrades everything, and leaves it where it is when the release goes."""
    header, _, body = text.partition("\n")
    body = body.replace("{{", "{{ `{{` }}")
    if body.count("\nmetadata:\n") != 1:
        raise ValueError("a custom resource definition has one metadata")
    kept = body.replace("metadata:\n", _KEEP, 1)
    return f"{header}\n{{{{- if .Values.crds.install }}}}\n{kept}{{{{- end }}}}\n"


def _rules(page: str) -> Iterator[tuple[str, str]]:
    """Name of a role → its rules, as they are written there, with their comments."""
    for text in page.split("\n---\n"):
        document = yaml.safe_load(text)
        yield document["metadata"]["name"], text.partition("\nrules:\n")[2].rstrip("\n") + "\n"


def _instance_schema() -> dict[str, Any]:
    specs = {kind.model.__name__: editor_schema(kind)["properties"]["spec"] for kind in KINDS}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "global": {"type": "object", "description": "Helm's own; unused."},
            "name": {"type": "string", "maxLength": 40, "description": "Of the S3Orchestrator; empty for that of the release."},
            "labels": _texts("Of every resource."),
            "annotations": _texts("Of every resource."),
            "orchestrator": specs["S3Orchestrator"],
            "backends": _by_name(specs["StorageBackend"], "spec of the StorageBackend of that name."),
            "buckets": _by_name(specs["VirtualBucket"], "spec of the VirtualBucket of that name."),
            "extraObjects": {"type": "array", "items": {"type": "object"}, "description": "Further manifests, as they are."},
        },
    }


def _texts(description: str) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": {"type": "string"}, "description": description}


def _by_name(spec: Mapping[str, Any], description: str) -> dict[str, Any]:
    """The orchestrator to which it belongs is given by the release."""
    properties = {name: schema for name, schema in spec["properties"].items() if name != "orchestratorRef"}
    entry = {**spec, "properties": properties, "required": [name for name in spec.get("required", []) if name != "orchestratorRef"]}
    if not entry["required"]:
        del entry["required"]
    return {"type": "object", "description": description, "propertyNames": {"maxLength": 63}, "additionalProperties": entry}


if __name__ == "__main__":
    sys.exit(main())
