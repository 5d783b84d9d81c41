"""The documents that we answer: every result of `operation.py` and every error, written by joining strings.

A page of 1,000 keys is written on every LIST, so its rows are one f-string each, and what can be asked of the whole page is not asked of
each row. Field names and their order are those of AWS, S3 API Reference. Documents that clients send are read in `documents.py`; the two
readers that operations use are exported here as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from urllib.parse import quote

from s3o_proxy.domain.model import ChecksumType, Digests, ListedUpload
from s3o_proxy.s3.conditions import quote_etag
from s3o_proxy.s3.dates import iso_date, iso_second
from s3o_proxy.s3.documents import parse_complete_multipart_upload, parse_create_bucket, parse_delete
from s3o_proxy.s3.errors import S3Error
from s3o_proxy.s3.identifiers import OWNER_ID, OWNER_NAME, XML_NAMESPACE
from s3o_proxy.s3.operation import (
    BucketLocation,
    BucketsListed,
    ListObjectsV2,
    NothingConfigured,
    ObjectCopied,
    ObjectsDeleted,
    ObjectsListed,
    PartsListed,
    Result,
    UploadCompleted,
    UploadCreated,
    UploadsListed,
)
from s3o_proxy.s3.tokens import encode_token
from s3o_proxy.s3.unconfigured import answer

__all__ = ["escape", "parse_complete_multipart_upload", "parse_create_bucket", "parse_delete", "render", "render_error"]

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_OWNER = f"<ID>{OWNER_ID}</ID><DisplayName>{OWNER_NAME}</DisplayName>"
_SPECIAL = re.compile(r"[&<>\"\x00-\x1f\x7f-\x9f\ufffe\uffff]")
_NO_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
_UNRESERVED = re.compile(r"[A-Za-z0-9\-._~/]*")


def render(result: Result, *, base_url: str = "") -> bytes:
    """The body of the answer; empty where S3's is. `base_url` (`https://host:port`) begins the Location of a completed upload.

    Raises S3Error where S3's answer to an unconfigured bucket is an error.
    """
    match result:
        case ObjectsListed():
            return _objects_listed(result)
        case ObjectCopied():
            return _object_copied(result)
        case ObjectsDeleted():
            return _objects_deleted(result)
        case UploadCreated():
            return _upload_created(result)
        case UploadCompleted():
            return _upload_completed(result, base_url)
        case PartsListed():
            return _parts_listed(result)
        case UploadsListed():
            return _uploads_listed(result)
        case BucketsListed():
            return _buckets_listed(result)
        case BucketLocation():
            return _document("LocationConstraint", "" if result.region == "us-east-1" else escape(result.region))
        case NothingConfigured():
            return answer(result.subresource)
        case _:
            return b""


def render_error(error: S3Error, resource: str, request_id: str, host_id: str = "") -> bytes:
    """The error document. `resource` is the path that was asked for, decoded."""
    fields = {"Code": error.code, "Message": error.message, **error.extra, "Resource": resource, "RequestId": request_id, "HostId": host_id}
    # A document that no parser takes would hide its code: what XML 1.0 cannot say at all stands here percent-encoded.
    texts = [f"<{name}>{escape(_NO_XML.sub(_percent, value))}</{name}>" for name, value in fields.items()]
    return f"{_HEAD}<Error>{''.join(texts)}</Error>".encode("utf-8", "replace")


def escape(text: str) -> str:
    """Text for XML. Control characters become references, as S3 writes them: XML 1.0 has no better way to say such a key."""
    return _SPECIAL.sub(_reference, text) if _SPECIAL.search(text) else text


# --- listings ------------------------------------------------------------------------------------------------------


def _objects_listed(result: ObjectsListed) -> bytes:
    request = result.request
    text = _url_text if request.url_encode else escape
    fields = [_element("Name", request.bucket), f"<Prefix>{text(request.prefix)}</Prefix>"]
    if isinstance(request, ListObjectsV2):
        owner = f"<Owner>{_OWNER}</Owner>" if request.fetch_owner else ""
        fields.append(f"<KeyCount>{len(result.objects) + len(result.prefixes)}</KeyCount>")
        if request.continuation_token:
            fields.append(_element("ContinuationToken", request.continuation_token))
        elif request.start_after:
            fields.append(f"<StartAfter>{text(request.start_after)}</StartAfter>")
        if result.next_after is not None:
            fields.append(_element("NextContinuationToken", encode_token(result.next_after)))
    else:
        owner = f"<Owner>{_OWNER}</Owner>"
        fields.append(f"<Marker>{text(request.after)}</Marker>")
        if result.next_after is not None:
            fields.append(f"<NextMarker>{text(result.next_after)}</NextMarker>")
    fields.append(f"<MaxKeys>{request.max_keys}</MaxKeys>")
    if request.delimiter:
        fields.append(f"<Delimiter>{text(request.delimiter)}</Delimiter>")
    if request.url_encode:
        fields.append("<EncodingType>url</EncodingType>")
    fields.append(_truncated(result.next_after is not None))
    keys = _texts([each.key for each in result.objects], url_encode=request.url_encode)
    fields += [
        f"<Contents><Key>{key}</Key><LastModified>{iso_second(each.modified_ms // 1000)}</LastModified><ETag>&quot;{each.etag}&quot;</ETag>"
        f"{_listed_checksum(each.checksum_algorithms, each.checksum_type)}<Size>{each.size_bytes}</Size>{owner}"
        "<StorageClass>STANDARD</StorageClass></Contents>"
        for key, each in zip(keys, result.objects, strict=True)
    ]
    fields += _common_prefixes(result.prefixes, url_encode=request.url_encode)
    return _document("ListBucketResult", *fields)


def _texts(keys: Sequence[str], *, url_encode: bool) -> Sequence[str]:
    """Keys as they stand in a document. One look tells of most pages that nothing in them needs to be encoded."""
    together = "".join(keys)
    if url_encode:
        return keys if _UNRESERVED.fullmatch(together) else [_url_text(key) for key in keys]
    return [escape(key) for key in keys] if _SPECIAL.search(together) else keys


@lru_cache(maxsize=256)
def _listed_checksum(algorithms: tuple[str, ...], checksum_type: ChecksumType) -> str:
    if not algorithms:
        return ""
    names = "".join([f"<ChecksumAlgorithm>{name}</ChecksumAlgorithm>" for name in algorithms])
    return f"{names}<ChecksumType>{checksum_type}</ChecksumType>"


def _uploads_listed(result: UploadsListed) -> bytes:
    request = result.request
    text = _url_text if request.url_encode else escape
    fields = [
        _element("Bucket", request.bucket),
        f"<KeyMarker>{text(request.key_marker)}</KeyMarker>",
        _element("UploadIdMarker", request.upload_id_marker),
    ]
    if result.truncated:
        next_key, next_upload_id = _last_of_page(result.uploads, result.prefixes)
        fields.append(f"<NextKeyMarker>{text(next_key)}</NextKeyMarker>{_element('NextUploadIdMarker', next_upload_id)}")
    fields.append(f"<Prefix>{text(request.prefix)}</Prefix>")
    if request.delimiter:
        fields.append(f"<Delimiter>{text(request.delimiter)}</Delimiter>")
    if request.url_encode:
        fields.append("<EncodingType>url</EncodingType>")
    fields.append(f"<MaxUploads>{request.max_uploads}</MaxUploads>{_truncated(result.truncated)}")
    for each in result.uploads:
        checksum = (
            f"<ChecksumAlgorithm>{each.checksum_algorithm}</ChecksumAlgorithm><ChecksumType>{each.checksum_type}</ChecksumType>"
            if each.checksum_algorithm
            else ""
        )
        fields.append(
            f"<Upload><Key>{text(each.key)}</Key>{_element('UploadId', each.upload_id)}<Initiator>{_OWNER}</Initiator>"
            f"<Owner>{_OWNER}</Owner><StorageClass>STANDARD</StorageClass><Initiated>{iso_date(each.initiated_ms)}</Initiated>"
            f"{checksum}</Upload>"
        )
    fields += _common_prefixes(result.prefixes, url_encode=request.url_encode)
    return _document("ListMultipartUploadsResult", *fields)


def _last_of_page(uploads: Sequence[ListedUpload], prefixes: Sequence[str]) -> tuple[str, str]:
    """Where the next page begins: uploads and prefixes are in one byte order, so the later of the two last ones."""
    last_upload = (uploads[-1].key, uploads[-1].upload_id) if uploads else ("", "")
    last_prefix = (prefixes[-1], "") if prefixes else ("", "")
    return max(last_upload, last_prefix, key=lambda pair: pair[0].encode())


def _parts_listed(result: PartsListed) -> bytes:
    request, upload = result.request, result.upload
    text = _url_text if request.url_encode else escape
    next_marker = result.parts[-1].part_number if result.parts else request.after
    fields = [
        f"{_element('Bucket', upload.bucket)}<Key>{text(upload.key)}</Key>{_element('UploadId', upload.upload_id)}",
        f"<PartNumberMarker>{request.after}</PartNumberMarker><NextPartNumberMarker>{next_marker}</NextPartNumberMarker>",
        f"<MaxParts>{request.max_parts}</MaxParts>{_truncated(result.truncated)}",
    ]
    if request.url_encode:
        fields.append("<EncodingType>url</EncodingType>")
    fields += [
        f"<Part><PartNumber>{part.part_number}</PartNumber><LastModified>{iso_date(part.modified_ms)}</LastModified>"
        f"<ETag>&quot;{part.etag}&quot;</ETag><Size>{part.size_bytes}</Size>{_checksums(part.digests.checksums)}</Part>"
        for part in result.parts
    ]
    fields.append(f"<Initiator>{_OWNER}</Initiator><Owner>{_OWNER}</Owner><StorageClass>STANDARD</StorageClass>")
    if upload.checksum_algorithm:
        fields.append(
            f"<ChecksumAlgorithm>{upload.checksum_algorithm}</ChecksumAlgorithm><ChecksumType>{upload.checksum_type}</ChecksumType>"
        )
    return _document("ListPartsResult", *fields)


def _buckets_listed(result: BucketsListed) -> bytes:
    buckets = "".join(
        [
            f"<Bucket>{_element('Name', name)}<CreationDate>{iso_date(created_ms)}</CreationDate></Bucket>"
            for name, created_ms in result.buckets
        ]
    )
    prefix = _element("Prefix", result.request.prefix) if result.request.prefix else ""
    token = _element("ContinuationToken", encode_token(result.next_after)) if result.next_after is not None else ""
    return _document("ListAllMyBucketsResult", f"<Owner>{_OWNER}</Owner><Buckets>{buckets}</Buckets>{prefix}{token}")


# --- writes --------------------------------------------------------------------------------------------------------


def _object_copied(result: ObjectCopied) -> bytes:
    fields = f"<LastModified>{iso_date(result.modified_ms)}</LastModified>{_element('ETag', quote_etag(result.etag))}"
    if result.part:
        return _document("CopyPartResult", fields + _checksums(result.digests.checksums))
    return _document("CopyObjectResult", fields + _object_checksums(result.digests))


def _objects_deleted(result: ObjectsDeleted) -> bytes:
    deleted = "".join([f"<Deleted>{_element('Key', key)}</Deleted>" for key in result.deleted])
    failed = "".join(
        [
            f"<Error>{_element('Key', each.key)}{_element('Code', each.code)}{_element('Message', each.message)}</Error>"
            for each in result.failed
        ]
    )
    return _document("DeleteResult", deleted + failed)


def _upload_created(result: UploadCreated) -> bytes:
    upload = result.upload
    fields = _element("Bucket", upload.bucket) + _element("Key", upload.key) + _element("UploadId", upload.upload_id)
    return _document("InitiateMultipartUploadResult", fields)


def _upload_completed(result: UploadCompleted, base_url: str) -> bytes:
    location = f"{base_url}/{result.bucket}/{quote(result.key, safe='/')}"
    fields = (
        _element("Location", location)
        + _element("Bucket", result.bucket)
        + _element("Key", result.key)
        + _element("ETag", quote_etag(result.etag))
        + _object_checksums(result.digests)
    )
    return _document("CompleteMultipartUploadResult", fields)


# --- pieces --------------------------------------------------------------------------------------------------------


def _document(root: str, *content: str) -> bytes:
    return "".join((f'{_HEAD}<{root} xmlns="{XML_NAMESPACE}">', *content, f"</{root}>")).encode()


def _element(name: str, text: str) -> str:
    return f"<{name}>{escape(text)}</{name}>"


def _truncated(value: bool) -> str:
    return "<IsTruncated>true</IsTruncated>" if value else "<IsTruncated>false</IsTruncated>"


def _common_prefixes(prefixes: Sequence[str], *, url_encode: bool) -> list[str]:
    return [f"<CommonPrefixes><Prefix>{prefix}</Prefix></CommonPrefixes>" for prefix in _texts(prefixes, url_encode=url_encode)]


def _object_checksums(digests: Digests) -> str:
    return _checksums(digests.checksums) + f"<ChecksumType>{digests.checksum_type}</ChecksumType>" if digests.checksums else ""


def _checksums(checksums: Mapping[str, str]) -> str:
    return "".join([f"<Checksum{name}>{value}</Checksum{name}>" for name, value in checksums.items()])


def _url_text(text: str) -> str:
    """encoding-type=url. A space becomes %20: readers that take `+` for a space and readers that do not agree on that one."""
    return text if _UNRESERVED.fullmatch(text) else quote(text, safe="/")


def _percent(found: re.Match[str]) -> str:
    return quote(found.group())


def _reference(found: re.Match[str]) -> str:
    character = found.group()
    return _ENTITIES.get(character) or f"&#x{ord(character):X};"
