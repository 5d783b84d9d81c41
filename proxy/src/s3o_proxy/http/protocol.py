"""A connection: bytes of the socket → requests, one after the other, under limits of size and time.

uvicorn hosts it (`http=`), llhttp parses. While a request is being answered nothing behind it is parsed, nor while answers wait for a
client that does not take them: so a client that pipelines is answered in order, and cannot fill the memory. At any moment a connection
waits for one thing, and `_deadline` says how long.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import NoReturn, Protocol, cast

import httptools
from uvicorn.server import ServerState

from s3o_crds.compiled import ServerConfig
from s3o_proxy.domain.errors import ClientTimeout, MalformedBody
from s3o_proxy.http.deadline import Deadline
from s3o_proxy.http.exchange import HIGH_WATER_BYTES, PIECE_BYTES, Exchange
from s3o_proxy.http.head import HEAD_LIMIT_BYTES, URL_LIMIT_BYTES, Head, read_head
from s3o_proxy.http.incoming import Incoming
from s3o_proxy.http.outgoing import Outgoing
from s3o_proxy.s3.errors import S3Error
from s3o_proxy.sockets.pipe import Pipe

logger = logging.getLogger(__name__)

_HEAD_SLICE_BYTES = 8 * 1024
"""What is parsed at once where a head may end in it: this much of a pipeline is looked ahead, and no more."""

_CHUNKED_SLICE_BYTES = 64 * 1024
_BYPASS_BYTES = 64 * 1024
"""A body of known length with more than this to come goes around the parser, which would only copy it."""

_DRAIN_MS = 5_000
_LINGER_MS = 10_000
_LINGER_BYTES = 64 * 1024 * 1024
"""After an early answer that closes, the rest of a body is thrown away this long: closing at once would reset the connection, and the
client would lose the answer. nginx calls it lingering_close."""


class Edge(Protocol):
    """What a connection needs of the endpoint behind it."""

    def limits(self) -> ServerConfig: ...

    async def serve(self, exchange: Exchange) -> None:
        """Answer it, whatever happens; an exchange without an answer loses its connection."""
        ...


class S3Protocol(asyncio.Protocol):
    """`edge` is bound by a subclass: uvicorn makes one instance for each connection."""

    edge: Edge

    def __init__(self, *, server_state: ServerState, _loop: asyncio.AbstractEventLoop | None = None, **_: object) -> None:
        self._loop = _loop or asyncio.get_running_loop()
        self._server_state = server_state
        self._deadline = Deadline(self._loop)
        self.transport: asyncio.Transport
        self._peer, self._secure = "", False
        self._parser = httptools.HttpRequestParser(self)
        self._url, self._headers = b"", list[tuple[bytes, bytes]]()
        self._fruitless_bytes = 0
        """Parsed since anything came of it: of a head, or of chunk sizes and trailers. The parser keeps a line until its end."""
        self._in_head = False
        self._unparsed = b""
        self._queue = deque[Exchange]()
        """The first is being answered, the last may still be receiving its body."""
        self._receiving: Exchange | None = None
        self._bypassing = False
        self._deaf = False
        """Nothing more is parsed: the client said that this was its last request, or what it sends is no HTTP."""
        self._told_to_stop = False
        self._stopping = False
        self._linger_bytes: int | None = None
        self._task: asyncio.Task[None] | None = None

    # --- the connection ----------------------------------------------------------------------------------------------------------

    def connection_made(self, base: asyncio.BaseTransport) -> None:
        self.transport = transport = cast("asyncio.Transport", base)  # uvloop's have all of its methods and are no subclass.
        self._incoming = Incoming(transport, self.data_received)
        self._outgoing = Outgoing(transport, self._deadline, lambda: self.edge.limits().stall_timeout_ms)
        peer = transport.get_extra_info("peername")
        self._peer = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else ""
        self._secure = transport.get_extra_info("sslcontext") is not None
        self._server_state.connections.add(self)  # type: ignore[arg-type]  # uvicorn names only its own; it calls shutdown() and no more
        self._wait_for_request()

    def connection_lost(self, _: Exception | None) -> None:
        self._server_state.connections.discard(self)
        self._deadline.close()
        self._incoming.close()
        self._unparsed, self._deaf = b"", True
        if not self._queue:
            return
        exchange = self._queue[0]
        waits = exchange.is_waiting or self._outgoing.is_waiting
        exchange.lose()
        self._outgoing.lose()
        # Who waits for the client hears that it is gone; who waits for something else is cancelled.
        if not waits and not exchange.done and self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        if self._linger_bytes is not None:
            self._linger_bytes -= len(data)
            if self._linger_bytes < 0:
                self.transport.abort()
        elif not self._deaf or self._receiving is not None:
            self._unparsed = self._unparsed + data if self._unparsed else data
            self._parse()

    def eof_received(self) -> bool:
        # Half a connection is of no use to an S3 client: it went away. What is already written is still sent, if it is taken.
        self._outgoing.watch()
        return False

    def shutdown(self) -> None:
        """The server stops: end now if nothing is asked, else after the answer."""
        self._stopping = True
        if (not self._queue and not self._in_head) or self._linger_bytes is not None:
            self._close()

    # --- parsing -----------------------------------------------------------------------------------------------------------------

    def _parse(self) -> None:
        """Feed the parser what may be parsed now; leave the socket alone while anything has to wait."""
        data, position = self._unparsed, 0
        while position < len(data) and self._may_parse():
            end = min(position + self._slice_bytes(), len(data))
            position = self._feed(data, position, end)
            self._retire_finished()
        self._unparsed = data[position:] if not self._deaf or self._receiving is not None else b""
        self._set_reading()

    def _may_parse(self) -> bool:
        if self._receiving is not None:
            return self._receiving is self._queue[0] and self._receiving.buffered_bytes < HIGH_WATER_BYTES
        return not self._queue and not self._deaf and not self._outgoing.is_full

    def _slice_bytes(self) -> int:
        if self._receiving is None:
            return _HEAD_SLICE_BYTES
        left = self._receiving.left_bytes
        return _CHUNKED_SLICE_BYTES if left is None else min(left, PIECE_BYTES)

    def _feed(self, data: bytes, start: int, end: int) -> int:
        """Returns where the parser stopped."""
        if self._bypassing:
            self._feed_around(data[start:end])
            return end
        self._fruitless_bytes += end - start
        try:
            self._parser.feed_data(memoryview(data)[start:end])
        except httptools.HttpParserUpgrade as stop:
            return start + int(stop.args[0])  # An upgrade is not accepted: what follows is the next request.
        except httptools.HttpParserError as error:
            self._parser_failed(error)
            return end
        if self._receiving is not None:
            self._bypassing = (self._receiving.left_bytes or 0) > _BYPASS_BYTES
        if self._fruitless_bytes >= HEAD_LIMIT_BYTES and (self._in_head or self._receiving is not None):
            self._refuse(S3Error("RequestHeaderSectionTooLarge"))
        return end

    def _feed_around(self, piece: bytes) -> None:
        exchange = self._receiving
        assert exchange is not None  # noqa: S101  # only a body is fed around the parser
        exchange.feed(piece)
        if exchange.left_bytes == 0:
            self._bypassing = False
            self._parser = httptools.HttpRequestParser(self)  # The old one still waits for the bytes that it did not see.
            self.on_message_complete()

    def _set_reading(self) -> None:
        receiving = self._receiving
        full = receiving is not None and receiving.buffered_bytes >= HIGH_WATER_BYTES
        left = receiving.left_bytes if receiving is not None and self._bypassing else 0
        self._incoming.set(reads=not self._unparsed and not full, left_bytes=left or 0)

    # --- parser callbacks --------------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._deaf:
            self._stop_parsing()
        self._url, self._headers, self._fruitless_bytes, self._in_head = b"", [], 0, True
        if not self._queue:
            self._deadline.set(self.edge.limits().header_timeout_ms, self._head_is_late)

    def on_url(self, url: bytes) -> None:
        self._url += url
        if len(self._url) > URL_LIMIT_BYTES:
            self._refuse(S3Error("RequestURITooLong"))
            self._stop_parsing()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # Else it is a trailer of the transfer coding: no part of the head, and nobody's business (RFC 9110 §6.5.1).
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        parser = self._parser
        head, refusal = read_head(
            parser.get_method().decode("ascii"),
            self._url,
            self._headers,
            parser.get_http_version(),
            keep_alive=parser.should_keep_alive(),
            upgrade=parser.should_upgrade(),
        )
        self._in_head = False
        # Bytes are counted by slices, and the first one not at all: how they were cut on the way must not tell whether a head is too large.
        if self._fruitless_bytes >= HEAD_LIMIT_BYTES - _HEAD_SLICE_BYTES and head.size_bytes > HEAD_LIMIT_BYTES:
            refusal = refusal or S3Error("RequestHeaderSectionTooLarge")
        if refusal is not None:
            self._enqueue_refused(head, refusal)
            self._stop_parsing()
        self._receiving = self._enqueue(head)

    def on_body(self, piece: bytes) -> None:
        self._fruitless_bytes = 0
        if self._receiving is not None:
            self._receiving.feed(piece)

    def on_message_complete(self) -> None:
        if self._receiving is not None:
            self._deaf = self._deaf or not self._receiving.head.keep_alive
            self._receiving.feed_end()
            self._receiving = None

    # --- what cannot be served ---------------------------------------------------------------------------------------------------

    def _parser_failed(self, error: httptools.HttpParserError) -> None:
        if isinstance(error, httptools.HttpParserCallbackError) and not self._told_to_stop:
            logger.error("a parser callback failed", exc_info=error)
            self.transport.abort()
        elif not self._deaf:
            self._refuse(S3Error("BadRequest", f"An error occurred when parsing the HTTP request: {error}."))

    def _refuse(self, error: S3Error) -> None:
        """Answer `error` when it is its turn, and nothing after it."""
        if self._receiving is not None:
            self._deaf = True
            self._receiving.fail_body(MalformedBody("the transfer coding of the body is broken"))
            if self._receiving.done:
                self._close()
            self._receiving = None
        else:
            method = self._parser.get_method().decode("ascii") if self._url else ""
            self._in_head = False
            self._enqueue_refused(Head(method, self._url or b"/", self._headers), error)

    def _stop_parsing(self) -> NoReturn:
        # Not to be told from the parser's error: that one's context is whatever is being handled while the next request is parsed.
        self._told_to_stop = True
        raise _StopParsing

    def _enqueue_refused(self, head: Head, error: S3Error) -> None:
        self._deaf = True
        head.keep_alive = False
        self._enqueue(head, error).fail_body(MalformedBody(error.message))

    def _head_is_late(self) -> None:
        if self._in_head and not self._deaf:
            self._refuse(S3Error("RequestTimeout"))

    # --- one request after the other ---------------------------------------------------------------------------------------------

    def _enqueue(self, head: Head, refusal: S3Error | None = None) -> Exchange:
        head.peer, head.secure = self._peer, self._secure
        exchange = Exchange(self, head, time.perf_counter(), refusal)
        self._queue.append(exchange)
        if len(self._queue) == 1:
            self._start(exchange)
        return exchange

    def _start(self, exchange: Exchange) -> None:
        self._deadline.clear()
        self._task = task = self._loop.create_task(self.edge.serve(exchange))
        self._server_state.tasks.add(task)
        task.add_done_callback(self._served)

    def _served(self, task: asyncio.Task[None]) -> None:
        self._server_state.tasks.discard(task)
        self._server_state.total_requests += 1
        failed = task.cancelled() or task.exception() is not None
        if failed and not task.cancelled():
            logger.error("a request was not answered", exc_info=task.exception())
        if task is self._task and self._queue and not self._queue[0].done:
            self.transport.abort()

    def answered(self, exchange: Exchange) -> None:
        if not exchange.keep_alive:
            self._close_after(exchange)
            return
        if not exchange.body_complete:
            self._deadline.set(_DRAIN_MS, self.transport.abort)
        self._retire_finished()
        self._parse()

    def _retire_finished(self) -> None:
        if not self._queue or not self._queue[0].done or not self._queue[0].body_complete or not self._queue[0].keep_alive:
            return
        self._queue.popleft()
        self._task = None
        if self._queue:
            self._start(self._queue[0])
        elif self._stopping and not self._in_head:
            self._close()
        else:
            self._wait_for_request()

    def _wait_for_request(self) -> None:
        limits = self.edge.limits()
        if self._outgoing.is_full:
            self._outgoing.watch()  # It is the client's turn to take, not to ask.
        elif self._in_head:
            self._deadline.set(limits.header_timeout_ms, self._head_is_late)
        else:
            self._deadline.set(limits.idle_timeout_ms, self._close)

    # --- ending it ---------------------------------------------------------------------------------------------------------------

    def _close_after(self, exchange: Exchange) -> None:
        if exchange.body_complete or self._stopping:
            self._close()
            return
        self._linger_bytes, self._unparsed = _LINGER_BYTES, b""
        self._receiving = None
        self._set_reading()
        self._deadline.set(_LINGER_MS, self.transport.abort)

    def _close(self) -> None:
        """Send what is written, then end. Somebody who does not take it is not waited for."""
        self._deaf, self._unparsed = True, b""
        end = self._outgoing.end_when_taken if self._stopping else self._outgoing.end
        end(goodbye=self._secure)

    def abort(self) -> None:
        self.transport.abort()

    # --- what an exchange asks for -----------------------------------------------------------------------------------------------

    @property
    def closing(self) -> bool:
        return self._stopping or (self._deaf and len(self._queue) == 1)

    def wait_for_bytes(self) -> None:
        self._deadline.set(self.edge.limits().stall_timeout_ms, self._body_stalled)

    def _body_stalled(self) -> None:
        # The limit of an earlier wait is not taken back when bytes come: it passes here without effect.
        if self._queue and self._queue[0].is_waiting:
            self._queue[0].fail_body(ClientTimeout("the client stopped sending its body"))

    def room_for_bytes(self) -> None:
        if not self.transport.is_closing():
            self._parse()

    def write(self, *pieces: bytes) -> None:
        self._outgoing.write(*pieces)

    async def drain(self) -> None:
        await self._outgoing.drain()

    def takes(self, pipe: Pipe) -> bool:
        return pipe.ends_at(self.transport) is not None

    async def write_from(self, pipe: Pipe) -> None:
        await self._outgoing.write_from(pipe)

    def pause_writing(self) -> None:
        self._outgoing.pause()

    def resume_writing(self) -> None:
        self._outgoing.resume()
        if not self._queue and not self.transport.is_closing():
            self._wait_for_request()
            self._parse()


class _StopParsing(Exception):
    """Raised in a parser callback: what is to be answered stands in the queue already."""
