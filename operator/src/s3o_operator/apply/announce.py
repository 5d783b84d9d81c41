"""Events: told beside the work, as well as it goes. What cannot be told is logged, and holds up nothing."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Iterable
from datetime import UTC, datetime

from s3o_operator.kube.client import Kube
from s3o_operator.kube.errors import Conflict, KubeError
from s3o_operator.metrics import Metrics
from s3o_operator.plan.happenings import Happening
from s3o_operator.plan.manifests.labels import MANAGER
from s3o_operator.plan.observed import Object

_LOG = logging.getLogger(__name__)
_LANES = 4
_PER_SECOND, _AT_ONCE = 50, 100
"""As a kubelet's: what a flood of resources is told must not hold up the work on them."""
_MOST_WAITING = 5_000
_LONGEST_NAME, _LONGEST_NOTE = 230, 1000


class Announcer:
    """`instance`: which of several operators speaks."""

    def __init__(self, kube: Kube, metrics: Metrics, instance: str) -> None:
        self._kube = kube
        self._metrics = metrics
        self._instance = instance
        self._waiting: asyncio.Queue[Happening] = asyncio.Queue(_MOST_WAITING)
        self._turns = Turns(_PER_SECOND, _AT_ONCE)

    def tell(self, told: Iterable[Happening]) -> None:
        for happening in told:
            try:
                self._waiting.put_nowait(happening)
            except asyncio.QueueFull:
                self._metrics.events.labels("dropped").inc()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_LANES):
                tasks.create_task(self._tell_what_waits())

    async def _tell_what_waits(self) -> None:
        while True:
            happening = await self._waiting.get()
            await asyncio.sleep(self._turns.wait_s(asyncio.get_running_loop().time()))
            try:
                await self._kube.create(build_event(happening, self._instance, datetime.now(UTC)))
                self._metrics.events.labels("told").inc()
            except Conflict:
                # Told before: by us, before we died, or by a leader before us.
                self._metrics.events.labels("known").inc()
            except KubeError as error:
                self._metrics.events.labels("failed").inc()
                _LOG.warning("cannot tell that %s: %s", happening.reason, error)


class Turns:
    """So many in each second, once `at_once` have gone ahead."""

    def __init__(self, per_second: float, at_once: int) -> None:
        self._interval_s = 1 / per_second
        self._ahead_s = at_once / per_second
        self._next_s = float("-inf")

    def wait_s(self, now_s: float) -> float:
        """For how long the one that asks now has to wait. `now_s`: of a monotonic clock."""
        self._next_s = max(self._next_s, now_s - self._ahead_s) + self._interval_s
        return max(0.0, self._next_s - now_s)


def build_event(happening: Happening, instance: str, now: datetime) -> Object:
    """https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/"""
    regarding = happening.regarding
    told_apart_by = "\n".join((regarding["uid"], happening.kind, happening.reason, happening.mark))
    name = f"{regarding['name'][:_LONGEST_NAME]}.{hashlib.sha256(told_apart_by.encode()).hexdigest()[:16]}"
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": regarding["namespace"]},
        "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": f"s3orchestrator.io/{MANAGER}",
        "reportingInstance": instance[:128],
        "action": "Reconcile",
        "reason": happening.reason[:128],
        "regarding": regarding,
        "note": happening.note[:_LONGEST_NOTE],
        "type": happening.kind,
    }
