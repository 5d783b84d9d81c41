"""The checksum headers of a request: values, the algorithm that is asked for, the kind, the trailer that will carry one."""

from __future__ import annotations

from collections.abc import Mapping

from s3o_proxy.domain.model import ChecksumType
from s3o_proxy.s3.checksums import ALGORITHMS, TYPES, is_checksum
from s3o_proxy.s3.errors import S3Error, header_not_implemented

_PREFIX = "x-amz-checksum-"
_BY_HEADER = {_PREFIX + algorithm.lower(): algorithm for algorithm in ALGORITHMS}
_NO_VALUES = frozenset({"x-amz-checksum-algorithm", "x-amz-checksum-type", "x-amz-checksum-mode"})
_LATER_ALGORITHMS = frozenset({"MD5", "SHA512", "XXHASH3", "XXHASH64", "XXHASH128"})


def checksum_header(algorithm: str) -> str:
    """`CRC64NVME` → `x-amz-checksum-crc64nvme`."""
    return _PREFIX + algorithm.lower()


def checksum_values(headers: Mapping[str, str], *, of_parts: bool = False) -> dict[str, str]:
    """Algorithm → base64 of the one x-amz-checksum-* header, or nothing. With `of_parts`, `-N` may follow (a composite checksum).

    Raises InvalidRequest for a value or an algorithm that is none, or for two headers; NotImplemented for an algorithm that only S3 has.
    """
    values: dict[str, str] = {}
    for name, value in headers.items():
        if not name.startswith(_PREFIX) or name in _NO_VALUES:
            continue
        algorithm = _BY_HEADER.get(name)
        if algorithm is None:
            if name.removeprefix(_PREFIX).upper() in _LATER_ALGORITHMS:
                raise header_not_implemented(name)
            raise S3Error("InvalidRequest", "The algorithm type you specified in x-amz-checksum- header is invalid.")
        digest, dash, count = value.partition("-") if of_parts else (value, "", "")
        if not is_checksum(algorithm, digest) or (dash and not (count.isascii() and count.isdigit())):
            raise S3Error("InvalidRequest", f"Value for {name} header is invalid.")
        values[algorithm] = value
    if len(values) > 1:
        raise S3Error("InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
    return values


def asked_algorithm(headers: Mapping[str, str], name: str = "x-amz-checksum-algorithm") -> str:
    """The algorithm that header `name` asks for, or "". Raises InvalidRequest for an unknown one, NotImplemented for one S3 has."""
    value = headers.get(name, "").strip().upper()
    if not value or value in ALGORITHMS:
        return value
    if value in _LATER_ALGORITHMS:
        raise header_not_implemented(name)
    if name == "x-amz-checksum-algorithm":
        raise S3Error(
            "InvalidRequest",
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [" + ", ".join(ALGORITHMS) + "]",
        )
    raise S3Error("InvalidRequest", f"Value for {name} header is invalid.")


def checksum_type(headers: Mapping[str, str]) -> ChecksumType | None:
    """x-amz-checksum-type. Raises InvalidRequest."""
    value = headers.get("x-amz-checksum-type", "").strip().upper()
    match value:
        case "":
            return None
        case "COMPOSITE" | "FULL_OBJECT":
            return value
    raise S3Error("InvalidRequest", "Value for x-amz-checksum-type header is invalid.")


def upload_checksum(headers: Mapping[str, str]) -> tuple[str, ChecksumType]:
    """Algorithm ("" for none) and type of a new multipart upload. Raises InvalidRequest for a pair that S3 does not have."""
    algorithm, kind = asked_algorithm(headers), checksum_type(headers)
    if not algorithm:
        if kind is not None:
            raise S3Error("InvalidRequest", "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
        return "", "COMPOSITE"
    if kind is None:
        return algorithm, TYPES[algorithm][0]
    if kind not in TYPES[algorithm]:
        raise S3Error("InvalidRequest", f"The {kind} checksum type cannot be used with the {algorithm.lower()} checksum algorithm.")
    return algorithm, kind


def trailer_algorithm(headers: Mapping[str, str]) -> str:
    """The algorithm whose value x-amz-trailer promises behind the body, or "". Raises InvalidRequest for any other trailer."""
    announced = headers.get("x-amz-trailer", "").strip().lower()
    if not announced:
        return ""
    algorithm = _BY_HEADER.get(announced.rstrip(","))
    if algorithm is None:
        if announced.startswith(_PREFIX) and announced.removeprefix(_PREFIX).upper() in _LATER_ALGORITHMS:
            raise header_not_implemented(announced)
        raise S3Error("InvalidRequest", "The value specified in the x-amz-trailer header is not supported")
    return algorithm
