"""Whatever a structural schema of a CustomResourceDefinition accepts, as hypothesis draws it; rules in CEL are left to the API server."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

_MOST_OPTIONAL = 3
_QUANTITIES = ("0", "1", "5Gi", "100M", "1k", "1.5Gi", "-1", "1e30", "9223372036854775807", "0.1", "", "many")
_TEXTS = ("", " ", "x", "a" * 64, "*", "ü", "\n", "../..", "${A}", "'; --", "0", "true", "null", "https://example.com", "10.0.0.0/8")


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return st.integers(schema.get("minimum", -1), schema.get("maximum", 2**60)) | st.sampled_from(_QUANTITIES)
    match schema.get("type"):
        case "object":
            return _objects(schema)
        case "array":
            least = schema.get("minItems", 0)
            return st.lists(values(schema["items"]), min_size=least, max_size=max(least, min(3, schema.get("maxItems", 3))))
        case "string":
            return _texts(schema)
        case "integer":
            return st.integers(schema.get("minimum", -(2**31)), schema.get("maximum", 2**31))
        case "boolean":
            return st.booleans()
    raise ValueError(f"a schema without a type that is known: {schema}")


def _objects(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    properties: dict[str, Any] = schema.get("properties", {})
    if not properties:
        within = schema.get("additionalProperties")
        return st.dictionaries(st.sampled_from(("a", "team", "x.io/y")), values(within), max_size=2) if within else st.just({})
    required = {name: values(properties[name]) for name in schema.get("required", [])}
    optional = {name: values(one) for name, one in properties.items() if name not in required}
    if not optional:
        return st.fixed_dictionaries(required)
    # A few at a time: of everything at once, some rule refuses something.
    some = st.lists(st.sampled_from(sorted(optional)), max_size=_MOST_OPTIONAL, unique=True)
    return some.flatmap(lambda names: st.fixed_dictionaries(required | {name: optional[name] for name in names}))


def _texts(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    most = schema.get("maxLength", 60)
    if schema.get("format") == "date-time":
        return st.sampled_from(("2020-01-01T00:00:00Z", "2099-12-31T23:59:59Z"))
    if "pattern" in schema:
        drawn = st.from_regex(schema["pattern"].replace(r"\z", r"\Z"), fullmatch=True)
        return drawn.filter(lambda text: schema.get("minLength", 0) <= len(text) <= most)
    return st.sampled_from([text for text in _TEXTS if schema.get("minLength", 0) <= len(text) <= most])
