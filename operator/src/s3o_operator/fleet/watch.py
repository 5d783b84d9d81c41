"""Visits to the pods: each is told to look at a new configuration, and asked what it serves and holds.

A visit follows at once when something changed: the configuration, the token, or the pods. While they are not all at the configuration that
was written, visits follow soon, then later and later: the mounted files take the kubelet a minute. At rest one follows now and then. What
pods say reaches a plan through what is observed, and a key is worked on when it says something new.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from s3o_operator.fleet.client import AdminClient, Peer
from s3o_operator.fleet.errors import FleetError
from s3o_operator.observe.cache import Cache
from s3o_operator.observe.cluster import pods_of
from s3o_operator.plan.contacts import Contact, is_ready, read_report, url_of
from s3o_operator.plan.manifests.admin import admin_token_in
from s3o_operator.plan.manifests.config import written_as
from s3o_operator.plan.manifests.labels import admin_name, config_name
from s3o_operator.plan.manifests.mounted import read_back
from s3o_operator.plan.observed import Key, Object, Ref
from s3o_operator.queue import WorkQueue

_LOG = logging.getLogger(__name__)
_VISITORS = 8
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_REMEMBERED_CERTIFICATES = 3


@dataclass(frozen=True)
class Pace:
    """In seconds. `figures_s`: how often mere figures are news."""

    soon_s: float = 0.5
    growth: float = 1.3
    latest_s: float = 10.0
    rest_s: float = 20.0
    figures_s: float = 30.0
    patience_s: float = 1.5
    """How long those that answer wait for those that do not."""


@dataclass(frozen=True)
class _Target:
    """What there is to visit, and what it should serve. `wanted`: generation and digest of the configuration that was written."""

    peers: Mapping[str, Peer] = field(default_factory=dict)
    """By uid of the pod."""
    ready: frozenset[str] = frozenset()
    wanted: tuple[int, str] = (0, "")


@dataclass
class _Fleet:
    """`told`: the contacts that plans are made of. `at`: when figures were told last."""

    target: _Target
    told: Mapping[str, Contact] = field(default_factory=dict)
    at: float = float("-inf")
    visits: int = 0
    """Since the target changed."""
    visited: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One visit at a time: of two, the one that asked first could be told last, and take back what the other has heard."""


class FleetWatch:
    def __init__(self, client: AdminClient, cache: Cache, queue: WorkQueue, now: Callable[[], float], pace: Pace | None = None) -> None:
        self._client = client
        self._cache = cache
        self._queue = queue
        self._now = now
        self._pace = pace or Pace()
        self._due = WorkQueue(now)
        self._fleets: dict[Key, _Fleet] = {}
        self._certificates: dict[Key, tuple[bytes, ...]] = {}
        self._looked_at: dict[Key, str] = {}
        """The version of the configuration whose certificate is the first of them."""

    def contacts(self, key: Key) -> Mapping[str, Contact]:
        """By uid of the pod."""
        fleet = self._fleets.get(key)
        return fleet.told if fleet else {}

    def peers(self, key: Key) -> list[Peer]:
        """The pods that are ready, for what any of them can do."""
        target = self._target(key)
        return [peer for uid, peer in target.peers.items() if uid in target.ready]

    async def meet(self, key: Key) -> None:
        """Before a plan: ask the pods that were never asked, so that nothing is reported as unknown that only we do not know yet."""
        target = self._target(key)
        fleet = self._fleets.get(key) or _Fleet(target)
        strangers = {uid: peer for uid, peer in target.peers.items() if uid not in fleet.told}
        if strangers:
            async with asyncio.TaskGroup() as tasks:
                asked = {uid: tasks.create_task(self._ask_briefly(peer, target.wanted)) for uid, peer in strangers.items()}
            self._fleets.setdefault(key, fleet).told = {**fleet.told, **{uid: task.result() for uid, task in asked.items()}}

    async def hear(self, key: Key) -> bool:
        """When something was done, before it is reported: tell the pods of it at once. Whether they say something new: what they serve
        already need not be reported as on its way first."""
        before = self.contacts(key)
        await self.meet(key)
        fleet = self._fleets.get(key)
        if fleet is not None and self._target(key) != fleet.target:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pace.patience_s):
                    await self.visit(key)
            # Not in place of the visits that follow a change.
            fleet.visits = 0
        self.look(key)
        return self.contacts(key) != before

    def look(self, key: Key) -> None:
        """After anything was done about a key: visit its pods now, if there is a reason."""
        target, fleet = self._target(key), self._fleets.get(key)
        if fleet is None and not target.peers:
            return
        if fleet is None or target != fleet.target or not fleet.visits:
            fleet = self._fleets.setdefault(key, _Fleet(target))
            fleet.target, fleet.visits = target, 0
            self._due.add(key)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_VISITORS):
                tasks.create_task(self._visit_those_that_are_due())

    async def _visit_those_that_are_due(self) -> None:
        while True:
            key = await self._due.take()
            pause_s: float | None = self._pace.latest_s
            try:
                pause_s = await self.visit(key)
            except Exception:  # noqa: BLE001  the border: one orchestrator's pods must not end the visits to all others
                _LOG.exception("S3Orchestrator %s: its pods cannot be visited, by a mistake of the operator", key)
            self._due.done(key)
            if pause_s is not None:
                self._due.add_after(key, pause_s * random.uniform(0.8, 1.2))  # noqa: S311  so that a fleet is not asked in step; no secret

    async def visit(self, key: Key) -> float | None:
        """Ask every pod once. Returns after how many seconds to come again; None when nobody is left to ask."""
        fleet = self._fleets.get(key)
        if fleet is None:
            return None
        async with fleet.visited:
            return await self._visit(key, fleet)

    async def _visit(self, key: Key, fleet: _Fleet) -> float | None:
        target = self._target(key)
        if not target.peers and not fleet.told:
            self._fleets.pop(key, None)
            self._certificates.pop(key, None)
            self._looked_at.pop(key, None)
            return None
        if target != fleet.target:
            fleet.target, fleet.visits = target, 0
        heard = await self._ask_all(key, fleet)
        self._tell(key, fleet, heard)
        fleet.visits += 1
        if all(_has_settled(contact, target.wanted) for contact in heard.values()):
            return self._pace.rest_s
        return min(self._pace.latest_s, self._pace.soon_s * self._pace.growth ** min(fleet.visits, 50))

    async def _ask_all(self, key: Key, fleet: _Fleet) -> dict[str, Contact]:
        """What those say that answer at once is told before one that hangs has used up its time."""
        before, wanted = dict(fleet.told), fleet.target.wanted
        async with asyncio.TaskGroup() as tasks:
            asked = {
                uid: tasks.create_task(self._ask(peer, before.get(uid, Contact()), wanted)) for uid, peer in fleet.target.peers.items()
            }
            if asked and (await asyncio.wait(asked.values(), timeout=self._pace.patience_s))[1]:
                self._tell(key, fleet, {uid: task.result() if task.done() else before.get(uid, Contact()) for uid, task in asked.items()})
        return {uid: task.result() for uid, task in asked.items()}

    async def _ask_briefly(self, peer: Peer, wanted: tuple[int, str]) -> Contact:
        try:
            async with asyncio.timeout(self._pace.patience_s):
                return await self._ask(peer, Contact(), wanted)
        except TimeoutError:
            return Contact(None, f"pod {peer.name}: no answer within {self._pace.patience_s:g} s")

    async def _ask(self, peer: Peer, before: Contact, wanted: tuple[int, str]) -> Contact:
        try:
            answer = await (self._client.status(peer) if _serves(before, wanted) else self._client.reload(peer))
            return Contact(read_report(answer))
        # What it served when it last spoke, it still serves, or something newer.
        except FleetError as error:
            return Contact(before.report, str(error))
        except ValueError as error:
            return Contact(before.report, f"pod {peer.name}: {error}")

    def _tell(self, key: Key, fleet: _Fleet, heard: Mapping[str, Contact]) -> None:
        if heard == fleet.told:
            return
        if _without_figures(heard) != _without_figures(fleet.told) or self._now() - fleet.at >= self._pace.figures_s:
            fleet.told, fleet.at = heard, self._now()
            self._queue.add(key)

    def _target(self, key: Key) -> _Target:
        if self._cache.get(Ref("S3Orchestrator", *key)) is None:
            return _Target()
        config = self._cache.get(Ref("Secret", key.namespace, config_name(key)))
        token = admin_token_in(self._cache.get(Ref("Secret", key.namespace, admin_name(key))))
        pods = [(pod, url) for pod in pods_of(self._cache, key) if (url := url_of(pod))] if token else []
        certificates = self._known_certificates(key, config) if any(url.startswith("https:") for _, url in pods) else ()
        peers = {pod["metadata"]["uid"]: Peer(pod["metadata"]["name"], url, token, certificates) for pod, url in pods}
        return _Target(peers, frozenset(pod["metadata"]["uid"] for pod, _ in pods if is_ready(pod)), written_as(config))

    def _known_certificates(self, key: Key, config: Object | None) -> tuple[bytes, ...]:
        """The one that pods are given now, and those that they were given before: they show it until they have seen the new one."""
        known, version = self._certificates.get(key, ()), str(((config or {}).get("metadata") or {}).get("resourceVersion", ""))
        if version and self._looked_at.get(key) != version:
            # Out of what pods mount, and not by what the spec says now: it may name a Secret that was refused.
            mounted, self._looked_at[key] = read_back(config), version
            if mounted and (present := _fingerprint(mounted.certificate)) and present not in known[:1]:
                known = self._certificates[key] = (present, *(one for one in known if one != present))[:_REMEMBERED_CERTIFICATES]
        return known


def _serves(contact: Contact, wanted: tuple[int, str]) -> bool:
    report = contact.report
    return report is not None and not contact.error and (wanted == (0, "") or (report.generation, report.digest) == wanted)


def _has_settled(contact: Contact, wanted: tuple[int, str]) -> bool:
    """It serves what it should, and has tried all of its backends."""
    return _serves(contact, wanted) and contact.report is not None and all(one.checked for one in contact.report.backends.values())


def _without_figures(contacts: Mapping[str, Contact]) -> dict[str, Contact]:
    return {uid: replace(contact, report=contact.report and contact.report.without_figures()) for uid, contact in contacts.items()}


def _fingerprint(pem: str) -> bytes:
    """sha256 of the first certificate, which is the server's own; empty when there is none that makes sense."""
    try:
        first = pem[pem.index(_BEGIN) : pem.index(_END) + len(_END)]
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(first + "\n")).digest()
    except ValueError:
        return b""
