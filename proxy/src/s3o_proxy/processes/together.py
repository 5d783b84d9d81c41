"""What the members of a port say with one voice: whichever of them is asked, the answer is about all.

Ready when each is ready; of a generation when each serves it; in trouble when any is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from s3o_crds.compiled import FleetConfig
from s3o_proxy.config.watch import LiveConfig
from s3o_proxy.domain.frozen import frozen
from s3o_proxy.processes.line import Silent
from s3o_proxy.processes.member import METRICS, Heard, Member
from s3o_proxy.telemetry.metrics import Metrics

Status = dict[str, Any]


@frozen
class Voice:
    """`reason`: why nobody should send requests here, empty when all is well. `render`: the metrics for an Accept header, and their content
    type. `status` and `reload`: as the admin API answers."""

    reason: Callable[[], Awaitable[str]]
    render: Callable[[str], Awaitable[tuple[bytes, str]]]
    status: Callable[[], Awaitable[dict[str, Any]]]
    reload: Callable[[], Awaitable[dict[str, Any]]]


_CONFIG = "config"


async def served_by(member: Member) -> FleetConfig | None:
    """The newest configuration that another member serves: one that was started again counts on from there. None while there is none."""
    heard = await member.everyone(_CONFIG)
    served = [FleetConfig.model_validate(document) for document in heard.given]
    return max(served, key=lambda config: config.generation, default=None)


@frozen
class Together:
    """`own`: what this member says for itself alone."""

    member: Member
    own: Voice
    metrics: Metrics
    config: LiveConfig

    async def join(self) -> None:
        async def dumped() -> dict[str, Any]:
            status = await self.own.status()
            return {"families": self.metrics.dump(), "generation": status["generation"], "digest": status["digest"]}

        async def served() -> Any:
            return self.config.current.config.model_dump(mode="json", by_alias=True)

        questions = {_CONFIG: served, "reason": self.own.reason, "status": self.own.status, "reload": self.own.reload, METRICS: dumped}
        await self.member.join(questions)

    def voice(self) -> Voice:
        return Voice(self._reason, self._render, self._status, self._reload)

    async def _reason(self) -> str:
        own = await self.own.reason()
        if own:
            return own
        try:
            heard = await self.member.everyone("reason")
        except Silent:
            return "ProcessMissing"
        return next((reason or "ProcessMissing" for reason in heard.answers if reason != ""), "")

    async def _render(self, accept: str) -> tuple[bytes, str]:
        heard = await self.member.everyone(METRICS)
        generation, _ = agreed(heard.given)
        return self.metrics.render_of_all(heard.beside, generation, accept)

    async def _status(self) -> Status:
        return await self._one(await self.member.everyone("status"))

    async def _reload(self) -> Status:
        return await self._one(await self.member.everyone("reload"))

    async def _one(self, heard: Heard) -> Status:
        return one_status(heard.answers[self.member.place.number] or await self.own.status(), heard.answers)


def one_status(own: Status, answers: Sequence[Status | None]) -> Status:
    """`own` for what all read from the ledger, the others for what each knows alone. None: of a member that does not answer."""
    given = [answer for answer in answers if answer is not None]
    generation, digest = agreed(given)
    missing = [f"process {number} does not answer" for number, answer in enumerate(answers) if answer is None]
    return own | {
        # Of a member that does not answer nobody knows what it serves: so it is not told that all serve this.
        "generation": 0 if missing else generation,
        "digest": "" if missing else digest,
        "configRefusal": _united(answer["configRefusal"] for answer in given),
        "troubles": [*missing, *_united(answer["troubles"] for answer in given)],
        "backends": {name: backend | {"check": _check(name, [own, *given])} for name, backend in own["backends"].items()},
        "processes": [answer and {name: answer[name] for name in ("instance", "generation", "digest")} for answer in answers],
    }


def agreed(given: Sequence[Status]) -> tuple[int, str]:
    """The generation that all serve, and its digest; the oldest, while they differ.

    With one digest all serve the same, though one that missed a change which was soon replaced has counted less.
    """
    if not given:
        return 0, ""
    oldest = min(given, key=lambda status: status["generation"])
    if len({status["digest"] for status in given}) == 1:
        return max(status["generation"] for status in given), oldest["digest"]
    return oldest["generation"], oldest["digest"]


def _united(lists: Iterable[Sequence[str]]) -> list[str]:
    return list(dict.fromkeys(line for lines in lists for line in lines))


def _check(backend: str, statuses: Sequence[Status]) -> Any:
    """The first try that failed, else the last that is known."""
    tried = [status["backends"][backend]["check"] for status in statuses if backend in status["backends"]]
    tried = [check for check in tried if check is not None]
    return next((check for check in tried if check["reason"]), tried[0] if tried else None)
