"""Conditions beside the four of every kind: what the pods know of the database and of each backend, and whether less works than should."""

from __future__ import annotations

from collections.abc import Sequence

from s3o_operator.plan.conditions import Fact, Verdict, waiting
from s3o_operator.plan.contacts import BackendReport, Member, members, proxies
from s3o_operator.plan.observed import Observed

_ANOTHER_REASON = "Unreachable"
"""The one reason of a backend's trouble that says nothing about its credentials: nobody answered."""


def database_ready(observed: Observed) -> Fact:
    heard = [one for one in members(observed.pods, observed.contacts) if one.contact.report and not one.contact.error]
    if not heard:
        return Fact("DatabaseReady", None, "NobodyToAsk", "no pod could be asked")
    troubles = [
        f"pod {one.name}: {'; '.join(one.contact.report.troubles)}" for one in heard if one.contact.report and one.contact.report.troubles
    ]
    if troubles:
        return Fact("DatabaseReady", False, "Unavailable", "; ".join(troubles[:3]))
    return Fact("DatabaseReady", True, "Connected", "")


def backend_facts(name: str, observed: Observed) -> list[Fact]:
    """Reachable and CredentialsValid, as far as proxies have tried."""
    checked = _checked(name, observed)
    if not checked:
        return [Fact(kind, None, "NotYetTried", "no proxy has tried it yet") for kind in ("Reachable", "CredentialsValid")]
    trouble = _trouble(checked)
    if trouble is None:
        return [Fact("Reachable", True, "Answers", ""), Fact("CredentialsValid", True, "Accepted", "")]
    member, report = trouble
    message = f"pod {member.name}: {report.problem}"
    if report.reason == _ANOTHER_REASON:
        return [Fact("Reachable", False, report.reason, message), Fact("CredentialsValid", None, report.reason, "")]
    refused = report.reason == "CredentialsRefused"
    return [Fact("Reachable", True, "Answers", ""), Fact("CredentialsValid", not refused if refused else None, report.reason, message)]


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
    if report.reason == _ANOTHER_REASON:
        return waiting(report.reason, message)
    return Verdict(ready=False, reason=report.reason, message=message, stalled=True)


def _checked(name: str, observed: Observed) -> list[tuple[Member, BackendReport]]:
    there = proxies(observed.pods, observed.contacts)
    said = [(one, one.contact.report.backends[name]) for one in there if one.contact.report and name in one.contact.report.backends]
    return [(one, report) for one, report in said if report.checked]


def _trouble(checked: list[tuple[Member, BackendReport]]) -> tuple[Member, BackendReport] | None:
    """What a person can mend comes before what a network may mend."""
    troubled = [(member, report) for member, report in checked if report.reason]
    return min(troubled, key=lambda pair: (pair[1].reason == _ANOTHER_REASON, pair[0].name), default=None)


def degraded(verdict: Verdict, phase: str, beside: Sequence[Fact]) -> Fact:
    """Whether less works than should, for whoever watches one condition only."""
    if away := next((fact for fact in beside if fact.type == "DatabaseReady" and fact.holds is False), None):
        return Fact("Degraded", True, "DatabaseUnavailable", away.message)
    if phase == "Degraded":
        return Fact("Degraded", True, verdict.reason, verdict.message)
    return Fact("Degraded", False, "AsExpected")
