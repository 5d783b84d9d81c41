"""The constrained scalars of the contract: what the API server accepts for one, the models accept too, and nothing else.

`ByteSize` and `Duration` keep the text that the user wrote (a value is never rewritten) and give it as a number in one named unit.
"""

from __future__ import annotations

import re
from fractions import Fraction
from math import ceil
from typing import Annotated, Any, ClassVar, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

VALIDATIONS = "x-kubernetes-validations"
INT_OR_STRING = "x-kubernetes-int-or-string"


def cel(rule: str, message: str) -> dict[str, str]:
    """One CEL rule of a schema, as the API server reads it."""
    return {"rule": rule, "message": message}


class ByteSize(str):
    """A Kubernetes quantity of bytes, such as `20Gi`, `1.5G` or `1048576`: from 0 to 1Ei, fractions of a byte rounded up."""

    PATTERN: ClassVar = r"^[0-9]+(\.[0-9]+)?([KMGTPE]i|[kMGTPE])?$"
    MAX_LENGTH: ClassVar = 32
    MAX_BYTES: ClassVar = 2**60
    RULES: ClassVar = [cel("quantity(string(self)).compareTo(quantity('1Ei')) <= 0", "must be at most 1Ei")]
    __slots__ = ("bytes",)

    bytes: int

    def __new__(cls, written: str | int) -> Self:
        """Raises ValueError, which says what a size looks like."""
        text = str(written)
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([KMGTPE]i|[kMGTPE])?", text, re.ASCII) if len(text) <= cls.MAX_LENGTH else None
        if match is None:
            raise ValueError("is not a size such as 20Gi, 500M or 1048576")
        number, suffix = match.groups()
        size = ceil(Fraction(number) * _BYTES_OF_SUFFIX[suffix or ""])
        if size > cls.MAX_BYTES:
            raise ValueError("must be at most 1Ei")
        self = super().__new__(cls, text)
        self.bytes = size
        return self

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: object) -> ByteSize:
            # Not a union: that would report each of its arms.
            if isinstance(value, bool) or not isinstance(value, int | str):
                raise ValueError("is not a size such as 20Gi, 500M or 1048576")
            return cls(value)

        return core_schema.no_info_plain_validator_function(read, serialization=core_schema.to_string_ser_schema())

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        quantity = {"anyOf": [{"type": "integer"}, {"type": "string"}], INT_OR_STRING: True}
        return quantity | {"pattern": cls.PATTERN, "minimum": 0, "maxLength": cls.MAX_LENGTH, VALIDATIONS: list(cls.RULES)}


class PositiveByteSize(ByteSize):
    """A quantity of at least one byte, for limits where 0 would allow nothing."""

    RULES: ClassVar = [*ByteSize.RULES, cel("quantity(string(self)).isGreaterThan(quantity('0'))", "must be more than 0")]
    __slots__ = ()

    def __new__(cls, written: str | int) -> Self:
        self = super().__new__(cls, written)
        if self.bytes == 0:
            raise ValueError("must be more than 0")
        return self


_BYTES_OF_SUFFIX = {"": 1} | {f"{letter}i": 1024**power for power, letter in enumerate("KMGTPE", 1)}
_BYTES_OF_SUFFIX |= {letter: 1000**power for power, letter in enumerate("kMGTPE", 1)}


class Duration(str):
    """A length of time such as `500ms`, `30s`, `5m`, `1h30m` or `2d`."""

    PATTERN: ClassVar = r"^([0-9]{1,9}(ms|s|m|h|d))+$"
    MAX_LENGTH: ClassVar = 32
    RULES: ClassVar[list[dict[str, str]]] = []
    __slots__ = ("ms",)

    ms: int

    def __new__(cls, text: str) -> Self:
        """Raises ValueError, which says what a duration looks like."""
        if len(text) > cls.MAX_LENGTH or re.fullmatch(r"([0-9]{1,9}(ms|s|m|h|d))+", text, re.ASCII) is None:
            raise ValueError("is not a duration such as 500ms, 30s, 5m or 1h30m")
        self = super().__new__(cls, text)
        self.ms = sum(int(number) * _MS_OF_UNIT[unit] for number, unit in re.findall(r"([0-9]+)(ms|s|m|h|d)", text))
        return self

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            cls, core_schema.str_schema(strict=True), serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        text: dict[str, Any] = {"type": "string", "pattern": cls.PATTERN, "maxLength": cls.MAX_LENGTH}
        return text | ({VALIDATIONS: list(cls.RULES)} if cls.RULES else {})


class PositiveDuration(Duration):
    """A duration of at least one millisecond, for time-outs where 0 would let nothing pass."""

    RULES: ClassVar = [cel("self.matches('[1-9]')", "must be more than 0")]
    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        self = super().__new__(cls, text)
        if self.ms == 0:
            raise ValueError("must be more than 0")
        return self


_MS_OF_UNIT = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


LABEL_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"

Label = Annotated[str, Field(min_length=1, max_length=63, pattern=LABEL_PATTERN)]
"""A DNS label (RFC 1123): the names of backends, credentials, orchestrators and namespaces."""

_SUBDOMAIN_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"

ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=_SUBDOMAIN_PATTERN)]
"""A DNS subdomain (RFC 1123), as Kubernetes names Secrets and most other objects."""

SecretKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
"""A key in the data of a Secret."""

Region = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][-_.A-Za-z0-9]*$")]

PhysicalBucket = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""A bucket at a provider: wider than today's S3 rules, since older buckets and other providers allow more."""


_BAD_PORT = "must have a port from 1 to 65535, or none"


def _port_in_range(url: str) -> str:
    try:
        port = urlsplit(url).port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError(_BAD_PORT)
    return url


EndpointURL = Annotated[
    str,
    Field(
        max_length=512,
        pattern=r"^https?://([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:[1-9][0-9]{0,4})?$",
        json_schema_extra={VALIDATIONS: [cel("url(self).getPort() == '' || int(url(self).getPort()) <= 65535", _BAD_PORT)]},
    ),
    AfterValidator(_port_in_range),
]
"""Scheme, host and port: no path, and no user and password, which would be a secret in a custom resource."""


BUCKET_PATTERN = r"^[a-z0-9][a-z0-9.-]*[a-z0-9]$"
_IP_ADDRESS = r"^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$"
_RESERVED_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
RESERVED_BUCKETS = ("admin", "health", "metrics", "ui")
"""Path-style requests to these would be the proxy's own pages."""


def bucket_name_problem(name: str) -> str:
    """Why S3 (or this proxy) refuses a bucket of this name; empty when it is fine.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    """
    if not 3 <= len(name) <= 63 or re.fullmatch(BUCKET_PATTERN, name, re.ASCII) is None:
        return "must be 3 to 63 lower-case letters, digits, dots and hyphens, with a letter or digit at both ends"
    if ".." in name or re.fullmatch(_IP_ADDRESS, name, re.ASCII):
        return "must not hold two dots in a row nor look like an IP address"
    if name.startswith(_RESERVED_PREFIXES) or name.endswith(_RESERVED_SUFFIXES):
        return "must not have a prefix or suffix that S3 reserves"
    if name in RESERVED_BUCKETS:
        return "must not be the path of one of the proxy's own pages"
    return ""


def bucket_name_cel(subject: str) -> list[dict[str, str]]:
    """The rules of `bucket_name_problem` beyond pattern and length, for the API server."""
    reserved = [f"{subject}.startsWith('{prefix}')" for prefix in _RESERVED_PREFIXES]
    reserved += [f"{subject}.endsWith('{suffix}')" for suffix in _RESERVED_SUFFIXES]
    dots = f"{subject}.contains('..') || {subject}.matches('{_IP_ADDRESS.replace(chr(92), chr(92) * 2)}')"
    own = ", ".join(f"'{name}'" for name in RESERVED_BUCKETS)
    return [
        cel(f"!({dots})", "must not hold two dots in a row nor look like an IP address"),
        cel(f"!({' || '.join(reserved)})", "must not have a prefix or suffix that S3 reserves"),
        cel(f"!({subject} in [{own}])", "must not be the path of one of the proxy's own pages"),
    ]


def _s3_bucket_name(name: str) -> str:
    if problem := bucket_name_problem(name):
        raise ValueError(problem)
    return name


BucketName = Annotated[
    str,
    Field(min_length=3, max_length=63, pattern=BUCKET_PATTERN, json_schema_extra={VALIDATIONS: bucket_name_cel("self")}),
    AfterValidator(_s3_bucket_name),
]
"""A virtual bucket: S3's own rules for names."""

_LABEL_KEY = r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?$"

LabelKey = Annotated[str, Field(min_length=1, max_length=317, pattern=_LABEL_KEY)]
"""The key of a label or an annotation: a name, and a domain before it if somebody owns it."""

LabelValue = Annotated[str, Field(max_length=63, pattern=r"^([A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?)?$")]

MOST_LABELS = 16


def _checked_keys(labels: dict[str, str]) -> dict[str, str]:
    if wrong := [key for key in labels if re.fullmatch(_LABEL_KEY, key, re.ASCII) is None]:
        raise ValueError(f"{wrong[0][:80]!r} is not the key of a label: a name such as team, or example.com/team")
    return labels


def _keys_cel(most_length: int) -> dict[str, Any]:
    """The API server has no bound for the keys of a map but one it is told."""
    shaped = f"size(key) <= {most_length} && key.matches('{_LABEL_KEY}')"
    return {VALIDATIONS: [cel(f"self.all(key, {shaped})", "keys must be names such as team, or example.com/team")]}


Labels = Annotated[dict[str, LabelValue], Field(max_length=MOST_LABELS, json_schema_extra=_keys_cel(317)), AfterValidator(_checked_keys)]
"""Labels as Kubernetes has them, at most 16."""

Annotations = Annotated[
    dict[str, Annotated[str, Field(max_length=1024)]],
    Field(max_length=MOST_LABELS, json_schema_extra=_keys_cel(317)),
    AfterValidator(_checked_keys),
]
"""Annotations as Kubernetes has them, at most 16 of at most 1024 characters."""

DomainName = ObjectName
"""The name of a host, in lower case."""
