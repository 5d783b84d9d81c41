"""What becomes a structural schema and how, and what is refused with the path of the field."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, create_model

from s3o_crds.crdgen.structural import NotStructural, structural_schema
from s3o_crds.meta import Rule, Section, list_map
from s3o_crds.values import ByteSize, Duration, PositiveDuration

Text = Annotated[str, Field(max_length=10)]


def model_of(annotation: Any, *, default: Any = ..., description: str = "A field.") -> type[BaseModel]:
    """A model `Outer` with the section `inner`, and in it one `field`."""
    inner = create_model("Inner", field=(annotation, Field(default, description=description)))
    return create_model("Outer", inner=(inner, Field(description="A section.")))


def schema_of(annotation: Any, *, default: Any = ...) -> dict[str, Any]:
    field: dict[str, Any] = structural_schema(model_of(annotation, default=default))["properties"]["inner"]["properties"]["field"]
    assert field.pop("description") == "A field."
    return field


class Named(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)

    name: Text
    """Its name."""


class Endless(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)

    again: Endless | None = None
    """Itself."""


class Described(Section):
    """What is said of the class."""

    rules = (Rule("self.name != 'x'", "name must not be x", "name"),)
    schema_extra: ClassVar = {"x-kubernetes-map-type": "atomic"}

    name: Text = "y"
    """Said of
    the field."""


ATOMIC_LIST = Field(max_length=3, json_schema_extra={"x-kubernetes-list-type": "atomic"})


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        (bool, {"type": "boolean"}),
        (Text, {"type": "string", "maxLength": 10}),
        (Text | None, {"type": "string", "maxLength": 10}),
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (Literal["a"], {"type": "string", "enum": ["a"]}),
        (datetime, {"type": "string", "format": "date-time"}),
        (Annotated[int, Field(ge=0, le=9)], {"type": "integer", "format": "int32", "minimum": 0, "maximum": 9}),
        (Annotated[int, Field(ge=0)], {"type": "integer", "format": "int64", "minimum": 0}),
        (Annotated[int, Field(ge=0, le=2**31)], {"type": "integer", "format": "int64", "minimum": 0, "maximum": 2**31}),
        (Annotated[int, Field(gt=0, lt=9)], {"type": "integer", "format": "int32", "minimum": 1, "maximum": 8}),
        (
            Annotated[list[Text], ATOMIC_LIST],
            {"type": "array", "maxItems": 3, "x-kubernetes-list-type": "atomic", "items": schema_of(Text)},
        ),
        (
            Annotated[dict[str, Text], Field(max_length=3)],
            {"type": "object", "maxProperties": 3, "additionalProperties": schema_of(Text)},
        ),
        (Duration, {"type": "string", "pattern": Duration.PATTERN, "maxLength": 32}),
    ],
)
def test_one_form_for_every_type(annotation: Any, schema: dict[str, Any]) -> None:
    assert schema_of(annotation) == schema


def test_a_quantity_is_an_integer_or_a_string() -> None:
    schema = schema_of(ByteSize | None, default=None)
    assert schema["x-kubernetes-int-or-string"] is True
    assert schema["anyOf"] == [{"type": "integer"}, {"type": "string"}]
    assert "type" not in schema


def test_rules_of_a_value_and_of_a_section_are_kept() -> None:
    assert schema_of(PositiveDuration)["x-kubernetes-validations"] == [{"rule": "self.matches('[1-9]')", "message": "must be more than 0"}]
    rule = {"rule": "self.name != 'x'", "message": "name must not be x", "fieldPath": ".name"}
    assert schema_of(Described)["x-kubernetes-validations"] == [rule]
    assert schema_of(Described)["x-kubernetes-map-type"] == "atomic"


def test_what_is_said_of_a_field_wins_over_what_is_said_of_its_class() -> None:
    assert structural_schema(model_of(Described, description="Of the field."))["properties"]["inner"]["properties"]["field"][
        "description"
    ] == ("Of the field.")
    assert structural_schema(Described)["description"] == "What is said of the class."


def test_a_description_is_one_line() -> None:
    assert structural_schema(Described)["properties"]["name"]["description"] == "Said of the field."


class TestDefaults:
    def test_of_leaves_are_kept(self) -> None:
        assert schema_of(Text, default="x")["default"] == "x"
        assert schema_of(bool, default=False)["default"] is False
        assert schema_of(Duration, default=Duration("5m"))["default"] == "5m"

    def test_none_is_the_absence_of_one(self) -> None:
        assert "default" not in schema_of(Text | None, default=None)

    def test_of_sections_and_lists_are_left_to_the_models(self) -> None:
        assert "default" not in schema_of(Described, default=Described())
        assert "default" not in schema_of(Annotated[tuple[Text, ...], ATOMIC_LIST], default=())

    def test_an_empty_section_is_kept_where_it_is_asked_for(self) -> None:
        asked = Annotated[Described, Field(json_schema_extra={"default": {}})]
        assert schema_of(asked, default=Described())["default"] == {}

    def test_an_empty_section_with_a_required_field_is_refused(self) -> None:
        asked = Annotated[Named, Field(json_schema_extra={"default": {}})]
        with pytest.raises(NotStructural, match=r"^inner\.field: default \{\} over the required name$"):
            schema_of(asked)


@pytest.mark.parametrize(
    ("annotation", "path", "problem"),
    [
        (str, "inner.field", "a string without maxLength, enum or format"),
        (str | None, "inner.field", "a string without maxLength, enum or format"),
        (float, "inner.field", "a float"),
        (Decimal, "inner.field", "a union"),
        (int, "inner.field", "an integer without a minimum"),
        (Text | bool, "inner.field", "a union"),
        (Named | Described, "inner.field", "a union"),
        (Any, "inner.field", "has no type"),
        (None, "inner.field", "type null is not allowed"),
        (list[Text], "inner.field", "a list without maxItems"),
        (Annotated[list[Text], Field(max_length=3)], "inner.field", "a list without x-kubernetes-list-type"),
        (Annotated[list[str], ATOMIC_LIST], "inner.field[]", "a string without maxLength, enum or format"),
        (Annotated[list[Any], ATOMIC_LIST], "inner.field[]", "has no type"),
        (Annotated[set[Text], ATOMIC_LIST], "inner.field", "uniqueItems has no place"),
        (tuple[Text, Text], "inner.field", "prefixItems has no place"),
        (Annotated[tuple[Described, ...], *list_map("name", 3)], "inner.field", "the list-map key name must be a required field"),
        (dict[str, Text], "inner.field", "a map without maxProperties"),
        (Annotated[dict[str, str], Field(max_length=3)], "inner.field{}", "a string without maxLength"),
        (Annotated[dict[Text, Text], Field(max_length=3)], "inner.field", "propertyNames has no place"),
        (dict[str, Any], "inner.field", "an object without fields"),
        (Annotated[Text, Field(examples=["x"])], "inner.field", "examples has no place"),
        (Annotated[Text, Field(deprecated=True)], "inner.field", "deprecated has no place"),
        (Annotated[int, Field(ge=0, multiple_of=5)], "inner.field", "multipleOf has no place"),
        (Endless, "inner.field.again", "Endless contains itself"),
    ],
)
def test_what_the_api_server_would_refuse_is_refused_here_by_its_path(annotation: Any, path: str, problem: str) -> None:
    with pytest.raises(NotStructural) as caught:
        structural_schema(model_of(annotation))
    assert str(caught.value).startswith(f"{path}: ")
    assert problem in str(caught.value)


def test_a_field_without_a_docstring_is_refused() -> None:
    with pytest.raises(NotStructural, match=r"^inner\.field: no docstring"):
        structural_schema(model_of(Text, description=""))


def test_fields_that_are_not_the_models_to_describe_are_taken_as_they_are() -> None:
    given = {"inner": {"type": "object"}}
    schema = structural_schema(model_of(float), given)
    assert schema["properties"] == given
    assert "required" not in schema
