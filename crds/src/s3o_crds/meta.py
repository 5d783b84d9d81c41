"""The shapes that all kinds share: rules, references, conditions, metadata.

A *rule* is one sentence about several fields, kept once and checked twice: its CEL text by the API server, its function by the models
(a directory of files has no API server).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetJsonSchemaHandler, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError

from s3o_crds.values import VALIDATIONS, Label, ObjectName, SecretKey

GROUP = "s3orchestrator.io"


@dataclass(frozen=True)
class Rule:
    """`holds` is None for a rule about a change (`oldSelf`), which only the API server can see. `field`: camelCase, below the section."""

    cel: str
    message: str
    field: str = ""
    holds: Callable[[Any], bool] | None = None

    def as_schema(self) -> dict[str, str]:
        rule = {"rule": self.cel, "message": self.message}
        return rule | ({"fieldPath": f".{self.field}"} if self.field else {})

    def as_error(self) -> InitErrorDetails:
        sentence = PydanticCustomError("rule", "{message}", {"message": self.message})
        return InitErrorDetails(type=sentence, loc=(self.field,) if self.field else (), input=None)


def immutable(field: str) -> Rule:
    """An optional field that is never added, changed or removed. A rule on the field itself would miss the first and last."""
    return Rule(
        f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})",
        f"{field} is immutable: it can be neither changed, added nor removed",
        field,
    )


class Shape(BaseModel):
    """Anything in a custom resource. Docstrings of fields become `kubectl explain`; a refused value is never repeated in an error."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )
    schema_extra: ClassVar[dict[str, Any]] = {}
    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _keeps_its_rules(self) -> Self:
        broken = [rule for rule in self.rules if rule.holds is not None and not rule.holds(self)]
        if broken:
            raise ValidationError.from_exception_data(type(self).__name__, [rule.as_error() for rule in broken])
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core_schema)
        resolved = handler.resolve_ref_schema(schema)
        resolved.update(cls.schema_extra)
        if cls.rules:
            resolved[VALIDATIONS] = [rule.as_schema() for rule in cls.rules]
        return schema


class Section(Shape):
    """What a user writes: an unknown field is a typing error and refused."""

    model_config = ConfigDict(extra="forbid")


class Observation(Shape):
    """What we report: a newer version may report more, and that is none of our business."""

    model_config = ConfigDict(extra="ignore")


def _unique_by(field: str) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    def check(items: tuple[Any, ...]) -> tuple[Any, ...]:
        names = [getattr(item, field) for item in items]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{field} must be unique: {', '.join(repeated)} stands here more than once")
        return items

    return check


def list_map(key: str, max_items: int) -> tuple[Any, Any]:
    """The annotations of a list whose members are told apart by `key` (one word), so that several writers can each own some."""
    extra: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}
    return Field(max_length=max_items, json_schema_extra=extra), AfterValidator(_unique_by(key))


_ATOMIC = {"x-kubernetes-map-type": "atomic"}


class OrchestratorRef(Section):
    schema_extra = _ATOMIC
    rules = (Rule("self == oldSelf", "orchestratorRef is immutable"),)

    name: Annotated[str, Field(min_length=1, max_length=45, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    """Name of the S3Orchestrator."""
    namespace: Label | None = None
    """Its namespace; by default this object's own. Another one must allow it by spec.access."""


class SecretKeyRef(Section):
    schema_extra = _ATOMIC

    name: ObjectName
    """Name of the Secret, in the namespace of this object."""
    key: SecretKey
    """Key in the Secret."""


class CASecretRef(Section):
    schema_extra = _ATOMIC

    name: ObjectName
    """Name of the Secret, in the namespace of this object."""
    key: SecretKey = "ca.crt"
    """Key in the Secret that holds the certificates, in PEM."""


class KeyPairRef(Section):
    schema_extra = _ATOMIC

    name: ObjectName
    """Name of the Secret, in the namespace of this object."""
    access_key_id_key: SecretKey = "AWS_ACCESS_KEY_ID"
    """Key in the Secret that holds the access key id."""
    secret_access_key_key: SecretKey = "AWS_SECRET_ACCESS_KEY"  # noqa: S105  the name of a key, not its value
    """Key in the Secret that holds the secret access key."""


class Condition(Observation):
    """One observation of this object's state, in the form that all of Kubernetes uses."""

    type: Annotated[str, Field(min_length=1, max_length=316, pattern=r"^[A-Za-z][A-Za-z0-9./_-]*$")]
    """Name of the condition, such as Ready."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """metadata.generation that this was seen on."""
    last_transition_time: datetime
    """When the status last changed."""
    reason: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")]
    """One CamelCase word for programs."""
    message: Annotated[str, Field(max_length=32768)]
    """A sentence for people."""


class Status(Observation):
    """What every kind reports."""

    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """metadata.generation that this status describes."""
    conditions: Annotated[tuple[Condition, ...], *list_map("type", 32)] = ()
    """Ready, and what else is known."""


class ConfigStatus(Observation):
    generation: Annotated[int, Field(ge=1)] | None = None
    """Number of a configuration of the proxies; only grows."""
    digest: Annotated[str, Field(max_length=64)] | None = None
    """Digest of what they are given."""


class Usage(Observation):
    """What is stored, as the proxies count it. The figures are of `updatedAt`, and renewed when what a person reads of them changes."""

    bytes_used: Annotated[int, Field(ge=0)] | None = None
    """Bytes of committed objects."""
    bytes_limit: Annotated[int, Field(ge=0)] | None = None
    """The quota in bytes; absent when there is none."""
    object_count: Annotated[int, Field(ge=0)] | None = None
    """Number of objects."""
    orphan_bytes: Annotated[int, Field(ge=0)] | None = None
    """Bytes that no object needs any more, and that are still to be removed."""
    size: Annotated[str, Field(max_length=32)] | None = None
    """bytesUsed for people, such as 100Mi."""
    summary: Annotated[str, Field(max_length=128)] | None = None
    """All of it for people, such as 12.4Gi/20Gi (62%), or 733 objects, 100Mi."""
    updated_at: datetime | None = None
    """When it was counted."""


class Metadata(Observation):
    """The part of Kubernetes' own metadata that is read here."""

    name: ObjectName
    namespace: Label = "default"
    creation_timestamp: datetime | None = None
    """None in files, which have no age."""


class Resource(Section):
    """One custom resource, or Secret, as it is written."""

    api_version: Annotated[str, Field(max_length=64)]
    kind: Annotated[str, Field(max_length=64)]
    metadata: Metadata

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def namespace(self) -> str:
        return self.metadata.namespace
