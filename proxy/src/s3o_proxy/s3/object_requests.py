"""Requests on an object → operations: reading, writing, copying, and the uploads in parts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from s3o_proxy.domain.model import Description
from s3o_proxy.s3.bucket_requests import MAX_PAGE, Headers, Parameters
from s3o_proxy.s3.checksum_headers import asked_algorithm, checksum_type, checksum_values, upload_checksum
from s3o_proxy.s3.conditions import NO_CONDITIONS, parse_copy_range, parse_range, range_conditions, read_conditions, write_conditions
from s3o_proxy.s3.errors import S3Error, invalid_argument
from s3o_proxy.s3.headers import description, refuse_a_piece, refuse_what_nobody_keeps
from s3o_proxy.s3.operation import (
    AbortMultipartUpload,
    CompleteMultipartUpload,
    CopyObject,
    CopySource,
    CreateMultipartUpload,
    DeleteObject,
    GetObject,
    HeadObject,
    ListParts,
    Operation,
    PutObject,
    UploadPart,
    UploadPartCopy,
)
from s3o_proxy.s3.query import integer_parameter, part_number_parameter, wants_url_encoding
from s3o_proxy.s3.target import decode_copy_source

ObjectBuilder = Callable[[str, str, Parameters, Headers], Operation]

_OVERRIDES = {
    "response-cache-control": "cache-control",
    "response-content-disposition": "content-disposition",
    "response-content-encoding": "content-encoding",
    "response-content-language": "content-language",
    "response-content-type": "content-type",
    "response-expires": "expires",
}
_NO_OVERRIDES: Mapping[str, str] = MappingProxyType({})
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def get_object(bucket: str, key: str, parameters: Parameters, headers: Headers) -> GetObject:
    return _read(GetObject, bucket, key, parameters, headers)


def head_object(bucket: str, key: str, parameters: Parameters, headers: Headers) -> GetObject:
    return _read(HeadObject, bucket, key, parameters, headers)


def _read(kind: type[GetObject], bucket: str, key: str, parameters: Parameters, headers: Headers) -> GetObject:
    refuse_what_nobody_keeps(headers)
    byte_range = parse_range(headers.get("range"))
    part_number: int | None = None
    overrides: Mapping[str, str] = _NO_OVERRIDES
    if parameters:
        refuse_other_versions(parameters.get("versionId"))
        overrides = _overrides(parameters)
        if "partNumber" in parameters:
            part_number = part_number_parameter(parameters)
            if "range" in headers:
                raise S3Error("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
    return kind(
        bucket,
        key,
        range=byte_range,
        conditions=read_conditions(headers),
        range_conditions=range_conditions(headers) if byte_range is not None else NO_CONDITIONS,
        part_number=part_number,
        response_headers=overrides,
        checksum_mode=headers.get("x-amz-checksum-mode", "").upper() == "ENABLED",
    )


def put_object(bucket: str, key: str, parameters: Parameters, headers: Headers) -> PutObject | CopyObject:
    refuse_what_nobody_keeps(headers)
    if "x-amz-copy-source" in headers:
        return _copy_object(bucket, key, parameters, headers)
    refuse_a_piece(headers)
    return PutObject(bucket, key, description(headers), write_conditions(headers))


def _copy_object(bucket: str, key: str, _: Parameters, headers: Headers) -> CopyObject:
    source = copy_source(headers)
    replace_metadata = _directive(headers, "x-amz-metadata-directive") == "REPLACE"
    _directive(headers, "x-amz-tagging-directive")  # No object has tags: copying and replacing them by none are the same.
    algorithm = asked_algorithm(headers)
    if (source.bucket, source.key) == (bucket, key) and not replace_metadata and not algorithm:
        raise S3Error(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage "
            "class, website redirect location or encryption attributes.",
        )
    described = description(headers) if replace_metadata else Description()
    return CopyObject(bucket, key, source, replace_metadata, described, write_conditions(headers), algorithm)


def delete_object(bucket: str, key: str, parameters: Parameters, headers: Headers) -> DeleteObject:
    refuse_what_nobody_keeps(headers)
    refuse_other_versions(parameters.get("versionId"))
    return DeleteObject(bucket, key, write_conditions(headers))


# --- multipart -----------------------------------------------------------------------------------------------------


def create_multipart_upload(bucket: str, key: str, _: Parameters, headers: Headers) -> CreateMultipartUpload:
    # Its If-Match and If-None-Match, which some clients send already here, are decided by Complete: nothing is written yet.
    refuse_what_nobody_keeps(headers)
    algorithm, kind = upload_checksum(headers)
    return CreateMultipartUpload(bucket, key, description(headers), algorithm, kind)


def upload_part(bucket: str, key: str, parameters: Parameters, headers: Headers) -> UploadPart | UploadPartCopy:
    refuse_what_nobody_keeps(headers)
    if "partNumber" not in parameters or "uploadId" not in parameters:
        missing = "uploadId" if "partNumber" in parameters else "partNumber"
        raise invalid_argument(missing, "", "A part is uploaded with both partNumber and uploadId")
    number, upload_id = part_number_parameter(parameters), _upload_id(parameters)
    if "x-amz-copy-source" not in headers:
        refuse_a_piece(headers)
        return UploadPart(bucket, key, upload_id, number)
    byte_range = parse_copy_range(headers.get("x-amz-copy-source-range"))
    return UploadPartCopy(bucket, key, upload_id, number, copy_source(headers), byte_range)


def complete_multipart_upload(bucket: str, key: str, parameters: Parameters, headers: Headers) -> CompleteMultipartUpload:
    refuse_what_nobody_keeps(headers)
    return CompleteMultipartUpload(
        bucket,
        key,
        upload_id=_upload_id(parameters),
        conditions=write_conditions(headers),
        checksums=checksum_values(headers, of_parts=True),
        checksum_type=checksum_type(headers),
        object_size_bytes=_object_size(headers),
    )


def abort_multipart_upload(bucket: str, key: str, parameters: Parameters, headers: Headers) -> AbortMultipartUpload:
    refuse_what_nobody_keeps(headers)
    return AbortMultipartUpload(bucket, key, _upload_id(parameters))


def list_parts(bucket: str, key: str, parameters: Parameters, _: Headers) -> ListParts:
    return ListParts(
        bucket,
        key,
        upload_id=_upload_id(parameters),
        after=integer_parameter(parameters, "part-number-marker", 0),
        max_parts=min(integer_parameter(parameters, "max-parts", MAX_PAGE), MAX_PAGE),
        url_encode=wants_url_encoding(parameters),
    )


# --- shared --------------------------------------------------------------------------------------------------------


def refuse_other_versions(version_id: str | None) -> None:
    """Objects here have one version, `null`, as in a bucket that was never versioned. Raises NoSuchVersion, InvalidArgument."""
    if version_id is None or version_id == "null":
        return
    if not version_id:
        raise invalid_argument("versionId", "", "Version id cannot be the empty string")
    raise S3Error("NoSuchVersion", extra={"VersionId": version_id})


def copy_source(headers: Headers) -> CopySource:
    bucket, key, version_id = decode_copy_source(headers["x-amz-copy-source"])
    refuse_other_versions(version_id or None)
    return CopySource(bucket, key, read_conditions(headers, "x-amz-copy-source-"))


def _overrides(parameters: Parameters) -> dict[str, str]:
    found = {header: parameters[name] for name, header in _OVERRIDES.items() if name in parameters}
    for name, value in found.items():
        if _CONTROL.search(value):  # It becomes a response header: a line break in it would forge another.
            raise invalid_argument(f"response-{name}", value, "Header value cannot be represented")
    return found


def _directive(headers: Headers, name: str) -> str:
    value = headers.get(name, "") or "COPY"
    if value not in ("COPY", "REPLACE"):
        raise invalid_argument(name, value, f"Unknown {name.removeprefix('x-amz-').replace('-', ' ')}.")
    return value


def _upload_id(parameters: Parameters) -> str:
    if not parameters["uploadId"]:
        raise S3Error("NoSuchUpload", extra={"UploadId": ""})
    return parameters["uploadId"]


def _object_size(headers: Headers) -> int | None:
    text = headers.get("x-amz-mp-object-size")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise S3Error("InvalidRequest", "Value for x-amz-mp-object-size header is less than zero or invalid.")
    return int(text)


_READ = frozenset({"versionId", "partNumber", *_OVERRIDES})

OBJECT_BUILDERS: dict[str, tuple[ObjectBuilder, frozenset[str]]] = {
    "GetObject": (get_object, _READ),
    "HeadObject": (head_object, _READ),
    "PutObject": (put_object, frozenset()),
    "DeleteObject": (delete_object, frozenset({"versionId"})),
    "CreateMultipartUpload": (create_multipart_upload, frozenset({"uploads"})),
    "UploadPart": (upload_part, frozenset({"uploadId", "partNumber"})),
    "CompleteMultipartUpload": (complete_multipart_upload, frozenset({"uploadId"})),
    "AbortMultipartUpload": (abort_multipart_upload, frozenset({"uploadId"})),
    "ListParts": (list_parts, frozenset({"uploadId", "part-number-marker", "max-parts", "encoding-type"})),
}
"""S3's name of a request → who makes the operation of it, and the parameters that it may carry."""
