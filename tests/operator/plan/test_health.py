"""What pods know of the database and of each backend becomes conditions; a backend that cannot be used is not ready."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.operator.plan.test_sync import condition, saying, settled, statuses, wanted

from s3o_operator.plan.contacts import BackendReport
from s3o_operator.plan.observed import Object, Observed
from s3o_operator.plan.planner import plan


def trying(seen: Observed, reason: str, problem: str = "as told") -> Observed:
    checked = BackendReport(checked=True, reason=reason, problem=problem if reason else "")
    return saying(seen, p1=replace(wanted(seen), backends={"one": checked}))


def backend_of(seen: Observed) -> Object:
    return statuses(seen)["StorageBackend"]


def test_what_nobody_tried_is_not_ready_yet() -> None:
    seen = settled()
    untried = replace(wanted(seen), backends={"one": BackendReport()})
    found = backend_of(saying(seen, p0=untried, p1=untried))
    assert condition(found, "Reachable")[:2] == ("Unknown", "NotYetTried")
    assert condition(found, "Ready")[:2] == ("False", "NotYetTried")
    assert condition(found, "Stalled")[0] == "False"


def test_one_proxy_that_has_not_tried_yet_takes_nothing_back() -> None:
    seen = settled()
    assert not plan(saying(seen, p1=replace(wanted(seen), backends={"one": BackendReport()}))).actions


def test_a_backend_that_was_used_is_reachable_and_takes_our_credentials() -> None:
    (backend,) = settled().backends
    assert [condition(backend["status"], kind)[0] for kind in ("Reachable", "CredentialsValid", "Ready")] == ["True"] * 3


@pytest.mark.parametrize(
    ("reason", "reachable", "valid", "stalled", "phase"),
    [
        ("CredentialsRefused", "True", "False", "True", "Degraded"),
        ("Refused", "True", "Unknown", "True", "Failed"),
        ("BucketElsewhere", "True", "Unknown", "True", "Failed"),
        ("Unreachable", "False", "Unknown", "False", "Degraded"),
    ],
)
def test_a_backend_that_one_proxy_cannot_use_is_not_ready(reason: str, reachable: str, valid: str, stalled: str, phase: str) -> None:
    found = backend_of(trying(settled(), reason, "403 InvalidAccessKeyId"))
    assert condition(found, "Ready") == ("False", reason, "pod p1: 403 InvalidAccessKeyId")
    assert condition(found, "Reachable")[0] == reachable
    assert condition(found, "CredentialsValid")[0] == valid
    assert (condition(found, "Stalled")[0], found["phase"]) == (stalled, phase)


def test_a_bucket_that_is_not_there_is_no_matter_of_credentials() -> None:
    found = backend_of(trying(settled(), "BucketNotFound", "404 NoSuchBucket"))
    assert condition(found, "BucketFound") == ("False", "BucketNotFound", "pod p1: 404 NoSuchBucket")
    assert [condition(found, kind)[0] for kind in ("Reachable", "CredentialsValid", "Ready")] == ["True", "True", "False"]
    assert condition(found, "Stalled")[:2] == ("True", "BucketNotFound")


def test_the_database_is_as_ready_as_the_pods_say() -> None:
    seen = settled()
    assert seen.orchestrator is not None
    assert condition(seen.orchestrator["status"], "DatabaseReady")[:2] == ("True", "Connected")
    found = statuses(saying(seen, p1=replace(wanted(seen), troubles=("the database is away",))))["S3Orchestrator"]
    assert condition(found, "DatabaseReady") == ("False", "Unavailable", "pod p1: the database is away")
    assert condition(found, "Degraded")[:2] == ("True", "DatabaseUnavailable")
