"""One of several operators works: the one that holds the Lease.

Times are those of this process's monotonic clock: another's Lease has ended when it did not change for as long as it says, whatever the
clocks of the machines show. Renewals are compare-and-swap. A leader that could not renew in time stops *before* another may begin.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from s3o_operator.kube.client import Kube
from s3o_operator.kube.errors import Conflict, Gone, KubeError
from s3o_operator.plan.observed import Object, Ref

LEASE_NAME = "s3orchestrator-operator"
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Times:
    """In seconds. A leader gives up `deadline_s` after its last success; others wait `lease_s`."""

    lease_s: float = 15.0
    deadline_s: float = 10.0
    period_s: float = 2.0
    try_s: float = 3.0


class Leadership:
    """`identity` must be new in every process, and a process leads once: so a transition is an epoch."""

    def __init__(self, kube: Kube, lease: Ref, identity: str, now: Callable[[], float], times: Times | None = None) -> None:
        self._kube = kube
        self._lease = lease
        self._identity = identity
        self._now = now
        self._times = times or Times()
        self._seen: tuple[str, float] | None = None
        """The version of another's Lease, and since when we know it."""

    async def acquire(self) -> None:
        """Return when we lead."""
        while not await self._try_to_take():  # noqa: ASYNC110  the Lease lies elsewhere; there is no event to wait for
            await asyncio.sleep(self._times.period_s)
        _LOG.info("%s leads", self._identity)

    async def hold(self) -> None:
        """Return when the leadership is lost."""
        last_success = self._now()
        while self._now() - last_success < self._times.deadline_s:
            await asyncio.sleep(min(self._times.period_s, max(0.0, last_success + self._times.deadline_s - self._now())))
            began = self._now()
            # A try must not outlast the deadline: a hung API server hangs the renewal, not the stop.
            left = last_success + self._times.deadline_s - began
            if left <= 0:
                break
            try:
                live = await self._kube.get(self._lease, timeout_s=min(left, self._times.try_s))
                if live["spec"].get("holderIdentity") != self._identity:
                    _LOG.error("the Lease is held by %s", live["spec"].get("holderIdentity"))
                    return
                left = last_success + self._times.deadline_s - self._now()
                await self._kube.replace(self._renewed(live), timeout_s=max(0.001, min(left, self._times.try_s)))
                last_success = began
            except KubeError as error:
                _LOG.warning("cannot renew the Lease: %s", error)
        _LOG.error("the Lease was not renewed for %.0f s", self._times.deadline_s)

    async def release(self) -> None:
        """So that a successor need not wait. Call it when all work has ended."""
        try:
            live = await self._kube.get(self._lease, timeout_s=self._times.try_s)
            if live["spec"].get("holderIdentity") == self._identity:
                spec = {**live["spec"], "holderIdentity": ""}
                await self._kube.replace({**live, "spec": spec}, timeout_s=self._times.try_s)
        except KubeError as error:
            _LOG.warning("the Lease is not released, and will run out: %s", error)

    async def _try_to_take(self) -> bool:
        try:
            live = await self._kube.get(self._lease, timeout_s=self._times.try_s)
        except Gone:
            return await self._write(self._kube.create, self._first())
        except KubeError as error:
            _LOG.warning("cannot read the Lease: %s", error)
            return False
        if live["spec"].get("holderIdentity") and not self._has_ended(live):
            return False
        return await self._write(self._kube.replace, self._taken(live))

    async def _write(self, write: Callable[..., Awaitable[object]], document: Object) -> bool:
        try:
            await write(document, timeout_s=self._times.try_s)
        except Conflict:
            return False
        except KubeError as error:
            # Perhaps it took effect: then the next look finds our own name, and waits it out like any other's.
            _LOG.warning("cannot take the Lease: %s", error)
            return False
        return True

    def _has_ended(self, live: Object) -> bool:
        version = live["metadata"]["resourceVersion"]
        if self._seen is None or self._seen[0] != version:
            self._seen = (version, self._now())
        lasts_s: float = live["spec"].get("leaseDurationSeconds", self._times.lease_s)
        return self._now() - self._seen[1] >= lasts_s

    def _first(self) -> Object:
        metadata = {"name": self._lease.name, "namespace": self._lease.namespace}
        empty = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": {"leaseTransitions": -1}}
        return self._taken(empty)

    def _taken(self, live: Object) -> Object:
        transitions = live["spec"].get("leaseTransitions", 0) + 1
        return self._renewed({**live, "spec": {**live["spec"], "acquireTime": _micro_time(), "leaseTransitions": transitions}})

    def _renewed(self, live: Object) -> Object:
        ours = {"holderIdentity": self._identity, "leaseDurationSeconds": max(1, round(self._times.lease_s)), "renewTime": _micro_time()}
        return {**live, "spec": {**live["spec"], **ours}}


def _micro_time() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
