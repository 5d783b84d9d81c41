"""The operator's own parts in this process, without watches and without a Lease: it lists, works until nothing changes, and can be killed
at any write."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from kubernetes.aio import client, config
from tests.support.operators import IMAGE

from s3o_operator.__main__ import Process
from s3o_operator.kube.client import Kube
from s3o_operator.kube.errors import Invalid, KubeError
from s3o_operator.reconcile import Refused
from s3o_operator.startup import read_settings

_MOST_ROUNDS = 20


class Killed(Exception):
    """The process is no more: nothing that it had in mind happens."""


class Mortal:
    """The client's transport. It dies at write number `dies_at` (from 1), `after` the API server has carried it out, or before."""

    def __init__(self, api: client.ApiClient, dies_at: int = 0, *, after: bool = False) -> None:
        self._api = api
        self._dies_at = dies_at
        self._after = after
        self._is_dead = False
        self.died_at = ""
        self.dies_before: Callable[[str], bool] = lambda path: False
        """Before a write to what this holds of, it dies."""
        self.refused = ""
        """Writes to what ends so are refused, as an admission webhook does it."""
        self.most_in_flight = self._in_flight = 0
        self.writes: list[tuple[str, str, Any]] = []
        """Method, path and body of each that was sent."""

    async def param_serialize(self, *arguments: Any, **named: Any) -> Any:
        return await self._api.param_serialize(*arguments, **named)

    async def call_api(self, method: str, url: str, headers: Any, body: Any = None, **named: Any) -> Any:
        if self._is_dead:
            raise Killed
        path = url.partition("?")[0]
        if method == "GET" or path.endswith("accessreviews"):
            return await self._api.call_api(method, url, headers, body, **named)
        if self.refused and path.endswith(self.refused):
            raise Invalid(f"{method} {path}: injected")
        dies = len(self.writes) + 1 == self._dies_at
        if (dies and not self._after) or self.dies_before(path):
            self._die(f"{method} {path}")
        self.writes.append((method, path, json.loads(json.dumps(body))))
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        answer = await self._api.call_api(method, url, headers, body, **named)
        self._in_flight -= 1
        if dies:
            await answer.read()  # type: ignore[no-untyped-call]  # the client has no types here
            self._die(f"{method} {path}")
        return answer

    def _die(self, at: str) -> None:
        self.died_at, self._is_dead = at, True
        raise Killed


class InlineOperator:
    def __init__(self, mortal: Mortal, namespace: str, *, everywhere: bool = False) -> None:
        self.mortal = mortal
        self._namespace = namespace
        kube = Kube(mortal)  # type: ignore[arg-type]  # what Kube uses of it
        self.process = Process(
            kube,
            read_settings({"S3O_PROXY_IMAGE": IMAGE, "S3O_NAMESPACE": namespace, "S3O_WATCH_NAMESPACE": "" if everywhere else namespace}),
        )

    async def round(self) -> int:
        """List everything, work on every key and visit its pods, until there is no news. How many writes that took. Raises Killed."""
        before = len(self.mortal.writes)
        await self.process.optional.look()
        await self.process.resync.once()
        queue = self.process.queue
        while len(queue):
            key = await queue.take()
            if key.namespace == self._namespace:  # elsewhere are other tests
                await self.process.reconciler.reconcile(key)
            queue.done(key)
            self.process.fleet.look(key)
            await self.process.fleet.visit(key)
        return len(self.mortal.writes) - before

    async def work(self, rounds: int = 4) -> list[str]:
        """On every key, so many times over: what the API server refuses is told, and anything else that goes wrong fails the test."""
        refusals: list[str] = []
        for _ in range(rounds):
            await self.process.optional.look()
            await self.process.resync.once()
            refusals.clear()
            queue = self.process.queue
            while len(queue):
                key = await queue.take()
                try:
                    await self.process.reconciler.reconcile(key)
                except (KubeError, Refused) as error:
                    refusals.append(f"{key.name}: {error}")
                queue.done(key)
        return refusals

    async def settle(self) -> None:
        """Rounds until two need no write: what one has asked of the proxies, the next one sees. Raises Killed."""
        quiet = 0
        for _ in range(_MOST_ROUNDS):
            quiet = 0 if await self.round() else quiet + 1
            if quiet == 2:
                return
        raise AssertionError(f"{_MOST_ROUNDS} rounds and still no rest; the last write was {self.mortal.writes[-1]}")


async def until_killed(operator: InlineOperator) -> bool:
    """Whether it was: it may have had nothing more to write."""
    # In a task of its own, that ends with it: to a Python before 3.11.4, one in which a TaskGroup failed stays one that is being cancelled.
    life = asyncio.create_task(operator.settle())
    was_killed = False
    try:
        await life
    except* Killed:
        was_killed = True
    return was_killed


@asynccontextmanager
async def inline_operator(
    kubeconfig: Path, namespace: str, dies_at: int = 0, *, after: bool = False, everywhere: bool = False
) -> AsyncIterator[InlineOperator]:
    settings = client.Configuration()
    await config.load_kube_config(str(kubeconfig), client_configuration=settings)  # type: ignore[no-untyped-call]  # it has no types
    settings.client_session_kwargs = {"trust_env": False}
    async with client.ApiClient(settings) as api:
        operator = InlineOperator(Mortal(api, dies_at, after=after), namespace, everywhere=everywhere)
        try:
            yield operator
        finally:
            await operator.process.client.close()
