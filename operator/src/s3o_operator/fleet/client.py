"""The admin API of a pod: docs/reference/admin-api.md. The only user of HTTP towards the pods."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp

from s3o_operator.fleet.errors import FleetError, NotFound, Unreachable, error_of
from s3o_operator.metrics import Metrics

_TIMEOUT_S = 5.0
_CONNECT_S = 2.0
_LARGEST_ANSWER = 16 * 2**20
_API = "/admin/api"

Answer = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Peer:
    """`url`: scheme, host and port. `fingerprints`: sha256 of the certificates of which it must show one, when it serves https."""

    name: str
    url: str
    token: str = field(repr=False)
    fingerprints: tuple[bytes, ...] = ()


class AdminClient:
    """Every method raises FleetError."""

    def __init__(self, metrics: Metrics, timeout_s: float = _TIMEOUT_S) -> None:
        self._calls = metrics.fleet_calls
        self._seconds = metrics.fleet_call_seconds
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    # --- one pod ---------------------------------------------------------------------------------------------------------------------

    async def status(self, peer: Peer) -> Answer:
        """What it serves and holds."""
        return await self._call(peer, "GET", "/status")

    async def reload(self, peer: Peer) -> Answer:
        """Look at the configuration now; its status after that."""
        return await self._call(peer, "POST", "/reload")

    # --- operations: any pod will do, all of them are idempotent -------------------------------------------------------------------------

    async def create_operation(self, peers: Sequence[Peer], operation: Mapping[str, Any]) -> Answer:
        """`operation`: kind, subject, token, backend, bucket, dryRun. The one that exists, when it was asked for before.
        Raises Refused, NotFound (no such backend), Busy (another one is active; `answer["operation"]`)."""
        return await self._any(peers, lambda peer: self._operation(peer, "POST", "/operations", operation))

    async def list_operations(self, peers: Sequence[Peer], subject: str = "") -> list[Answer]:
        """Those of one custom resource (its uid), or all, the newest first."""
        path = f"/operations?subject={quote(subject, safe='')}" if subject else "/operations"
        answer = await self._any(peers, lambda peer: self._call(peer, "GET", path))
        return [_operation_in(one) for one in _list_of(answer, "operations")]

    async def find_operation(self, peers: Sequence[Peer], operation_id: str) -> Answer | None:
        """None only when a pod said so."""
        try:
            return await self._any(peers, lambda peer: self._operation(peer, "GET", f"/operations/{quote(operation_id, safe='')}"))
        except NotFound:
            return None

    async def cancel_operation(self, peers: Sequence[Peer], operation_id: str) -> Answer:
        """What became of it: a finished one stays as it is. Raises NotFound."""
        return await self._any(peers, lambda peer: self._operation(peer, "POST", f"/operations/{quote(operation_id, safe='')}/cancel"))

    async def forget_backend(self, peers: Sequence[Peer], name: str) -> None:
        """Of which no row is left, and which may be forgotten already. Raises Busy with the counts of what is left."""
        try:
            await self._any(peers, lambda peer: self._call(peer, "DELETE", f"/backends/{quote(name, safe='')}"))
        except NotFound:
            return

    # --- how -------------------------------------------------------------------------------------------------------------------------

    async def _any(self, peers: Sequence[Peer], ask: Callable[[Peer], Awaitable[T]]) -> T:
        """The first answer. A pod that cannot be reached is passed over: what it may have done is done once, whoever is asked again."""
        failures: list[str] = []
        for peer in peers:
            try:
                return await ask(peer)
            except Unreachable as error:
                failures.append(str(error))
        raise Unreachable("; ".join(failures) or "no pod is ready")

    async def _operation(self, peer: Peer, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        """Whatever stands at a pod's address: what it says is an operation, or no answer at all."""
        return _operation_in(await self._call(peer, method, path, body))

    async def _call(self, peer: Peer, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        what = path.split("?")[0].split("/")[1]
        try:
            with self._seconds.time():
                answer = await self._sent(peer, method, path, body)
        except FleetError as error:
            self._calls.labels(what, type(error).__name__).inc()
            raise
        self._calls.labels(what, "ok").inc()
        return answer

    async def _sent(self, peer: Peer, method: str, path: str, body: Mapping[str, Any] | None) -> Answer:
        what = f"pod {peer.name}: {method} {_API}{path}"
        try:
            async with asyncio.timeout(self._timeout_s):
                status, raw = await self._exchange(peer, method, path, body)
        except aiohttp.ServerFingerprintMismatch:
            raise Unreachable(f"{what}: it shows another certificate than that of spec.server.tls") from None
        except TimeoutError as error:
            raise Unreachable(f"{what}: no answer within {self._timeout_s:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"{what}: {type(error).__name__} {error}".strip()) from error
        if status == 204:
            return {}
        try:
            answer = json.loads(raw)
        except ValueError:
            answer = None
        answer = answer if isinstance(answer, dict) else None
        if status >= 300:
            raise error_of(status, answer, what)
        if answer is None:
            raise Unreachable(f"{what}: the answer is no JSON object")
        return answer

    async def _exchange(self, peer: Peer, method: str, path: str, body: Mapping[str, Any] | None) -> tuple[int, bytes]:
        """By each certificate that it may show; the token is sent to nobody who does not show one of them."""
        if not peer.url.startswith("https:"):
            return await self._send(peer, method, path, body, True)
        if not peer.fingerprints:
            raise Unreachable(f"pod {peer.name} serves https, and its certificate is not known")
        for fingerprint in peer.fingerprints[:-1]:
            try:
                return await self._send(peer, method, path, body, aiohttp.Fingerprint(fingerprint))
            except aiohttp.ServerFingerprintMismatch:
                continue
        return await self._send(peer, method, path, body, aiohttp.Fingerprint(peer.fingerprints[-1]))

    async def _send(
        self, peer: Peer, method: str, path: str, body: Mapping[str, Any] | None, trust: bool | aiohttp.Fingerprint
    ) -> tuple[int, bytes]:
        if self._session is None:
            # No connection is kept: a pod's address may be another pod's a minute later.
            connector = aiohttp.TCPConnector(force_close=True, limit=64)
            self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(sock_connect=_CONNECT_S))
        headers = {"Authorization": f"Bearer {peer.token}", "Accept": "application/json"}
        url = f"{peer.url}{_API}{path}"
        async with self._session.request(method, url, json=body, headers=headers, ssl=trust, allow_redirects=False) as response:
            return response.status, await _whole(response)


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    """Raises ClientPayloadError for more than any pod has to say."""
    parts = bytearray()
    async for part in response.content.iter_any():
        parts += part
        if len(parts) > _LARGEST_ANSWER:
            raise aiohttp.ClientPayloadError(f"the answer has more than {_LARGEST_ANSWER} bytes")
    return bytes(parts)


def _list_of(answer: Answer, name: str) -> list[Answer]:
    found = answer.get(name)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise Unreachable(f"an answer without a list of {name}")
    return found


def _operation_in(answer: Answer) -> Answer:
    if not all(isinstance(answer.get(name), str) for name in ("id", "kind", "subject", "token", "state")):
        raise Unreachable("an answer that is no operation")
    return answer
