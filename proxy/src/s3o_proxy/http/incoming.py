"""The receiving side of a connection: by its transport, or, while much of a body is to come, from the socket itself.

A transport reads into a buffer of its own, several times in a row, and hands on copies: a tenth of what a large body costs. What is read
here is read once, into the bytes that are handed on, and while they are still in the processor's cache.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from s3o_proxy.http.exchange import PIECE_BYTES
from s3o_proxy.sockets.watch import Watch

WORTH_BYTES = 1024 * 1024
"""With less to come, a watch of the socket costs more than it saves."""


class Incoming:
    """`receive` takes what was read, whichever way; it reads from the beginning."""

    def __init__(self, transport: asyncio.Transport, receive: Callable[[bytes], None]) -> None:
        self._transport, self._receive = transport, receive
        self._transport_reads = True
        self._watch: Watch | None = None
        """While the socket is read, or paused, and the transport is deaf."""
        self._may_read = True

    def set(self, *, reads: bool, left_bytes: int) -> None:
        """`left_bytes`: of a body, what is still to come as it is."""
        if self._transport.is_closing():
            return
        if self._watch is None and left_bytes >= WORTH_BYTES and self._may_read:
            self._watch = Watch.of(self._transport, self._read)
            self._may_read = self._watch is not None
        elif not left_bytes:
            self.close()
        self._let_transport_read(reads=reads and self._watch is None)
        if self._watch is not None:
            self._watch.set(on=reads)

    def close(self) -> None:
        """Ends the watch of the socket; it costs a descriptor."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _let_transport_read(self, *, reads: bool) -> None:
        if reads == self._transport_reads:
            return
        self._transport_reads = reads
        if reads:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _read(self) -> None:
        if self._watch is None or self._transport.is_closing():
            self.close()
            return
        try:
            data = self._watch.read(PIECE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._receive(data)
            return
        # An end, or a failure: the transport meets it as well, and what it means is said in one place.
        self._may_read = False
        self.close()
        self._let_transport_read(reads=True)
