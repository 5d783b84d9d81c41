"""The parent: listens, starts the members, starts a dead one again, and passes on what one of them asks of all."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import tempfile
from collections.abc import Callable, Sequence
from typing import IO, Any

from s3o_proxy.processes.line import Line, Silent
from s3o_proxy.processes.member import JOIN, METRICS, PATIENCE_S
from s3o_proxy.processes.place import Place
from s3o_proxy.processes.tally import Tally, slots_bytes
from s3o_proxy.telemetry.logs import start_logs
from s3o_proxy.telemetry.merge import Dump, added, dump, merged, only_growing
from s3o_proxy.telemetry.metrics import restarted
from s3o_proxy.telemetry.outlet import Outlet
from s3o_proxy.telemetry.stream import StandardError

log = logging.getLogger(__name__)

_AT_ONCE_S = 10.0
_MOST_AT_ONCE = 5
_FIRST_PAUSE_S = 0.5


class GaveUp(OSError):
    """A member dies at once, again and again."""

    def __init__(self, number: int, code: int) -> None:
        super().__init__(
            f"process {number} ended with {code}, {_MOST_AT_ONCE} times in a row within {_AT_ONCE_S:g} s of its start; the log says why"
        )


def run_parent(command: Callable[[Place], Sequence[str]], processes: int, listener: socket.socket) -> int:
    """Keep `processes` members alive until SIGTERM or SIGINT; a second signal waits for nobody. Returns the exit code. Raises GaveUp.

    `command`: what starts a member at a place.
    """
    with tempfile.TemporaryFile() as shared, listener:
        shared.truncate(slots_bytes(processes))
        outlet = Outlet(StandardError(shared.fileno()))
        logs = start_logs(outlet)
        try:
            return asyncio.run(Parent(command, processes, listener, shared).run())
        finally:
            logs.stop()
            outlet.close()


class _Child:
    """A member's process as its parent sees it. `told`: the metrics that it told last."""

    def __init__(self, number: int, process: asyncio.subprocess.Process) -> None:
        self.number, self.process = number, process
        self.line: Line | None = None
        self.joined = False
        self.told: Dump = []


class Parent:
    def __init__(self, command: Callable[[Place], Sequence[str]], processes: int, listener: socket.socket, shared: IO[bytes]) -> None:
        self._command, self._processes, self._listener, self._shared = command, processes, listener, shared
        self._tally = Tally(shared.fileno(), 0)
        self._children: dict[int, _Child] = {}
        self._stopping = asyncio.Event()
        self._gone: Dump = []
        """What only grows, of members that are dead: a sum that fell would look as if all had begun anew."""

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for signalled in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signalled, self.stop)
        for number in range(self._processes):
            self._tally.absent(number)
        keepers = [loop.create_task(self._keep(number)) for number in range(self._processes)]
        await asyncio.wait(keepers, return_when=asyncio.FIRST_EXCEPTION)
        if not self._stopping.is_set():
            self.stop()
            await asyncio.wait(keepers)
        codes = [keeper.result() for keeper in keepers]
        return max(0 if code in {0, -signal.SIGTERM} else 1 for code in codes)

    def stop(self) -> None:
        """Every member ends as one alone would: at the first signal in peace, at the second at once."""
        self._stopping.set()
        # Theirs are open as long as they take connections; ours would let clients wait for nobody.
        self._listener.close()
        for child in self._children.values():
            if child.process.returncode is None:
                child.process.send_signal(signal.SIGTERM)

    # --- one member ------------------------------------------------------------------------------------------------------------------

    async def _keep(self, number: int) -> int:
        """Until we stop; returns the exit code. Raises GaveUp."""
        loop, at_once = asyncio.get_running_loop(), 0
        while True:
            began = loop.time()
            code = await self._live(number)
            if self._stopping.is_set():
                return code
            log.error("process %d ended with %d", number, code, extra={"number": number, "code": code})
            at_once = at_once + 1 if loop.time() - began < _AT_ONCE_S else 0
            if at_once == _MOST_AT_ONCE:
                raise GaveUp(number, code)
            if at_once and await self._stopped_within(_FIRST_PAUSE_S * 2 ** (at_once - 1)):
                return 0
            self._gone = added([self._gone, restarted()])

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._stopping.wait()
        except TimeoutError:
            return False

    async def _live(self, number: int) -> int:
        """From the start of a member to its end; returns its exit code."""
        ours, theirs = socket.socketpair()
        with theirs:
            place = Place(number, self._processes, self._listener.fileno(), theirs.fileno(), self._shared.fileno())
            # In a process group of its own: Ctrl-C in a terminal is for us, who pass it on, and would otherwise count twice.
            process = await asyncio.create_subprocess_exec(
                *self._command(place), pass_fds=place.descriptors, stdin=asyncio.subprocess.DEVNULL, process_group=0
            )
        child = self._children[number] = _Child(number, process)
        if self._stopping.is_set():
            process.send_signal(signal.SIGTERM)
        child.line = await Line.over(ours, lambda question: self._answer(child, question))
        code = await process.wait()
        await child.line.until_gone()
        self._tally.absent(number)
        del self._children[number]
        self._gone = added([self._gone, only_growing(child.told)])
        return code

    # --- what members ask ------------------------------------------------------------------------------------------------------------

    async def _answer(self, child: _Child, question: str) -> Any:
        if question == JOIN:
            child.joined = True
            return None
        heard = await self._ask_all(question)
        # Of one that died meanwhile the counts are with those of the dead already.
        answers = [heard.get(self._children.get(number)) for number in range(self._processes)]
        if question != METRICS:
            return {"answers": answers, "beside": None}
        # Made one here, where nobody's request waits for it: to the member that was asked all of theirs would be too long a line.
        dumps = [answer.pop("families") if answer else [] for answer in answers]
        own = dumps.pop(child.number)
        return {"answers": answers, "beside": dump(merged(own, [*dumps, self._beside(answers)]))}

    async def _ask_all(self, question: str) -> dict[_Child | None, Any]:
        heard: dict[_Child | None, Any] = {}

        async def ask(number: int, child: _Child, line: Line) -> None:
            try:
                heard[child] = answer = await line.ask(question, PATIENCE_S)
            except Silent as silence:
                log.warning("process %d was asked for its %s: %s", number, question, silence, extra={"number": number})
                return
            if question == METRICS:
                child.told = answer["families"]

        async with asyncio.TaskGroup() as group:
            for number, child in self._children.items():
                if child.joined and child.line is not None:
                    group.create_task(ask(number, child, child.line))
        return heard

    def _beside(self, answers: Sequence[Any]) -> Dump:
        """The counts of the dead, and what the silent told last."""
        silent = [only_growing(child.told) for number, child in self._children.items() if answers[number] is None]
        return added([self._gone, *silent])
