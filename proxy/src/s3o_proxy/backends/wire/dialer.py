"""Makes connections. Names are looked up for each, so a server that moved is found where it is now. Addresses are tried side by side."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import TypeVar

import aiohappyeyeballs

from s3o_proxy.backends.wire.address import Address
from s3o_proxy.backends.wire.failures import ConnectTimeoutError, NotConnectedError

_P = TypeVar("_P", bound=asyncio.Protocol)

_HEAD_START_S = 0.25
"""Of one address over the next (RFC 8305 §5)."""


class Dialer:
    """`tls`: for an address that is reached by it."""

    def __init__(self, address: Address, tls: ssl.SSLContext | None) -> None:
        self._host, self._port = address.host, address.port
        self._tls = tls if address.tls else None

    async def dial(self, protocol: Callable[[], _P]) -> _P:
        """Raises NotConnectedError."""
        loop = asyncio.get_running_loop()
        try:
            addresses = await look_up(self._host, self._port)
            reached = await aiohappyeyeballs.start_connection(addresses, happy_eyeballs_delay=_HEAD_START_S, interleave=1)
            name = self._host if self._tls else None
            _, made = await loop.create_connection(protocol, sock=reached, ssl=self._tls, server_hostname=name)
        except TimeoutError as error:  # The system's own, or that of a handshake.
            raise ConnectTimeoutError(_describe(error)) from error
        except OSError as error:
            raise NotConnectedError(_describe(error)) from error
        return made


async def look_up(host: str, port: int) -> Sequence[aiohappyeyeballs.AddrInfoType]:
    """Every address of `host`, those first that the system prefers. Raises OSError."""
    return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)


def _describe(error: OSError) -> str:
    return str(error) or type(error).__name__
