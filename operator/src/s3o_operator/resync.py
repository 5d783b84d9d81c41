"""Listings of everything: before the first decision, and then every few minutes.

Only a listing tells what is gone: an object that is deleted while a watch is down gives no event, ever.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from s3o_operator.kube.client import Kube
from s3o_operator.kube.errors import KubeError
from s3o_operator.kube.kinds import Kind, watched
from s3o_operator.kube.together import together
from s3o_operator.observe.intake import Intake

_LOG = logging.getLogger(__name__)
_AFTER_FAILURE_S = 10.0


class Resync:
    """`period_s`: from the end of one to the start of the next, a fifth more or less. `listed` hears of each whole one."""

    def __init__(
        self, kube: Kube, intake: Intake, namespace: str, period_s: float, now: Callable[[], float], listed: Callable[[], None]
    ) -> None:
        self._kube = kube
        self._intake = intake
        self._namespace = namespace
        self._period_s = period_s
        self._now = now
        self._listed = listed
        self._last: float | None = None

    async def once(self) -> None:
        """Raises KubeError; what was listed until then counts."""
        await together(self._list(kind) for kind in watched(self._namespace))
        self._intake.everything()
        self._last = self._now()
        self._listed()

    async def _list(self, kind: Kind) -> None:
        documents, version = await self._kube.list(kind, self._namespace)
        self._intake.listed(kind.name, documents, version)

    async def run(self) -> None:
        """Until cancelled."""
        pause = self._period_s
        while True:
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311  replicas and clusters drift apart; no secret
            try:
                await self.once()
                pause = self._period_s
            except KubeError as error:
                _LOG.warning("cannot list everything: %s", error)
                pause = min(self._period_s, _AFTER_FAILURE_S)

    @property
    def has_listed(self) -> bool:
        """Everything, once."""
        return self._last is not None

    def age_s(self) -> float:
        """Since the last whole one."""
        return 0.0 if self._last is None else self._now() - self._last
