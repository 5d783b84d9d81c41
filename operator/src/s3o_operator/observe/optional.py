"""The kinds without which a fleet serves as well: which of them can be used here now, and what is there of them.

Nobody tells that a kind has been installed, or a right been granted. So it is asked again and again; and since kopf watches only what is
served when it starts, these are listed each time, which repairs what was edited or deleted meanwhile.
"""

from __future__ import annotations

import asyncio
import logging

from s3o_operator.kube.client import Kube
from s3o_operator.kube.errors import Forbidden, Gone, KubeError
from s3o_operator.kube.kinds import OPTIONAL, Kind
from s3o_operator.kube.rights import denied
from s3o_operator.kube.together import together
from s3o_operator.observe.intake import Intake

_LOG = logging.getLogger(__name__)


class OptionalKinds:
    """`unusable`: kind → why, in a sentence for the status of whoever wants it. `period_s`: how often it is asked."""

    def __init__(self, kube: Kube, intake: Intake, namespace: str, period_s: float) -> None:
        self.unusable: dict[str, str] = {}
        self._known: set[Kind] = set()
        self._granted: set[Kind] = set()
        self._kube, self._intake, self._namespace, self._period_s = kube, intake, namespace, period_s

    async def look(self) -> None:
        """What cannot be asked now stays what it was known to be; before anything is known of it, it cannot be used."""
        before = dict(self.unusable)
        await together(self._look_for(kind) for kind in OPTIONAL)
        if self.unusable != before:
            self._intake.everything()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self._period_s)
            await self.look()

    async def _look_for(self, kind: Kind) -> None:
        try:
            problem = await self._problem(kind)
        except KubeError as error:
            _LOG.warning("cannot look for %s: %s", kind.name, error)
            problem = self.unusable.get(kind.name, "") if kind in self._known else f"{kind.name}: the API server cannot be asked: {error}"
        else:
            self._known.add(kind)
        if problem:
            self.unusable[kind.name] = problem
        else:
            self.unusable.pop(kind.name, None)

    async def _problem(self, kind: Kind) -> str:
        """Why it cannot be used, or nothing; then what is there of it is known."""
        if not await self._is_served(kind):
            self._granted.discard(kind)
            self._intake.listed(kind.name, [], _EVERYTHING)
            return f"{kind.name}: the API server does not serve {kind.plural}.{kind.group}/{kind.version}; it is made as soon as it does"
        # A review is a write, as far as the API server counts: once it is granted, a refusal of the listing tells when it no longer is.
        if kind not in self._granted:
            missing = [text for text in [await denied(self._kube, kind, verb, self._namespace) for verb in kind.verbs] if text]
            if missing:
                return f"{kind.name}: the operator lacks rights: {'; '.join(missing)}"
            self._granted.add(kind)
        try:
            self._intake.listed(kind.name, *await self._kube.list(kind, self._namespace))
        except Forbidden as error:
            self._granted.discard(kind)
            return f"{kind.name}: the operator lacks rights: {error}"
        return ""

    async def _is_served(self, kind: Kind) -> bool:
        try:
            return await self._kube.is_served(kind)
        except Gone:
            return False


_EVERYTHING = str(2**63)
"""A version that is newer than any: with its definition, every object of a kind is gone."""
