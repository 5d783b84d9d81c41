"""A record is asked for once, mirrors what the proxies say, and is never worse off for what they did not say."""

from __future__ import annotations

from typing import Any

import pytest

from s3o_operator.plan.actions import CancelOperation, StartOperation
from s3o_operator.plan.observed import Object, Ref
from s3o_operator.plan.operations import (
    MOST_ENTRIES,
    Subject,
    carry,
    entries_with,
    is_busy,
    new_record,
    percent,
    plan_of,
    unused_token,
)

REF = Ref("StorageBackend", "default", "one")
SUBJECT = Subject(REF, "u1", backend="one")
HALF = {"objectsTotal": 100, "objectsMoved": 40, "objectsRemaining": 60, "bytesTotal": 1000, "bytesRemaining": 600, "bytesPerSecond": 7}


def operation(token: str = "t1", state: str = "Running", subject: str = "u1", **fields: Any) -> Object:
    known = {"id": f"op-{subject}-{token}", "kind": "Drain", "subject": subject, "token": token, "backend": "one", "bucket": None}
    return known | {"state": state, "reason": "", "progress": HALF, "plan": None, "startedAt": "2026-11-21T10:00:00Z"} | fields


def record(state: str = "Queued", **fields: Any) -> Object:
    return new_record("Drain", "Annotation", "t1") | {"state": state} | fields


def test_what_is_latched_and_unknown_to_the_proxies_is_asked_for() -> None:
    carried = carry("Drain", record(), SUBJECT, ())
    assert carried.actions == (StartOperation(REF, "u1", "Drain", "t1", backend="one"),)
    assert carried.record["summary"] == "queued"


def test_what_they_have_is_mirrored_and_not_asked_for_again() -> None:
    carried = carry("Drain", record(), SUBJECT, (operation(),))
    assert carried.actions == ()
    assert carried.record == {
        "trigger": "Annotation",
        "token": "t1",
        "state": "Running",
        "id": "op-u1-t1",
        "startedAt": "2026-11-21T10:00:00Z",
        **HALF,
        "summary": "40% (60 left)",
    }


def test_nothing_is_concluded_from_no_answer() -> None:
    running = carry("Drain", record(), SUBJECT, (operation(),)).record
    assert carry("Drain", running, SUBJECT, None).record == running
    assert carry("Drain", running, SUBJECT, None).actions == ()


def test_a_figure_that_is_not_told_is_kept_but_no_speed_and_no_error_of_the_past() -> None:
    before = record("Running", **HALF, id="op-u1-t1", lastError="timed out", estimatedCompletionTime="2026-11-21T11:00:00Z")
    carried = carry("Drain", before, SUBJECT, (operation(progress={}),))
    assert carried.record["objectsMoved"] == 40
    assert not {"bytesPerSecond", "lastError", "estimatedCompletionTime"} & carried.record.keys()


def test_one_that_the_proxies_have_lost_is_asked_for_again_with_its_figures_kept() -> None:
    carried = carry("Drain", record("Running", **HALF), SUBJECT, ())
    assert [type(action) for action in carried.actions] == [StartOperation]
    assert carried.record["objectsMoved"] == 40


def test_a_cancel_is_asked_for_until_it_has_happened() -> None:
    cancelling = record("Cancelling")
    for state in ("Pending", "Running", "Stalled", "Succeeded"):
        carried = carry("Drain", cancelling, SUBJECT, (operation(state=state),))
        assert carried.actions == (CancelOperation(REF, "u1", "op-u1-t1", "Drain"),)
        assert carried.record["state"] == "Cancelling"
    done = carry("Drain", cancelling, SUBJECT, (operation(state="Cancelled"),))
    assert (done.actions, done.record["state"], done.record["summary"]) == ((), "Cancelled", "cancelled at 40%")


def test_what_was_never_begun_is_cancelled_at_once() -> None:
    carried = carry("Drain", record("Cancelling"), SUBJECT, ())
    assert (carried.actions, carried.record["state"]) == ((), "Cancelled")


def test_a_drain_of_a_namesake_is_cancelled_and_not_inherited() -> None:
    foreign = operation("t9", "Succeeded", subject="u0")
    assert carry("Drain", {}, SUBJECT, (foreign,)).actions == (CancelOperation(REF, "u1", "op-u0-t9", "Drain"),)
    # One at a time: the proxies allow no two drains of a backend.
    assert [type(action) for action in carry("Drain", record(), SUBJECT, (foreign,)).actions] == [CancelOperation]


@pytest.mark.parametrize("other", [{"backend": "two"}, {"kind": "Rebalance"}, {"state": "Cancelled"}])
def test_what_concerns_others_or_has_ended_is_left_alone(other: Object) -> None:
    assert carry("Drain", {}, SUBJECT, (operation(subject="u0") | other,)).actions == ()


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("Pending", ("Queued", "queued", True)),
        ("Running", ("Running", "40% (60 left)", True)),
        ("Stalled", ("Stalled", "stalled at 40% (60 left)", True)),
        ("Succeeded", ("Completed", "drained", False)),
        ("Cancelled", ("Cancelled", "cancelled at 40%", False)),
    ],
)
def test_each_state_reads_well(theirs: str, ours: tuple[str, str, bool]) -> None:
    mirrored = carry("Drain", record(), SUBJECT, (operation(state=theirs),)).record
    assert (mirrored["state"], mirrored["summary"], is_busy(mirrored)) == ours


def test_it_is_at_100_percent_only_when_nothing_is_left() -> None:
    assert percent({"objectsTotal": 5000, "objectsRemaining": 1}) == 99
    assert percent({"objectsTotal": 5000, "objectsRemaining": 0}) == 100
    assert percent({"objectsTotal": 0, "objectsRemaining": 3}) == 0
    assert percent({"objectsTotal": 0, "objectsRemaining": 0}) == 100


def test_both_figures_of_what_does_not_fit_are_told() -> None:
    planned = {"objects": 3, "bytes": 9, "calls": 6, "fits": False, "requiredBytes": 9, "availableBytes": 4}
    traffic = {"two": {"bytesIn": 4, "bytesOut": 0, "calls": 3}, "one": {"bytesIn": 0, "bytesOut": 9, "calls": 3}}
    stalled = operation(state="Stalled", reason="InsufficientCapacity", plan=planned | {"backends": traffic})
    carried = carry("Drain", record(), SUBJECT, (stalled,))
    told = (carried.record["requiredBytes"], carried.record["destinationBytesAvailable"], carried.record["reason"])
    assert told == (9, 4, "InsufficientCapacity")
    assert carried.plan == planned | {"backends": [{"name": "one", **traffic["one"]}, {"name": "two", **traffic["two"]}]}
    assert plan_of(operation()) is None


def test_the_list_of_operations_is_bounded_and_the_newest_is_first() -> None:
    entries: list[Object] = []
    for number in range(MOST_ENTRIES + 5):
        entries = entries_with(entries, "Drain", new_record("Drain", "Annotation", f"t{number}") | {"state": "Running"})
    assert len(entries) == MOST_ENTRIES
    assert (entries[0]["token"], entries[0]["state"]) == ("t14", "Running")
    assert {one["state"] for one in entries[1:]} == {"Cancelled"}
    assert entries_with(entries, "Drain", {}) == entries


def test_an_entry_stays_in_its_place_while_it_goes_on() -> None:
    first = entries_with([], "Drain", record())
    assert entries_with(first, "Drain", record("Running", id="op")) == [
        {"kind": "Drain", "token": "t1", "state": "Running", "message": "queued", "id": "op"}
    ]


def test_a_token_that_was_used_is_not_used_again() -> None:
    assert unused_token("Drain", "deletion", []) == "deletion"
    used = [{"kind": "Drain", "token": "deletion"}, {"kind": "Purge", "token": "deletion-2"}]
    assert unused_token("Drain", "deletion", used) == "deletion-2"
