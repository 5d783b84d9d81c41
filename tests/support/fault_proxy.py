"""A proxy in front of a real API server that does to its callers what networks and overloaded servers do, and counts what they ask for.

Its rules are asked for every request, in order; the first fault that one returns happens. All semantics stay those of the real server:
what is refused *after* was carried out, a watch that is cut has sent what it had sent, and what is not touched is not changed.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp
from aiohttp import web

_READS = ("get", "list", "watch")
_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_LARGEST_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Request:
    """As Kubernetes' authorization sees it."""

    verb: str
    resource: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    group: str = ""

    @property
    def is_write(self) -> bool:
        """Of something that lasts: reviews of rights are created, and kept nowhere."""
        return self.verb not in _READS and not self.resource.endswith("accessreviews")


@dataclass(frozen=True)
class Refuse:
    """An answer of trouble. `after`: the API server has carried it out; otherwise it never hears of it."""

    status: int
    after: bool = False


@dataclass(frozen=True)
class Delay:
    seconds: float


@dataclass(frozen=True)
class Hang:
    """No answer, until the proxy is closed or the caller goes. `after`: it was carried out."""

    after: bool = False


@dataclass(frozen=True)
class Cut:
    """The connection breaks: of a watch after so many events, of anything else instead of the answer (it was carried out)."""

    after_events: int = 0


@dataclass(frozen=True)
class Drop:
    """A watch on which the events of which this is true are lost."""

    lost: Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True)
class Expire:
    """A watch is told that its resourceVersion is too old: 410 as an event, as etcd's compaction makes the API server say it."""


@dataclass(frozen=True)
class Stale:
    """A list is answered with what the same list said when `remember` was called: an API server whose cache is behind."""


Fault = Refuse | Delay | Hang | Cut | Drop | Expire | Stale
Rule = Callable[[Request], Fault | None]


class FaultProxy:
    """A context. `kubeconfig`: that of the caller at the real server; `kubeconfig_to` writes the same one for the way through here."""

    def __init__(self, kubeconfig: Path) -> None:
        self._given: dict[str, Any] = json.loads(kubeconfig.read_text())
        server = self._given["clusters"][0]["cluster"]
        self._upstream: str = server["server"]
        self._trust = ssl.create_default_context(cafile=server["certificate-authority"])
        self.rules: list[Rule] = []
        """To be replaced as a whole: it is read by another thread."""
        self.counts: Counter[tuple[str, str]] = Counter()
        """By verb and resource. Refused requests are counted, too."""
        self._lists: dict[str, bytes] = {}
        self._remembered: dict[str, bytes] = {}
        self._is_down = False
        self._open: set[asyncio.Transport] = set()
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._ready = threading.Event()
        self._port = 0
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    # --- commands ---------------------------------------------------------------------------------------------------

    def kubeconfig_to(self, path: Path) -> Path:
        cluster = {"name": "test", "cluster": {"server": f"http://127.0.0.1:{self._port}"}}
        path.write_text(json.dumps({**self._given, "clusters": [cluster]}))
        return path

    def down(self) -> None:
        """As if the API server were restarted: connections break, and new ones do, too."""
        self._is_down = True
        self.break_connections()

    def up(self) -> None:
        self._is_down = False

    def break_connections(self) -> None:
        self._loop.call_soon_threadsafe(self._abort_all)

    def remember(self) -> None:
        """What was listed last, for `Stale`."""
        self._remembered = dict(self._lists)

    def writes(self) -> int:
        """Leases left out: a leader renews its own for ever."""
        return sum(count for (verb, resource), count in self.counts.items() if verb not in _READS and resource != "leases")

    def reads(self) -> int:
        return sum(count for (verb, resource), count in self.counts.items() if verb in ("get", "list") and resource != "leases")

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()
        self._loop.close()

    # --- in its thread ----------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        timeout = aiohttp.ClientTimeout(total=None, connect=10)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._trust, limit=0), timeout=timeout) as self._session:
            runner = web.ServerRunner(web.Server(self._answer, access_log=None), shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0, backlog=512)
            await site.start()
            (self._port,) = (port for _, port in runner.addresses)
            self._ready.set()
            await self._stopped.wait()
            self._abort_all()
            await runner.cleanup()
        # Answers that nobody waits for any more: left to the garbage collector they would be complained of in somebody else's test.
        if left := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in left:
                task.cancel()
            await asyncio.wait(left)

    def _abort_all(self) -> None:
        for transport in [*self._open]:
            transport.abort()

    async def _answer(self, asked: web.BaseRequest) -> web.StreamResponse:
        transport = asked.transport
        assert isinstance(transport, asyncio.Transport)
        self._open.add(transport)
        try:
            return await self._treat(asked, transport)
        except ConnectionError:
            return _cut(transport)  # the caller has gone in the middle of its question
        finally:
            self._open.discard(transport)

    async def _treat(self, asked: web.BaseRequest, transport: asyncio.Transport) -> web.StreamResponse:
        request = request_of(asked.method, asked.path, asked.query)
        if self._is_down:
            return _cut(transport)
        if request.is_write or request.verb in _READS:
            self.counts[request.verb, request.resource] += 1
        fault = next((fault for rule in self.rules if (fault := rule(request)) is not None), None)
        match fault:
            case Refuse(status, after):
                await self._carry_out_if(after, asked)
                return _refusal(status)
            case Hang(after):
                await self._carry_out_if(after, asked)
                return await self._hang(transport)
            case Cut() if request.verb != "watch":
                await self._carry_out(asked)
                return _cut(transport)
            case Expire() if request.verb == "watch":
                return web.Response(body=_line({"type": "ERROR", "object": _status(410)}), content_type="application/json")
            case Stale() if asked.path_qs in self._remembered:
                return web.Response(body=self._remembered[asked.path_qs], content_type="application/json")
            case Delay(seconds):
                await asyncio.sleep(seconds)
        return await (self._watch(asked, fault, transport) if request.verb == "watch" else self._pass_on(asked, request))

    async def _pass_on(self, asked: web.BaseRequest, request: Request) -> web.Response:
        status, headers, body = await self._carry_out(asked)
        if request.verb == "list" and status == 200:
            self._lists[asked.path_qs] = body
        return web.Response(status=status, headers=headers, body=body)

    async def _carry_out_if(self, wanted: bool, asked: web.BaseRequest) -> None:
        if wanted:
            await self._carry_out(asked)

    async def _carry_out(self, asked: web.BaseRequest) -> tuple[int, dict[str, str], bytes]:
        body = await asked.content.read() or None  # an empty one would be given a type, which the API server refuses
        async with self._session.request(asked.method, self._upstream + asked.raw_path, data=body, headers=_forwarded(asked)) as answer:
            kept = {name: answer.headers[name] for name in ("Content-Type", "Retry-After") if name in answer.headers}
            return answer.status, kept, await answer.read()

    async def _watch(self, asked: web.BaseRequest, fault: Fault | None, transport: asyncio.Transport) -> web.StreamResponse:
        url, events = self._upstream + asked.raw_path, 0
        async with self._session.get(url, headers=_forwarded(asked), read_bufsize=_LARGEST_BYTES) as answer:
            response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.headers["Content-Type"]})
            try:
                await response.prepare(asked)
                async for line in answer.content:
                    if isinstance(fault, Cut) and events >= fault.after_events:
                        return _cut(transport)
                    events += 1
                    if not (isinstance(fault, Drop) and fault.lost(json.loads(line))):
                        await response.write(line)
                await response.write_eof()
            except (ConnectionError, aiohttp.ClientError):
                transport.abort()  # either side has gone: so does the other
            return response

    async def _hang(self, transport: asyncio.Transport) -> web.StreamResponse:
        while not transport.is_closing():  # noqa: ASYNC110  a transport offers no event for its end
            await asyncio.sleep(0.02)
        return _cut(transport)


def request_of(method: str, path: str, query: Mapping[str, str]) -> Request:
    parts = path.strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces":
        namespace, rest = rest[1], rest[2:]
    resource, name, subresource = (*rest, "", "", "")[:3]
    verb = _VERBS.get(method, method.lower())
    if verb == "get" and not name:
        verb = "watch" if query.get("watch") in ("true", "1") else "list"
    return Request(verb, resource, namespace, name, subresource, parts[1] if parts[0] == "apis" and len(parts) > 1 else "")


def _forwarded(asked: web.BaseRequest) -> dict[str, str]:
    return {name: asked.headers[name] for name in ("Authorization", "Content-Type", "Accept") if name in asked.headers}


def _refusal(status: int) -> web.Response:
    headers = {"Retry-After": "1"} if status == 429 else {}
    return web.Response(status=status, headers=headers, body=_line(_status(status)), content_type="application/json")


def _status(code: int) -> dict[str, Any]:
    reason = "Expired" if code == 410 else "InternalError"
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": f"injected {code}", "reason": reason, "code": code}


def _line(document: object) -> bytes:
    return json.dumps(document).encode() + b"\n"


def _cut(transport: asyncio.Transport) -> web.StreamResponse:
    transport.abort()
    return web.Response()
