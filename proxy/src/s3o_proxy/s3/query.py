"""A query string as S3 reads it: each parameter once, and those that only sign or label a request set aside."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from s3o_proxy.s3.errors import S3Error, invalid_argument
from s3o_proxy.s3.headers import is_header_name
from s3o_proxy.s3.request import RequestFacts

_SIGNING = frozenset(
    {
        "x-amz-algorithm",
        "x-amz-credential",
        "x-amz-date",
        "x-amz-expires",
        "x-amz-signedheaders",
        "x-amz-signature",
        "x-amz-security-token",
    }
)
_SIGNING_V2 = frozenset({"AWSAccessKeyId", "Signature", "Expires"})
_HEADERS_V2 = frozenset({"content-type", "content-md5"})
"""What a SigV2 presigner moves into the query beside x-amz-*, written as it writes it: of another spelling nothing is signed."""

_CHECKSUM = re.compile("x-amz-checksum-(?!algorithm$|type$|mode$).*|x-amz-sdk-checksum-algorithm")
"""Presigners of JavaScript promise a checksum when they have no body yet: that of nothing. S3 pays no heed to one in the query."""

_LARGEST = 2**31 - 1


def parse_query(raw_query: bytes) -> dict[str, str]:
    """Name → value, decoded; `+` is a space. Raises InvalidArgument for a parameter given twice, InvalidURI for what is not UTF-8."""
    parameters: dict[str, str] = {}
    if not raw_query:
        return parameters
    for piece in raw_query.split(b"&"):
        if not piece:
            continue
        name, _, value = piece.partition(b"=")
        decoded_name, decoded_value = _decode(name), _decode(value)
        if decoded_name in parameters:
            # Which one counts differs from server to server: a request that means two things is refused.
            raise invalid_argument(decoded_name, decoded_value, f"The parameter {decoded_name} is given more than once")
        parameters[decoded_name] = decoded_value
    return parameters


def is_presigned(parameters: Mapping[str, str]) -> bool:
    return "X-Amz-Signature" in parameters or ("Signature" in parameters and "AWSAccessKeyId" in parameters)


def split_query(facts: RequestFacts) -> tuple[dict[str, str], Mapping[str, str]]:
    """The parameters that name what is asked, and the headers with those that a presigner moved into the query.

    Presigners (JS, Java, SigV2 in botocore) turn `x-amz-*` headers into parameters; S3 takes them as headers. A header that was also
    sent as one counts as it was sent: it had to be signed too, or (x-amz-content-sha256) to say the same.

    Raises InvalidArgument for a name that no header can have: encoded line breaks would write headers of our answers.
    """
    if not facts.raw_query:
        return {}, facts.headers
    parameters = parse_query(facts.raw_query)
    parameters.pop("x-id", None)
    if not is_presigned(parameters):
        return parameters, facts.headers
    version_2 = "X-Amz-Signature" not in parameters
    moved: dict[str, str] = {}
    for name in list(parameters):
        lower = name.lower()
        if lower in _SIGNING or _CHECKSUM.fullmatch(lower) or (version_2 and name in _SIGNING_V2):
            del parameters[name]
        elif lower.startswith("x-amz-") or (version_2 and name in _HEADERS_V2):
            if not is_header_name(name):
                raise invalid_argument("header name", name, "The parameter's name is no name of a header")
            if lower in moved:
                raise invalid_argument(name, parameters[name], f"The parameter {lower} is given more than once")
            # As a header's value would have come: its bytes as latin-1.
            moved[lower] = parameters.pop(name).encode().decode("latin-1")
    return parameters, {**moved, **facts.headers} if moved else facts.headers


def effective_headers(facts: RequestFacts) -> Mapping[str, str]:
    """The request's headers, with those that a presigner moved into the query."""
    return split_query(facts)[1] if b"Signature=" in facts.raw_query else facts.headers


def integer_parameter(parameters: Mapping[str, str], name: str, default: int, *, message: str = "") -> int:
    """A count between 0 and 2³¹-1. Raises InvalidArgument."""
    text = parameters.get(name)
    if text is None or text == "":
        return default
    if text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= _LARGEST:
        return int(text)
    raise invalid_argument(name, text, message or f"Argument {name} must be an integer between 0 and {_LARGEST}")


def part_number_parameter(parameters: Mapping[str, str]) -> int:
    """partNumber, 1 to 10000. Raises InvalidArgument."""
    text = parameters["partNumber"]
    if text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 10_000:
        return int(text)
    raise invalid_argument("partNumber", text, "Part number must be an integer between 1 and 10000, inclusive")


def wants_url_encoding(parameters: Mapping[str, str]) -> bool:
    """encoding-type=url. Raises InvalidArgument for another one."""
    text = parameters.get("encoding-type", "")
    if text.lower() not in ("", "url"):
        raise invalid_argument("encoding-type", text, "Invalid Encoding Method specified in Request")
    return bool(text)


def _decode(piece: bytes) -> str:
    try:
        text = unquote_to_bytes(piece.replace(b"+", b" ")).decode("utf-8")
    except UnicodeDecodeError:
        raise S3Error("InvalidURI") from None
    if "\0" in text:
        raise S3Error("InvalidURI")
    return text
