"""Conditions beside the four of every kind: what the pods know of the database and of each backend, and whether less works than should."""

from __future__ import annotations

from collections.abc import Sequence

from s3o_operator.plan.conditions import Fact, Verdict, waiting
from s3o_operator.plan.contacts import BackendReport, Member, members, proxies
from s3o_operator.plan.identity import REPLACED, replacement
from s3o_operator.plan.observed import Observed

_NOBODY_ANSWERED = "Unreachable"
_KINDS = ("Reachable", "CredentialsValid", "BucketFound")


def database_ready(observed: Observed) -> Fact:
    heard = [one for one in members(observed.pods, observed.contacts) if one.contact.report and not one.contact.error]
    if not heard:
        return Fact("DatabaseReady", None, "NobodyToAsk", "no pod could be asked")
    if message := replacement(observed):
        return Fact("DatabaseReady", False, REPLACED, message)
    troubles = [
        f"pod {one.name}: {'; '.join(one.contact.report.troubles)}" for one in heard if one.contact.report and one.contact.report.troubles
    ]
    if troubles:
        return Fact("DatabaseReady", False, "Unavailable", "; ".join(troubles[:3]))
    return Fact("DatabaseReady", True, "Connected", "")


def backend_facts(name: str, observed: Observed) -> list[Fact]:
    """Reachable, CredentialsValid and BucketFound, as far as proxies have tried."""
    checked = _checked(name, observed)
    if not checked:
        return [Fact(kind, None, "NotYetTried", "no proxy has tried it yet") for kind in _KINDS]
    trouble = _trouble(checked)
    answers, accepted = Fact("Reachable", True, "Answers"), Fact("CredentialsValid", True, "Accepted")
    if trouble is None:
        return [answers, accepted, Fact("BucketFound", True, "Found")]
    member, report = trouble
    message = f"pod {member.name}: {report.problem}"
    unknown = [Fact(kind, None, report.reason) for kind in _KINDS]
    match report.reason:
        case "Unreachable":
            return [Fact("Reachable", False, report.reason, message), *unknown[1:]]
        case "CredentialsRefused":
            return [answers, Fact("CredentialsValid", False, report.reason, message), unknown[2]]
        case "BucketNotFound":
            return [answers, accepted, Fact("BucketFound", False, report.reason, message)]
    return [answers, *unknown[1:]]


def backend_verdict(name: str, observed: Observed) -> Verdict | None:
    """Why the backend is not ready though all proxies serve it: one cannot use it, or nobody has tried yet. None: it can be used.

    What only time heals is waited for; the rest needs somebody.
    """
    checked = _checked(name, observed)
    if not checked:
        return waiting("NotYetTried", "no proxy has tried it yet")
    if (trouble := _trouble(checked)) is None:
        return None
    member, report = trouble
    message = f"pod {member.name}: {report.problem}"
    if report.reason == _NOBODY_ANSWERED:
        return waiting(report.reason, message)
    return Verdict(ready=False, reason=report.reason, message=message, stalled=True)


def _checked(name: str, observed: Observed) -> list[tuple[Member, BackendReport]]:
    there = proxies(observed.pods, observed.contacts)
    said = [(one, one.contact.report.backends[name]) for one in there if one.contact.report and name in one.contact.report.backends]
    return [(one, report) for one, report in said if report.checked]


def _trouble(checked: list[tuple[Member, BackendReport]]) -> tuple[Member, BackendReport] | None:
    """What a person can mend comes before what a network may mend."""
    troubled = [(member, report) for member, report in checked if report.reason]
    return min(troubled, key=lambda pair: (pair[1].reason == _NOBODY_ANSWERED, pair[0].name), default=None)


def degraded(verdict: Verdict, phase: str, beside: Sequence[Fact]) -> Fact:
    """Whether less works than should, for whoever watches one condition only."""
    if away := next((fact for fact in beside if fact.type == "DatabaseReady" and fact.holds is False), None):
        return Fact("Degraded", True, "DatabaseUnavailable", away.message)
    if phase == "Degraded":
        return Fact("Degraded", True, verdict.reason, verdict.message)
    return Fact("Degraded", False, "AsExpected")
