"""One key: observe, plan, apply; again, as long as what was found out calls for another plan."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial

from s3o_operator.apply.announce import Announcer
from s3o_operator.apply.apply import apply
from s3o_operator.fleet.operations import Operations
from s3o_operator.fleet.watch import FleetWatch
from s3o_operator.kube.client import Kube
from s3o_operator.kube.errors import KubeError
from s3o_operator.metrics import Metrics
from s3o_operator.observe.cache import Cache
from s3o_operator.observe.cluster import observe
from s3o_operator.plan.actions import Action, Plan
from s3o_operator.plan.happenings import concerned, happenings
from s3o_operator.plan.lifecycle import wants_operations
from s3o_operator.plan.observed import Failure, Key, Observed
from s3o_operator.plan.planner import plan
from s3o_operator.queue import WorkQueue

_LOG = logging.getLogger(__name__)
_MOST_PLANS = 50
"""As resources arrive, each plan gives keys to those that are new."""


class Refused(Exception):
    """The API server refuses something of the plan for good. The status says so; it is tried again, in case somebody grants or frees it.
    `due`: when there is something to do all the same, for all that is not refused."""

    def __init__(self, message: str, due: str = "") -> None:
        super().__init__(message)
        self.due = due


class Reconciler:
    def __init__(
        self,
        kube: Kube,
        cache: Cache,
        queue: WorkQueue,
        metrics: Metrics,
        fleet: FleetWatch,
        operations: Operations,
        announcer: Announcer,
        image: str,
        unusable: Mapping[str, str],
    ) -> None:
        self._kube = kube
        self._cache = cache
        self._queue = queue
        self._metrics = metrics
        self._fleet = fleet
        self._operations = operations
        self._announcer = announcer
        self._image = image
        self._unusable = unusable

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            key = await self._queue.take()
            await self._attempt(key)
            # Also when it failed: what was written until then is on its way to the pods.
            self._fleet.look(key)

    async def _attempt(self, key: Key) -> None:
        """Whatever goes wrong with one key is that key's trouble, a mistake of ours included: the others go on."""
        with self._metrics.reconcile_seconds.time():
            try:
                due = await self.reconcile(key)
            except asyncio.CancelledError:
                self._queue.failed(key)
                raise
            except (KubeError, Refused) as error:
                self._metrics.reconciles.labels("error").inc()
                _LOG.warning("S3Orchestrator %s: %s; tried again in %.1f s", key, error, self._queue.failed(key))
                self._again_at(key, error.due if isinstance(error, Refused) else "")
            except Exception:  # noqa: BLE001  the border: logged whole, counted, and tried again
                self._metrics.reconciles.labels("mistake").inc()
                _LOG.exception("S3Orchestrator %s: a mistake of the operator; tried again in %.1f s", key, self._queue.failed(key))
            else:
                self._metrics.reconciles.labels("done").inc()
                self._queue.done(key)
                self._again_at(key, due)

    def _again_at(self, key: Key, due: str) -> None:
        if due:
            # A second late: never before the time has come, which would be a plan for nothing.
            self._queue.add_after(key, max(0.0, (datetime.fromisoformat(due) - datetime.now(UTC)).total_seconds()) + 1)

    async def reconcile(self, key: Key) -> str:
        """When it is due again (RFC 3339), or nothing. Raises KubeError for what may pass, Refused for what will not."""
        failures: tuple[Failure, ...] = ()
        await self._fleet.meet(key)
        self._operations.forget(key)
        if self._operations.is_due(key) or wants_operations(self._observed(key)):
            await self._operations.look(key)
        before = None
        for _ in range(_MOST_PLANS):
            planned = plan(self._observed(key, failures))
            if planned == before:
                wanted = f"what was done did not help: {type(planned.actions[0]).__name__} is wanted again"
                raise Refused(_said(failures) or wanted, planned.due)
            before, told = planned, any(one.step is None for one in failures)
            at_the_proxies, has_news = partial(self._operations.do, key), partial(self._fleet.hear, key)
            outcome = await apply(planned, self._kube, self._cache, self._progress_of(planned), at_the_proxies, has_news)
            if told:
                raise Refused(_said(failures), planned.due)
            failures += outcome.failures
            if not outcome.again and not outcome.failures:
                if failures:
                    raise Refused(_said(failures), planned.due)
                return planned.due
        raise Refused(f"{_MOST_PLANS} plans did not settle it")

    def _observed(self, key: Key, failures: tuple[Failure, ...] = ()) -> Observed:
        contacts, known = self._fleet.contacts(key), self._operations.known(key)
        return observe(self._cache, key, self._image, contacts, unusable=self._unusable, operations=known, failures=failures)

    def _progress_of(self, planned: Plan) -> Callable[[Action], None]:
        """Counts what is carried out, and tells it: of a status, what it changes of the one that stands there now."""
        refs = [ref for action in planned.actions for ref in concerned(action)]
        before = {ref: resource for ref in refs if (resource := self._cache.get(ref))}

        def progress(action: Action) -> None:
            self._metrics.writes.labels(type(action).__name__).inc()
            self._announcer.tell(happenings(action, before, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")))

        return progress


def _said(failures: Iterable[Failure]) -> str:
    return "; ".join(dict.fromkeys(map(str, failures)))
