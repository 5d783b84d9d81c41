"""The same schemas as a page for readers: every field, its type and bounds, its default, its sentence, and the rules between fields."""

from __future__ import annotations

from collections.abc import Iterator

from s3o_crds.crdgen.crd import resource_schema
from s3o_crds.crdgen.structural import Schema
from s3o_crds.kinds import CATEGORY, KINDS, VERSION, Kind
from s3o_crds.meta import GROUP
from s3o_crds.providers import PRESETS
from s3o_crds.values import INT_OR_STRING, VALIDATIONS

_INTRODUCTION = f"""# API reference: {GROUP}/{VERSION}

Generated from the models in `crds/src/s3o_crds/v1alpha1`; edit there, then `make generate`.

The same resources work on a cluster and, as files, with `s3o run DIR`; files are held to the same rules.
`kubectl get {CATEGORY}` lists all kinds.

* *quantity*: bytes as `20Gi`, `500M` or `1048576`. *duration*: `500ms`, `30s`, `5m`, `1h30m`, `2d`.
* A Secret is always in the namespace of the object that names it.
* A field in **bold** is required (in its section, if the section stands there at all).
"""


def reference_page() -> str:
    return "\n".join([_INTRODUCTION, *(_kind(kind) for kind in KINDS), _providers()])


def _kind(kind: Kind) -> str:
    schema = resource_schema(kind)
    spec, status = schema["properties"]["spec"], schema["properties"]["status"]
    lines = [f"## {kind.name}", "", f"{schema['description']} (`{kind.plural}`, short `{kind.short_name}`)", ""]
    lines += ["| field | type | default | meaning |", "|---|---|---|---|", *_rows(spec, "spec")]
    if rules := list(_rules(schema, "")):
        lines += ["", "Rules:", "", *rules]
    lines += ["", f"### {kind.name} status", "", "| field | type | meaning |", "|---|---|---|"]
    lines += [f"| `{path}` | {_type(member)} | {_sentence(member)} |" for path, member, _ in _members(status, "status")]
    return "\n".join(lines) + "\n"


def _rows(schema: Schema, path: str) -> Iterator[str]:
    for below, member, required in _members(schema, path):
        name = f"**`{below}`**" if required else f"`{below}`"
        default = f"`{member['default']}`".replace("True", "true").replace("False", "false") if member.get("default", {}) != {} else ""
        yield f"| {name} | {_type(member)} | {default} | {_sentence(member)} |"


def _members(schema: Schema, path: str) -> Iterator[tuple[str, Schema, bool]]:
    for name, member in schema["properties"].items():
        below = f"{path}.{name}"
        yield below, member, name in schema.get("required", [])
        inner = member.get("items", member)
        if "properties" in inner:
            yield from _members(inner, f"{below}[]" if "items" in member else below)


def _rules(schema: Schema, path: str) -> Iterator[str]:
    for rule in schema.get(VALIDATIONS, []):
        subject = f"`{path}`: " if path else ""
        yield f"* {subject}{rule['message']}"
    for name, member in schema.get("properties", {}).items():
        yield from _rules(member, f"{path}.{name}" if path else name)
    if "items" in schema:
        yield from _rules(schema["items"], f"{path}[]")


def _type(schema: Schema) -> str:
    if INT_OR_STRING in schema:
        return "quantity"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema["type"] == "integer":
        return f"integer {schema['minimum']} to {schema['maximum']}" if "maximum" in schema else "integer"
    if schema["type"] == "array":
        return f"list of at most {schema['maxItems']}"
    if schema["type"] == "object":
        return "section"
    if schema.get("format") == "date-time":
        return "time"
    if "(ms|s|m|h|d)" in schema.get("pattern", ""):
        return "duration"
    return f"string of at most {schema['maxLength']}" if schema["type"] == "string" else str(schema["type"])


def _sentence(schema: Schema) -> str:
    return str(schema["description"]).replace("|", "\\|")


def _providers() -> str:
    lines = ["## Providers", "", "What `spec.provider` of a StorageBackend presets, where the spec itself says nothing:", ""]
    lines += ["| provider | region | forcePathStyle | unsignedPayload | etagIsMD5 | verifies Content-MD5 |", "|---|---|---|---|---|---|"]
    for name, preset in PRESETS.items():
        flags = (preset.force_path_style, preset.unsigned_payload, preset.etag_is_md5, preset.verifies_content_md5)
        region = f"`{preset.region}`" if preset.region else "must be given"
        lines.append(f"| {name} | {region} | {' | '.join(str(flag).lower() for flag in flags)} |")
    return "\n".join(lines) + "\n"
