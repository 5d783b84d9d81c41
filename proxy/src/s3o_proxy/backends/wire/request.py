"""The head of a request, signed, as bytes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from s3o_proxy.backends.transport import USER_AGENT
from s3o_proxy.backends.wire.address import Address
from s3o_proxy.backends.wire.signer import Signer

_NO_FIELD_VALUE = re.compile(r"[\0\r\n]")
"""RFC 9110 §5.5: anything that would end a header, and begin another."""


class RequestWriter:
    """For the objects of one bucket."""

    def __init__(self, address: Address, signer: Signer) -> None:
        self._address, self._signer = address, signer
        self._same = f"Host: {address.authority}\r\nUser-Agent: {USER_AGENT}\r\nAccept-Encoding: identity\r\n"

    def head(
        self,
        method: str,
        key: str,
        payload_hash: str,
        *,
        query: str = "",
        headers: Sequence[tuple[str, str]] = (),
        size_bytes: int | None = None,
    ) -> bytes:
        """`query`: its parameters sorted and encoded. `headers`: lower-case names, each once. `size_bytes`: of the body, if it has one.

        Raises ValueError for a header that is none.
        """
        path = self._address.path(key)
        signed = self._signer.sign(method, path, query, payload_hash, headers)
        asked = "".join([f"{name}: {value}\r\n" for name, value in headers])
        if headers and any(_NO_FIELD_VALUE.search(value) or _NO_FIELD_VALUE.search(name) for name, value in headers):
            raise ValueError("a header's value has a line break or a null in it")
        length = "" if size_bytes is None else f"Content-Length: {size_bytes}\r\n"
        target = f"{path}?{query}" if query else path
        return f"{method} {target} HTTP/1.1\r\n{self._same}{length}{asked}{signed}\r\n".encode()
