"""Scalars that Kubernetes writes as a number or a text (CPU, a count that may be a percentage), and sizes as the API server keeps them."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from s3o_crds.values import INT_OR_STRING


class _IntOrString(str):
    """Keeps the text that the user wrote. Not a union: that would report each of its arms."""

    PATTERN: ClassVar[str]
    SENTENCE: ClassVar[str]
    __slots__ = ()

    def __new__(cls, written: str | int) -> Self:
        """Raises ValueError, which says what is expected."""
        if re.fullmatch(cls.PATTERN, str(written), re.ASCII) is None:
            raise ValueError(cls.SENTENCE)
        return super().__new__(cls, written)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: object) -> _IntOrString:
            if isinstance(value, bool) or not isinstance(value, int | str):
                raise ValueError(cls.SENTENCE)
            return cls(value)

        return core_schema.no_info_plain_validator_function(read, serialization=core_schema.to_string_ser_schema())

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        either = {"anyOf": [{"type": "integer"}, {"type": "string"}], INT_OR_STRING: True}
        return either | {"pattern": cls.PATTERN, "minimum": 0, "maxLength": 16}


class CPU(_IntOrString):
    """A quantity of CPU, such as `500m`, `2` or `1.5`: up to 999 cores."""

    PATTERN = r"^([0-9]{1,6}m|[0-9]{1,3}(\.[0-9]{1,3})?)$"
    SENTENCE = "is not an amount of CPU such as 500m, 2 or 1.5"
    __slots__ = ()

    @property
    def canonical(self) -> str:
        number, is_milli = self.removesuffix("m"), self.endswith("m")
        whole, _, fraction = number.partition(".")
        milli = int(whole) if is_milli else int(whole) * 1000 + int(fraction.ljust(3, "0"))
        return f"{milli}m" if milli % 1000 else str(milli // 1000)


class CountOrPercent(_IntOrString):
    """A count such as `1`, or a share such as `25%`."""

    PATTERN = r"^([0-9]{1,4}|[0-9]{1,3}%)$"
    SENTENCE = "is not a count such as 1 nor a percentage such as 25%"
    __slots__ = ()

    @property
    def canonical(self) -> int | str:
        return str(self) if self.endswith("%") else int(self)

    @property
    def is_zero(self) -> bool:
        return not int(self.removesuffix("%"))


def canonical_size(size_bytes: int) -> str:
    """The form in which the API server keeps a size, so that comparing with what is live finds no difference: the largest whole suffix.

    https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
    """
    base, suffixes = (1024, ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei")) if size_bytes % 1024 == 0 else (1000, ("k", "M", "G", "T", "P", "E"))
    suffix = ""
    for longer in suffixes:
        if not size_bytes or size_bytes % base:
            break
        size_bytes, suffix = size_bytes // base, longer
    return f"{size_bytes}{suffix}"
