"""Continuation tokens: where a listing goes on, opaque to clients, refused when it is none of ours."""

from __future__ import annotations

import base64
import binascii
import zlib

from s3o_proxy.s3.errors import invalid_argument

_VERSION = b"\x01"


def encode_token(last: str) -> str:
    """The token of a page that ended with key or prefix `last`."""
    payload = _VERSION + last.encode()
    return base64.urlsafe_b64encode(zlib.crc32(payload).to_bytes(4, "big") + payload).decode()


def decode_token(token: str) -> str:
    """The key or prefix behind `token`. Raises InvalidArgument for anything that `encode_token` did not make."""
    try:
        packed = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        checksum, payload = packed[:4], packed[4:]
        if payload[:1] != _VERSION or zlib.crc32(payload).to_bytes(4, "big") != checksum:
            raise ValueError(token)
        return payload[1:].decode("utf-8")
    except (UnicodeError, binascii.Error, ValueError):
        raise invalid_argument("continuation-token", token, "The continuation token provided is incorrect") from None
