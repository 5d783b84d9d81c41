"""Every S3 error that we answer, and the one table that makes S3 errors out of the domain's.

Source of codes and sentences: AWS, S3 API Reference, "Error responses". Where a sentence is ours, it says which limit was hit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from s3o_proxy.domain import errors as domain

_NOTHING: Mapping[str, str] = MappingProxyType({})
_REPLACED = "The records of this store are not the ones that it was set up with. Nothing is read or written until its operator acts."
_RETRY_SOON = MappingProxyType({"retry-after": "1"})
_RETRY_LATER = MappingProxyType({"retry-after": "5"})

CODES: dict[str, tuple[int, str]] = {
    "AccessControlListNotSupported": (400, "The bucket does not allow ACLs"),
    "AccessDenied": (403, "Access Denied"),
    "AuthorizationHeaderMalformed": (400, "The authorization header that you provided is not valid."),
    "AuthorizationQueryParametersError": (400, "The authorization query parameters that you provided are not valid."),
    "BadDigest": (400, "The Content-MD5 or checksum value that you specified did not match what the server received."),
    "BadRequest": (400, "An error occurred when parsing the HTTP request."),
    "BucketAlreadyOwnedByYou": (409, "Your previous request to create the named bucket succeeded and you already own it."),
    "EntityTooLarge": (400, "Your proposed upload exceeds the maximum allowed size"),
    "EntityTooSmall": (400, "Your proposed upload is smaller than the minimum allowed size"),
    "IncompleteBody": (400, "You did not provide the number of bytes specified by the Content-Length HTTP header."),
    "InsufficientStorage": (507, "There is no space left for this write."),
    "InternalError": (500, "We encountered an internal error. Please try again."),
    "InvalidAccessKeyId": (403, "The AWS Access Key Id you provided does not exist in our records."),
    "InvalidArgument": (400, "Invalid Argument"),
    "InvalidBucketName": (400, "The specified bucket is not valid."),
    "InvalidDigest": (400, "The Content-MD5 you specified was invalid."),
    "InvalidLocationConstraint": (400, "The specified location-constraint is not valid"),
    "InvalidPart": (
        400,
        (
            "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may "
            "not match the part's entity tag."
        ),
    ),
    "InvalidPartNumber": (416, "The requested partnumber is not satisfiable"),
    "InvalidPartOrder": (
        400,
        "The list of parts was not in ascending order. The parts list must be specified in order by part number.",
    ),
    "InvalidRange": (416, "The requested range is not satisfiable"),
    "InvalidRedirectLocation": (
        400,
        "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.",
    ),
    "InvalidRequest": (400, "Invalid Request"),
    "InvalidStorageClass": (400, "The storage class you specified is not valid"),
    "InvalidToken": (400, "The provided token is malformed or otherwise invalid."),
    "InvalidURI": (400, "Couldn't parse the specified URI."),
    "KeyTooLongError": (400, "Your key is too long"),
    "MalformedTrailerError": (
        400,
        "The request contained trailing data that was not well-formed or did not conform to our published schema.",
    ),
    "MalformedXML": (400, "The XML you provided was not well-formed or did not validate against our published schema"),
    "MaxMessageLengthExceeded": (400, "Your request was too large."),
    "MetadataTooLarge": (400, "Your metadata headers exceed the maximum allowed metadata size"),
    "MethodNotAllowed": (405, "The specified method is not allowed against this resource."),
    "MissingContentLength": (411, "You must provide the Content-Length HTTP header."),
    "MissingSecurityHeader": (400, "Your request was missing a required header."),
    "NoSuchBucket": (404, "The specified bucket does not exist"),
    "NoSuchBucketPolicy": (404, "The bucket policy does not exist"),
    "NoSuchConfiguration": (404, "The specified configuration does not exist."),
    "NoSuchCORSConfiguration": (404, "The CORS configuration does not exist"),
    "NoSuchKey": (404, "The specified key does not exist."),
    "NoSuchLifecycleConfiguration": (404, "The lifecycle configuration does not exist"),
    "NoSuchPublicAccessBlockConfiguration": (404, "The public access block configuration was not found"),
    "NoSuchTagSet": (404, "The TagSet does not exist"),
    "NoSuchUpload": (
        404,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.",
    ),
    "NoSuchVersion": (404, "The specified version does not exist."),
    "NoSuchWebsiteConfiguration": (404, "The specified bucket does not have a website configuration"),
    "NotImplemented": (501, "A header or query you provided requested a function that is not implemented."),
    "ObjectLockConfigurationNotFoundError": (404, "Object Lock configuration does not exist for this bucket"),
    "OperationAborted": (409, "A conflicting conditional operation is currently in progress against this resource. Try again."),
    "OwnershipControlsNotFoundError": (404, "The bucket ownership controls were not found"),
    "PreconditionFailed": (412, "At least one of the pre-conditions you specified did not hold"),
    "ReplicationConfigurationNotFoundError": (404, "The replication configuration was not found"),
    "RequestHeaderSectionTooLarge": (400, "Your request header section exceeds the maximum allowed size."),
    "RequestTimeTooSkewed": (403, "The difference between the request time and the current time is too large."),
    "RequestTimeout": (
        400,
        "Your socket connection to the server was not read from or written to within the timeout period. Idle connections will be closed.",
    ),
    "RequestURITooLong": (414, "The request URI is too long."),
    "ServerSideEncryptionConfigurationNotFoundError": (404, "The server side encryption configuration was not found"),
    "ServiceUnavailable": (503, "Service is unable to handle request."),
    "SignatureDoesNotMatch": (
        403,
        "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
    ),
    "SlowDown": (503, "Please reduce your request rate."),
    "XAmzContentSHA256Mismatch": (400, "The provided 'x-amz-content-sha256' header does not match what was computed."),
}
"""Code to HTTP status and the sentence that stands where no better one is given."""


class S3Error(Exception):
    """An answer to a client. `extra`: further elements of the error document; `headers`: further response headers (lower-case)."""

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        extra: Mapping[str, str] = _NOTHING,
        headers: Mapping[str, str] = _NOTHING,
    ) -> None:
        status, sentence = CODES[code]
        self.code, self.status, self.message = code, status, message or sentence
        self.extra, self.headers = extra, headers
        super().__init__(f"{code}: {self.message}")


def invalid_argument(name: str, value: str, message: str) -> S3Error:
    """InvalidArgument with the two elements in which S3 names the culprit."""
    return S3Error("InvalidArgument", message, extra={"ArgumentName": name, "ArgumentValue": value})


def header_not_implemented(name: str) -> S3Error:
    """501 for a header whose promise nobody here would keep: ignoring it would be worse."""
    return S3Error("NotImplemented", "A header you provided implies functionality that is not implemented", extra={"Header": name})


def to_s3_error(error: Exception) -> S3Error:
    """What a client is told of `error`. An exception that is none of ours is InternalError, and tells nothing of itself."""
    if isinstance(error, S3Error):
        return error
    for kind in type(error).__mro__:
        row = DOMAIN_ERRORS.get(kind)
        if row is not None:
            return row(error)
    return S3Error("InternalError")


# --- the domain's errors as S3's -----------------------------------------------------------------------------------

Row = Callable[..., S3Error]


def _plain(code: str, headers: Mapping[str, str] = _NOTHING) -> Row:
    """S3's own sentence: for errors whose own words are for the log (they name backends or statements)."""
    return lambda _: S3Error(code, headers=headers)


def _verbatim(code: str, headers: Mapping[str, str] = _NOTHING) -> Row:
    """The error's own words: they say which limit was hit."""
    return lambda error: S3Error(code, str(error), headers=headers)


def _range_not_satisfiable(error: domain.RangeNotSatisfiable) -> S3Error:
    return S3Error(
        "InvalidRange",
        extra={"ActualObjectSize": str(error.size_bytes)},
        headers={"content-range": f"bytes */{error.size_bytes}"},
    )


def _part_not_satisfiable(error: domain.PartNotSatisfiable) -> S3Error:
    return S3Error("InvalidPartNumber", extra={"PartNumberRequested": str(error.part_number), "ActualPartCount": str(error.parts_count)})


def _part_too_small(error: domain.PartTooSmall) -> S3Error:
    return S3Error(
        "EntityTooSmall",
        extra={
            "ProposedSize": str(error.size_bytes),
            "MinSizeAllowed": str(error.minimum_bytes),
            "PartNumber": str(error.part_number),
        },
    )


def _bad_digest(error: domain.BadDigest) -> S3Error:
    if error.name.lower() == "content-md5":
        return S3Error("BadDigest", "The Content-MD5 you specified did not match what we received.")
    algorithm = error.name.lower().removeprefix("x-amz-checksum-").upper()
    return S3Error("BadDigest", f"The {algorithm} you specified did not match the calculated checksum.")


DOMAIN_ERRORS: dict[type, Row] = {
    domain.DomainError: _plain("InternalError"),
    domain.NoSuchBucket: lambda error: S3Error("NoSuchBucket", extra={"BucketName": error.bucket}),
    domain.NoSuchKey: lambda error: S3Error("NoSuchKey", extra={"Key": error.key}),
    domain.NoSuchUpload: lambda error: S3Error("NoSuchUpload", extra={"UploadId": error.upload_id}),
    domain.PreconditionFailed: lambda error: S3Error("PreconditionFailed", extra={"Condition": error.condition}),
    domain.RangeNotSatisfiable: _range_not_satisfiable,
    domain.PartNotSatisfiable: _part_not_satisfiable,
    # The usual cause is a client that repeats a Complete whose answer it lost. 503 makes every SDK ask again, and then it finds
    # the object there; 409 OperationAborted, which AWS also knows, would end the upload as failed.
    domain.UploadBusy: _verbatim("SlowDown", _RETRY_SOON),
    domain.CompletedOtherwise: _verbatim("OperationAborted"),
    domain.InvalidPart: lambda error: S3Error("InvalidPart", extra={"PartNumber": str(error.part_number)}),
    domain.PartTooSmall: _part_too_small,
    domain.TooManyUploads: _verbatim("SlowDown", _RETRY_LATER),
    domain.BodyError: _verbatim("InvalidRequest"),
    domain.IncompleteBody: _plain("IncompleteBody"),
    domain.BadDigest: _bad_digest,
    domain.PayloadHashMismatch: _plain("XAmzContentSHA256Mismatch"),
    domain.ChunkSignatureMismatch: _plain("SignatureDoesNotMatch"),
    # What S3 says where the framing leads nowhere ("The request body terminated unexpectedly"); ours says where.
    domain.MalformedBody: _verbatim("IncompleteBody"),
    domain.MalformedTrailer: _plain("MalformedTrailerError"),
    domain.InvalidTrailer: _verbatim("InvalidRequest"),
    domain.DocumentTooLong: lambda error: S3Error("MaxMessageLengthExceeded", extra={"MaxMessageLengthBytes": str(error.limit_bytes)}),
    domain.ClientTimeout: _plain("RequestTimeout"),
    domain.ClientDisconnected: _plain("IncompleteBody"),  # Nobody is there to read it; it stands in the log.
    # 507 is no status that SDKs repeat on, rightly: space does not come back within seconds.
    domain.NoSpace: _verbatim("InsufficientStorage"),
    domain.NoBackends: _verbatim("InsufficientStorage"),
    domain.NoBackendAccepts: _verbatim("InsufficientStorage"),
    domain.BackendFenced: _verbatim("InsufficientStorage"),
    domain.ObjectTooLarge: _verbatim("InsufficientStorage"),
    domain.QuotaExceeded: _verbatim("InsufficientStorage"),
    # Whatever a backend said is ours to look into, not the client's: it may repeat, and SDKs do on 503.
    domain.BackendError: _plain("ServiceUnavailable", _RETRY_LATER),
    domain.BackendNotFound: _plain("ServiceUnavailable", _RETRY_LATER),
    domain.BackendRejected: _plain("ServiceUnavailable", _RETRY_LATER),
    domain.BackendUnavailable: _plain("ServiceUnavailable", _RETRY_LATER),
    domain.BackendTimeout: _plain("ServiceUnavailable", _RETRY_LATER),
    domain.BytesDiffer: _plain("ServiceUnavailable", _RETRY_LATER),
    domain.BackendThrottled: _plain("SlowDown", _RETRY_LATER),
    domain.NoCopyReadable: _plain("ServiceUnavailable", _RETRY_LATER),
    domain.AllBackendsFailed: _plain("ServiceUnavailable", _RETRY_LATER),
    domain.MetadataError: _plain("ServiceUnavailable", _RETRY_LATER),
    domain.MetadataUnavailable: _plain("ServiceUnavailable", _RETRY_LATER),
    domain.DatabaseReplaced: lambda _: S3Error("ServiceUnavailable", _REPLACED, headers=_RETRY_LATER),
    domain.OutcomeUnknown: _plain("ServiceUnavailable", _RETRY_LATER),
    domain.WriteLost: _plain("ServiceUnavailable", _RETRY_SOON),
    domain.SchemaTooNew: _plain("ServiceUnavailable", _RETRY_LATER),
    domain.Overloaded: _plain("SlowDown", _RETRY_SOON),
    # No request of S3 raises these: the admin API has words of its own for them.
    domain.NoSuchOperation: _plain("InternalError"),
    domain.NoSuchBackend: _plain("InternalError"),
    domain.BackendConfigured: _plain("InternalError"),
    domain.OperationConflict: _plain("InternalError"),
    domain.BackendInUse: _plain("InternalError"),
}
"""Every error of the domain has its row; one without would be an InternalError by accident."""
