"""Records of a backend that vanish from a database are missed, also when empty ones stand in their place."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.operator.plan.test_identity import FIRST, SECOND, noted, of
from tests.operator.plan.test_identity import annotated as orchestrator_annotated
from tests.operator.plan.test_planner import carried_out
from tests.operator.plan.test_sync import condition, settled

from s3o_operator.plan.contacts import BackendReport
from s3o_operator.plan.observed import Object, Observed
from s3o_operator.plan.planner import plan
from s3o_operator.plan.records import ADOPT

THEN, NOW = "2026-10-01T08:00:00.123Z", "2026-11-21T09:59:00.456Z"


def knowing(seen: Observed, since: str | None, database_id: str = FIRST) -> Observed:
    """The database knows the backend since then."""
    return of(seen, database_id, backends={"one": BackendReport(checked=True, registered_at=since)})


def served(since: str | None = THEN) -> Observed:
    return carried_out(knowing(noted(settled()), since))


def annotated(seen: Observed, value: str) -> Observed:
    (backend,) = seen.backends
    return replace(seen, backends=(backend | {"metadata": backend["metadata"] | {"annotations": {ADOPT: value}}},))


def status_of(seen: Observed) -> Object:
    status: Object = seen.backends[0]["status"]
    return status


def test_they_are_noted_when_a_proxy_first_tells_of_them() -> None:
    seen = served()
    assert status_of(seen)["records"] == {"databaseId": FIRST, "registeredAt": THEN}
    assert condition(status_of(seen), "Ready")[0] == "True"
    assert not plan(seen).actions


@pytest.mark.parametrize(("since", "words"), [(NOW, f"only since {NOW}"), ("", "knows it no more")])
def test_what_vanished_is_missed_and_never_silently_made_anew(since: str, words: str) -> None:
    seen = carried_out(knowing(served(), since))
    for kind, status in (("Ready", "False"), ("Stalled", "True")):
        assert condition(status_of(seen), kind)[:2] == (status, "RecordsLost")
    message = condition(status_of(seen), "Ready")[2]
    assert words in message
    assert f"served with records of {THEN}" in message
    assert (f"annotate with {ADOPT}={NOW}" in message) == bool(since)
    assert status_of(seen)["records"]["registeredAt"] == THEN
    assert not plan(seen).actions


def test_a_backup_that_has_them_heals_it() -> None:
    seen = carried_out(knowing(carried_out(knowing(served(), NOW)), THEN))
    assert condition(status_of(seen), "Ready")[0] == "True"


def test_the_exact_time_accepts_the_loss() -> None:
    lost = carried_out(knowing(served(), NOW))
    for value in ("yes", THEN, NOW[:-1]):
        assert condition(status_of(carried_out(annotated(lost, value))), "Ready")[1] == "RecordsLost"
    seen = carried_out(annotated(lost, NOW))
    assert condition(status_of(seen), "Ready")[0] == "True"
    assert status_of(seen)["records"]["registeredAt"] == NOW
    # And it is used up with that.
    assert condition(status_of(carried_out(knowing(seen, "2026-12-01T00:00:00.000Z"))), "Ready")[1] == "RecordsLost"


def test_with_another_database_as_a_whole_all_of_them_are_new() -> None:
    seen = orchestrator_annotated(knowing(served(), NOW, SECOND), SECOND)
    seen = carried_out(carried_out(seen))
    seen = carried_out(knowing(seen, NOW, SECOND))
    assert condition(status_of(seen), "Ready")[0] == "True"
    assert status_of(seen)["records"] == {"databaseId": SECOND, "registeredAt": NOW}


def test_what_nobody_says_is_no_loss() -> None:
    assert "records" not in status_of(served(None))
    seen = carried_out(knowing(served(), None))
    assert condition(status_of(seen), "Ready")[0] == "True"
    assert status_of(seen)["records"]["registeredAt"] == THEN
