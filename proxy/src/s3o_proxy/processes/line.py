"""One end of the line between the parent and a member, a socket pair: either asks, the other answers, a JSON document on a line each."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

log = logging.getLogger(__name__)

_LONGEST_BYTES = 2**30
"""The configuration may have sixteen megabytes, and there may be 64 members that say theirs at once. A longer line ends a member."""

Answer = Callable[[str], Awaitable[Any]]
"""What to answer a question with: anything that JSON can hold."""


class Silent(OSError):
    """The other end is gone, or did not answer in time, or could not."""


class Line:
    """It lasts until `close`, or until the other end is gone: then `when_gone` is called."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer, when_gone: Callable[[], None]) -> None:
        self._reader, self._writer, self._answer, self._when_gone = reader, writer, answer, when_gone
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._count, self._ended = 0, False
        self._listening = asyncio.get_running_loop().create_task(self._listen())

    @classmethod
    async def over(cls, end: socket.socket, answer: Answer, when_gone: Callable[[], None] = lambda: None) -> Line:
        reader, writer = await asyncio.open_unix_connection(sock=end, limit=_LONGEST_BYTES)
        return cls(reader, writer, answer, when_gone)

    async def close(self) -> None:
        self._listening.cancel()
        await asyncio.wait({self._listening})

    async def until_gone(self) -> None:
        """Returns when all that the other end said is heard, and it is gone."""
        await asyncio.wait({self._listening})

    async def ask(self, question: str, timeout_s: float) -> Any:
        """Raises Silent."""
        if self._ended:
            raise Silent("the other end is gone")
        self._count += 1
        number, answered = self._count, asyncio.get_running_loop().create_future()
        self._asked[number] = answered
        try:
            self._send({"question": question, "number": number})
            async with asyncio.timeout(timeout_s):
                return await answered
        except TimeoutError:
            raise Silent(f"no answer within {timeout_s:g} s") from None
        finally:
            del self._asked[number]

    async def _listen(self) -> None:
        try:
            while line := await self._reader.readline():
                self._take(orjson.loads(line))
        except ConnectionError:
            pass  # As good as its end.
        finally:
            self._end()
            self._when_gone()

    def _end(self) -> None:
        self._ended = True
        for answered in self._asked.values():
            if not answered.done():
                answered.set_exception(Silent("the other end is gone"))
        for task in self._answering:
            task.cancel()
        self._writer.close()

    def _take(self, message: dict[str, Any]) -> None:
        number = message["number"]
        if "question" in message:
            task = asyncio.get_running_loop().create_task(self._reply(message["question"], number))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
            return
        answered = self._asked.get(number)
        if answered is None or answered.done():
            return  # Nobody waits for it any more.
        if "answer" in message:
            answered.set_result(message["answer"])
        else:
            answered.set_exception(Silent(message["failure"]))

    async def _reply(self, question: str, number: int) -> None:
        try:
            self._send({"answer": await self._answer(question), "number": number})
        except Exception as error:
            log.exception("the question %s was not answered", question)
            self._send({"failure": type(error).__name__, "number": number})

    def _send(self, message: dict[str, Any]) -> None:
        if not self._writer.is_closing():
            self._writer.write(orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE))
