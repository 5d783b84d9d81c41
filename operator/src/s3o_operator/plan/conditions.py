"""Facts → the four conditions of every kind, as kstatus reads them: Accepted, Ready, Reconciling, Stalled.

*Reconciling* is true while we, or Kubernetes, are still at it; *Stalled* when nothing will change until somebody acts. Never both.
https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from s3o_operator.plan.observed import Object

_MOST_MESSAGE = 2000


@dataclass(frozen=True)
class Verdict:
    """What is true of a resource. `reason` and `message` say why it is not (yet) ready, or that it is."""

    ready: bool
    reason: str
    message: str
    accepted: bool = True
    stalled: bool = False


@dataclass(frozen=True)
class Fact:
    """One condition beside the four of every kind. `holds` None: it is not known."""

    type: str
    holds: bool | None
    reason: str
    message: str = ""


def refused(reason: str, message: str) -> Verdict:
    return Verdict(ready=False, reason=reason, message=message, accepted=False, stalled=True)


def waiting(reason: str, message: str) -> Verdict:
    return Verdict(ready=False, reason=reason, message=message)


def conditions(
    resource: Object, verdict: Verdict, now: str, *, reconciling: bool | None = None, beside: Sequence[Fact] = ()
) -> list[Object]:
    """The four, and the facts `beside` them, which win over one of the four of their name. A condition keeps its lastTransitionTime as long
    as its status does. `reconciling`: by default, neither ready nor stalled."""
    at_work = reconciling if reconciling is not None else not verdict.ready and not verdict.stalled
    facts = [
        Fact("Accepted", verdict.accepted, *(("Accepted", "") if verdict.accepted else (verdict.reason, verdict.message))),
        Fact("Ready", verdict.ready, verdict.reason, verdict.message),
        Fact("Reconciling", at_work, *((verdict.reason, verdict.message) if at_work else ("Settled", ""))),
        Fact("Stalled", verdict.stalled, *((verdict.reason, verdict.message) if verdict.stalled else ("NotStalled", ""))),
        *beside,
    ]
    before = {one.get("type"): one for one in (resource.get("status") or {}).get("conditions") or []}
    return [_condition(resource, before.get(fact.type), now, fact) for fact in {fact.type: fact for fact in facts}.values()]


def with_facts(resource: Object, facts: Sequence[Fact], now: str) -> list[Object]:
    """The conditions that stand there, with these in their places. One that says the same stays as it is, its generation included."""
    known = {one["type"]: one for one in (resource.get("status") or {}).get("conditions") or []}
    for fact in facts:
        fresh, before = _condition(resource, known.get(fact.type), now, fact), known.get(fact.type, {})
        same = all(fresh[name] == before.get(name) for name in ("status", "reason", "message"))
        known[fact.type] = before if same else fresh
    return list(known.values())


def _condition(resource: Object, before: Object | None, now: str, fact: Fact) -> Object:
    status = {True: "True", False: "False", None: "Unknown"}[fact.holds]
    unchanged = before is not None and before.get("status") == status
    return {
        "type": fact.type,
        "status": status,
        "reason": fact.reason,
        "message": fact.message[:_MOST_MESSAGE],
        "observedGeneration": resource["metadata"]["generation"],
        "lastTransitionTime": before["lastTransitionTime"] if before is not None and unchanged else now,
    }
