"""A request as it came over the wire, without its body: what routing and signatures are decided on."""

from __future__ import annotations

from collections.abc import Mapping

from s3o_proxy.domain.frozen import frozen


@frozen
class RequestFacts:
    """`raw_path` and `raw_query` are the wire's bytes, undecoded: signatures are computed over them.

    `headers`: lower-case name to value; values are latin-1 decoded, so that `.encode("latin-1")` gives the wire's bytes back; a repeated
    header is joined by "," alone, as SigV4 wants it. `host` is the authority the client asked (the Host header).
    """

    method: str
    raw_path: bytes
    raw_query: bytes
    headers: Mapping[str, str]
    host: str = ""


def wire_text(value: str) -> str:
    """A header's text: UTF-8 where its bytes are UTF-8 (what clients send), else latin-1 (what HTTP once meant)."""
    if value.isascii():
        return value
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return value
