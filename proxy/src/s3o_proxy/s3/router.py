"""Request → operation. Every operation of S3 has its name here; what is not served, and what nobody knows, becomes `Unsupported`.

An unknown parameter or sub-resource never falls through to the plain operation: `PUT /bucket/key?acl` must not overwrite the object.
"""

from __future__ import annotations

from collections.abc import Mapping

from s3o_proxy.s3.bucket_requests import BUCKET_BUILDERS
from s3o_proxy.s3.errors import S3Error, invalid_argument
from s3o_proxy.s3.object_requests import OBJECT_BUILDERS, refuse_other_versions
from s3o_proxy.s3.operation import GetUnconfigured, Operation, Unsupported
from s3o_proxy.s3.query import split_query
from s3o_proxy.s3.request import RequestFacts
from s3o_proxy.s3.subresources import BUCKET_SUBRESOURCES, OBJECT_SUBRESOURCES, PLAIN_BUCKET, PLAIN_OBJECT, PLAIN_SERVICE
from s3o_proxy.s3.target import locate
from s3o_proxy.s3.unconfigured import DOCUMENTS, REFUSALS

_UNCONFIGURED = frozenset(DOCUMENTS) | frozenset(REFUSALS)

_OF_EVERY_REQUEST = frozenset(
    {
        "host",
        "authorization",
        "x-amz-date",
        "x-amz-content-sha256",
        "content-length",
        "user-agent",
        "accept",
        "accept-encoding",
        "connection",
    }
    | {"amz-sdk-invocation-id", "amz-sdk-request", "expect"}
)
"""Headers that say nothing of what is asked: without them most requests have none left to look through."""


def route(facts: RequestFacts, virtual_host_domain: str = "") -> Operation:
    """Raises S3Error for what can be refused without knowing who asks."""
    bucket, key = locate(facts, virtual_host_domain)
    parameters, sent = split_query(facts)
    headers = {name: value for name, value in sent.items() if name not in _OF_EVERY_REQUEST}
    if key:
        return _object_operation(facts.method, bucket, key, parameters, headers)
    return _bucket_operation(facts.method, bucket, parameters, headers)


def _bucket_operation(method: str, bucket: str, parameters: Mapping[str, str], headers: Mapping[str, str]) -> Operation:
    if bucket:
        subresource = _subresource(parameters, BUCKET_SUBRESOURCES)
        names = BUCKET_SUBRESOURCES[subresource] if subresource else PLAIN_BUCKET
    else:
        subresource, names = "", PLAIN_SERVICE
    name = _name(names, method, parameters)
    if name is None:
        return Unsupported(bucket, operation=_unknown(method, subresource, parameters))
    if method == "GET" and subresource in _UNCONFIGURED:
        return _unconfigured(bucket, "", subresource, parameters)
    if name == "ListObjects" and "list-type" in parameters:
        name = "ListObjectsV2"
    if name not in BUCKET_BUILDERS:
        return Unsupported(bucket, operation=name)
    build, known = BUCKET_BUILDERS[name]
    unknown = parameters.keys() - known
    if unknown:
        return Unsupported(bucket, operation=_parameters_text(unknown))
    return build(bucket, parameters, headers)


def _object_operation(method: str, bucket: str, key: str, parameters: Mapping[str, str], headers: Mapping[str, str]) -> Operation:
    subresource = _subresource(parameters, OBJECT_SUBRESOURCES) if parameters else ""
    if method == "PUT" and "partNumber" in parameters:
        subresource = subresource or "uploadId"  # A part without its upload: refused as a part, never written as an object.
    names = OBJECT_SUBRESOURCES[subresource] if subresource else PLAIN_OBJECT
    name = _name(names, method, parameters)
    if name is None:
        return Unsupported(bucket, key, operation=_unknown(method, subresource, parameters))
    if method == "GET" and f"object-{subresource}" in _UNCONFIGURED:
        return _unconfigured(bucket, key, subresource, parameters)
    if name not in OBJECT_BUILDERS:
        return Unsupported(bucket, key, operation=name)
    build, known = OBJECT_BUILDERS[name]
    if parameters:
        unknown = parameters.keys() - known
        if unknown:
            return Unsupported(bucket, key, operation=_parameters_text(unknown))
    return build(bucket, key, parameters, headers)


def _unconfigured(bucket: str, key: str, subresource: str, parameters: Mapping[str, str]) -> Operation:
    unknown = parameters.keys() - {subresource, "versionId"} if key else parameters.keys() - {subresource}
    if unknown:
        return Unsupported(bucket, key, operation=_parameters_text(unknown))
    if key:
        refuse_other_versions(parameters.get("versionId"))
    return GetUnconfigured(bucket, key, f"object-{subresource}" if key else subresource)


def _subresource(parameters: Mapping[str, str], table: Mapping[str, object]) -> str:
    """The one sub-resource among `parameters`, or "". Raises InvalidArgument for two: which would be meant?"""
    found = [name for name in parameters if name in table]
    if len(found) > 1:
        pair = ", ".join(sorted(found))
        raise invalid_argument("ResourceType", pair, f"Conflicting query string parameters: {pair}")
    return found[0] if found else ""


def _name(names: Mapping[str, str], method: str, parameters: Mapping[str, str]) -> str | None:
    """S3's name of the request; None where a sub-resource or parameter makes it unknown. Raises MethodNotAllowed for the rest."""
    name = names.get(method)
    if name is None and not parameters:
        raise S3Error("MethodNotAllowed", extra={"Method": method}, headers={"allow": ", ".join(sorted(names))})
    return name


def _unknown(method: str, subresource: str, parameters: Mapping[str, str]) -> str:
    return f"{method} ?{subresource}" if subresource else _parameters_text(parameters)


def _parameters_text(names: Mapping[str, str] | set[str]) -> str:
    """The parameters nobody knows, bounded: they come from outside and go into an answer."""
    return ("?" + "&".join(sorted(names)))[:200]
