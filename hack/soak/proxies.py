"""Proxies that are killed: processes of `s3o run` over one configuration, each on a port that stays its own, and who kills them."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from hack.bench.processes import CannotRunError, tail
from hack.ports import free_port
from hack.soak.tally import Tally

_READY_TIMEOUT_S = 120.0
_PERIOD_S = 0.05
_SAME_VICTIM = 25
_BOTH_SHARE = 0.04
_UNREADY_SHARE = 0.1
_LONGEST_PAUSE_S = 0.2


class Proxy:
    """One `s3o run`. It is ended by its pid, whatever state it is in."""

    def __init__(self, number: int, directory: Path, config: Path) -> None:
        self.port = free_port()
        self.log = directory / f"proxy-{number}.log"
        self.starts_s: list[float] = []
        """How long each start took, until it was ready."""
        self._directory, self._config = directory, config
        self._process: subprocess.Popen[bytes] | None = None
        self._ready: asyncio.Task[None] | None = None

    def start(self) -> None:
        program = Path(sys.executable).with_name("s3o")
        command = [str(program), "run", str(self._config), "--listen", f"127.0.0.1:{self.port}"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self._directory, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        self._ready = asyncio.create_task(self._until_ready(self._process))

    async def ready(self) -> None:
        """Returns when it says so. Raises CannotRunError when it ended instead, or takes too long."""
        assert self._ready is not None, "it was never started"
        await self._ready

    async def kill(self) -> None:
        """SIGKILL, as a crash would. Raises CannotRunError when it had ended by itself."""
        assert self._process is not None, "it was never started"
        if self._process.poll() is not None:
            raise CannotRunError(f"a proxy ended by itself with code {self._process.returncode}; the end of its log:\n{tail(self.log)}")
        self._process.kill()
        self._process.wait()
        await self._forget()

    async def end(self) -> None:
        """Whatever state it is in, it is gone afterwards."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        await self._forget()

    async def _forget(self) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.cancel()
            await asyncio.wait([self._ready])

    async def _until_ready(self, started: subprocess.Popen[bytes]) -> None:
        began_s = time.monotonic()
        while not await _says_ready(self.port):
            late = time.monotonic() - began_s > _READY_TIMEOUT_S
            if started.poll() is not None or late:
                state = "is not ready" if late else f"ended with code {started.returncode}"
                raise CannotRunError(f"a proxy {state}; the end of its log:\n{tail(self.log)}")
            await asyncio.sleep(_PERIOD_S)
        self.starts_s.append(time.monotonic() - began_s)


class Killer:
    """Kills at random moments, about evenly over all operations.

    One proxy is the victim for a while, then another: who clears up after the dead must itself have lived for as long as their leases, and
    with everybody dying all the time nobody would. Now and then both die at once, and now and then one that is only starting.
    """

    def __init__(self, proxies: Sequence[Proxy], kills: int, seed: int, tally: Tally) -> None:
        self.done = 0
        self._proxies, self._kills, self._tally = proxies, kills, tally
        self._same_victim = max(1, min(_SAME_VICTIM, kills // 4))
        tally.killing = kills > 0
        self._chance = random.Random(f"{seed}/kills")

    async def run(self) -> None:
        """Returns when all are done, and everybody is ready again. Raises CannotRunError."""
        each = self._tally.operations / max(1, self._kills)
        while self.done < self._kills:
            await self._tally.reached(int((self.done + self._chance.random()) * each))
            await asyncio.sleep(self._chance.uniform(0, _LONGEST_PAUSE_S))
            if not self._tally.killing:
                break
            for victim in self._victims():
                if self._chance.random() >= _UNREADY_SHARE:
                    await victim.ready()
                await victim.kill()
                victim.start()
                self.done += 1
        for proxy in self._proxies:
            await proxy.ready()
        self._tally.killing = False

    def _victims(self) -> list[Proxy]:
        if self._chance.random() < _BOTH_SHARE and self._kills - self.done >= len(self._proxies):
            return list(self._proxies)
        return [self._proxies[self.done // self._same_victim % len(self._proxies)]]


async def _says_ready(port: int) -> bool:
    try:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
