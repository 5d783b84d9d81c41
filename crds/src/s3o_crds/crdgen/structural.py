"""pydantic's JSON schema → the structural schema of a custom resource definition.

It *refuses*, by the path of the field, what the API server would refuse and what would spoil it later: unbounded strings, lists and maps
(the cost limits of CEL rest on bounds), floats, unions, recursion, a field that `kubectl explain` could not explain.
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from s3o_crds.values import INT_OR_STRING, VALIDATIONS

Schema = dict[str, Any]

_DROPPED = {"title", "const"}
"""Words that say nothing to the API server, or are said otherwise."""
_REBUILT = {"additionalProperties", "default", "items", "properties", "required"}
_LIST_WORDS = {"x-kubernetes-list-type", "x-kubernetes-list-map-keys"}
_KEPT = {
    "string": {"enum", "format", "pattern", "minLength", "maxLength"},
    "integer": {"enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
    "boolean": set[str](),
    "array": {"minItems", "maxItems"} | _LIST_WORDS,
    "object": {"minProperties", "maxProperties", "x-kubernetes-map-type"},
    "quantity": {"anyOf", INT_OR_STRING, "pattern", "minimum", "maxLength"},
}
_READING_ORDER = (
    *("description", "type", "format", "anyOf", INT_OR_STRING, "enum", "pattern", "minLength", "maxLength"),
    *("minimum", "maximum", "minItems", "maxItems", "minProperties", "maxProperties", "default", "required"),
    *("x-kubernetes-map-type", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", VALIDATIONS),
    *("properties", "items", "additionalProperties"),
)
"""So that the output does not depend on the order that pydantic happens to have."""


class NotStructural(Exception):
    """A model that cannot become a custom resource definition. The message starts with the path of the field."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path or '(root)'}: {problem}")


@dataclass(frozen=True)
class _Place:
    """Where the walk is: the path of a field, and the definitions that are open around it."""

    path: str
    definitions: Schema
    inside: tuple[str, ...] = ()

    def below(self, step: str) -> _Place:
        return replace(self, path=f"{self.path}{step}" if self.path or not step.startswith(".") else step[1:])

    def refuse(self, problem: str) -> NotStructural:
        return NotStructural(self.path, problem)


def structural_schema(model: type[BaseModel], given: Mapping[str, Schema] | None = None) -> Schema:
    """`given` holds the schemas of fields that are not the model's to describe (metadata). Raises NotStructural."""
    schema = model.model_json_schema(mode="validation", by_alias=True)
    place = _Place("", schema.pop("$defs", {}))
    own = {name: member for name, member in schema["properties"].items() if name not in (given or {})}
    required = [name for name in schema.get("required", []) if name in own]
    converted = _convert(schema | {"properties": own, "required": required}, place)
    return converted | {"properties": {**(given or {}), **converted["properties"]}}


def _convert(schema: Schema, place: _Place) -> Schema:
    schema, place = _inlined(schema, place)
    if "anyOf" in schema and INT_OR_STRING not in schema:
        schema, place = _inlined(_one_arm(schema, place), place)
    kind = "quantity" if INT_OR_STRING in schema else schema.get("type")
    if kind not in _KEPT:
        raise place.refuse(_why_not(schema))
    if unknown := set(schema) - _KEPT[kind] - _DROPPED - _REBUILT - {"type", "description", VALIDATIONS}:
        raise place.refuse(f"{', '.join(sorted(unknown))} has no place in a structural schema")
    converted = _CONVERTERS[kind](schema, place)
    return {word: converted[word] for word in sorted(converted, key=_READING_ORDER.index)}


def _inlined(schema: Schema, place: _Place) -> tuple[Schema, _Place]:
    """What stands beside a reference (a field's own docstring) wins over what it refers to."""
    if "$ref" not in schema:
        return schema, place
    name = str(schema["$ref"]).removeprefix("#/$defs/")
    if name in place.inside:
        raise place.refuse(f"{name} contains itself; a structural schema has no recursion")
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    return {**place.definitions[name], **beside}, replace(place, inside=(*place.inside, name))


def _one_arm(schema: Schema, place: _Place) -> Schema:
    """`X | None` is X, optional. Any other union is refused."""
    real = [arm for arm in schema["anyOf"] if arm != {"type": "null"}]
    if len(real) != 1:
        raise place.refuse(_UNION)
    return {**real[0], **{key: value for key, value in schema.items() if key != "anyOf"}}


_UNION = "a union; write one optional member per case, and a rule that says which may stand together"


def _why_not(schema: Schema) -> str:
    if schema.get("type") == "number":
        return "a float; write a decimal as a string with a pattern"
    if "oneOf" in schema or "allOf" in schema:
        return _UNION
    if "$ref" in schema or "type" not in schema:
        return "has no type; every value has exactly one"
    return f"type {schema['type']} is not allowed"


def _common(schema: Schema) -> Schema:
    """Everything that is kept as it is; None is no default, it is the absence of one."""
    kept = {key: value for key, value in schema.items() if key not in _DROPPED | _REBUILT}
    return kept if schema.get("default") is None else kept | {"default": schema["default"]}


def _string(schema: Schema, place: _Place) -> Schema:
    text = _common(schema) | ({"enum": [schema["const"]]} if "const" in schema else {})
    if not {"maxLength", "enum", "format"} & text.keys():
        raise place.refuse("a string without maxLength, enum or format")
    return text


def _integer(schema: Schema, place: _Place) -> Schema:
    number = _common(schema)
    if "exclusiveMinimum" in number:
        number["minimum"] = number.pop("exclusiveMinimum") + 1
    if "exclusiveMaximum" in number:
        number["maximum"] = number.pop("exclusiveMaximum") - 1
    if "minimum" not in number:
        raise place.refuse("an integer without a minimum")
    return number | {"format": "int32" if number.get("maximum", 2**63) < 2**31 else "int64"}


def _boolean(schema: Schema, _place: _Place) -> Schema:
    return _common(schema)


def _quantity(schema: Schema, place: _Place) -> Schema:
    if not {"maxLength", "pattern"} <= schema.keys():
        raise place.refuse("a quantity without pattern and maxLength")
    return _common(schema)


def _array(schema: Schema, place: _Place) -> Schema:
    if "maxItems" not in schema:
        raise place.refuse("a list without maxItems")
    if "x-kubernetes-list-type" not in schema:
        raise place.refuse("a list without x-kubernetes-list-type, which says how the lists of two writers are merged")
    if not isinstance(schema.get("items"), dict):
        raise place.refuse("a list without a type of its items")
    items = _convert(schema["items"], place.below("[]"))
    if missing := set(schema.get("x-kubernetes-list-map-keys", [])) - set(items.get("required", [])):
        raise place.refuse(f"the list-map key {', '.join(sorted(missing))} must be a required field of its items")
    listed = _common(schema)
    listed.pop("default", None)  # an absent list means the same as an empty one, and makes no noise in a diff
    return listed | {"items": items}


def _object(schema: Schema, place: _Place) -> Schema:
    if "properties" not in schema:
        return _map(schema, place)
    section = _common(schema)
    required = list(schema.get("required", []))
    # A section that the user leaves out is not filled in (the models do that), unless {} is asked for, word for word.
    if section.pop("default", None) == {}:
        if required:
            raise place.refuse(f"default {{}} over the required {', '.join(required)}")
        section["default"] = {}
    if required:
        section["required"] = required
    return section | {"properties": {name: _member(member, place.below(f".{name}")) for name, member in schema["properties"].items()}}


def _member(schema: Schema, place: _Place) -> Schema:
    member = _convert(schema, place)
    if not member.get("description"):
        raise place.refuse("no docstring: `kubectl explain` would have nothing to say")
    return member | {"description": " ".join(str(member["description"]).split())}


def _map(schema: Schema, place: _Place) -> Schema:
    values = schema.get("additionalProperties")
    if not isinstance(values, dict) or not values:
        raise place.refuse("an object without fields")
    if "maxProperties" not in schema:
        raise place.refuse("a map without maxProperties")
    return _common(schema) | {"additionalProperties": _convert(values, place.below("{}"))}


_CONVERTERS: dict[str, Callable[[Schema, _Place], Schema]] = {
    "string": _string,
    "integer": _integer,
    "boolean": _boolean,
    "quantity": _quantity,
    "array": _array,
    "object": _object,
}
