"""By whose word a backend is drained. A status that was latched is what the next look begins with."""

from __future__ import annotations

from typing import Any

import pytest

from s3o_operator.plan.draining import Decision, decide_drain, is_drained, is_held
from s3o_operator.plan.observed import Object

FIRST: Object = {}
SETTLED: Object = {"observedGeneration": 1}


def backend(status: Object = SETTLED, *, drain: str = "", generation: int = 1) -> Object:
    annotations = {"s3orchestrator.io/drain": drain} if drain else {}
    metadata = {"name": "one", "namespace": "default", "uid": "u1", "generation": generation, "annotations": annotations}
    return {"kind": "StorageBackend", "metadata": metadata, "status": status}


def decide(resource: Object, state: str = "Active", *, deleting: bool = False, operations: list[Object] | None = None) -> Decision:
    return decide_drain(resource, state, deleting=deleting, operations=operations)


def after(decision: Decision, **changes: Any) -> Object:
    """The status once the decision is latched, and the proxies have said something."""
    record = decision.record | changes
    entries = [{"kind": "Drain", "token": record["token"], "state": record["state"]}] if record else []
    return SETTLED | {"drain": record, "lastHandled": decision.tokens, "operations": entries}


def asked(decision: Decision) -> tuple[str, str, str]:
    return decision.record["trigger"], decision.record["token"], decision.record["state"]


def operation(token: str, state: str = "Running", subject: str = "u1") -> Object:
    return {"id": f"op-{token}", "kind": "Drain", "subject": subject, "token": token, "backend": "one", "state": state}


class TestAnnotation:
    def test_a_new_token_asks_once(self) -> None:
        first = decide(backend(drain="t1"))
        assert (asked(first), first.must_latch, first.tokens) == (("Annotation", "t1", "Queued"), True, {"drain": "t1"})
        again = decide(backend(after(first), drain="t1"))
        assert (again.record, again.must_latch) == (first.record, False)

    def test_what_stands_there_at_first_sight_is_not_run(self) -> None:
        first = decide(backend(FIRST, drain="t1"))
        assert (first.record, first.must_latch, first.tokens) == ({}, False, {"drain": "t1"})

    def test_taking_it_away_cancels_nothing(self) -> None:
        first = decide(backend(drain="t1"))
        gone = decide(backend(after(first, state="Running")))
        assert (gone.record["state"], gone.must_latch) == ("Running", False)

    def test_a_second_token_does_not_start_a_second_drain_while_one_runs(self) -> None:
        running = after(decide(backend(drain="t1")), state="Running")
        second = decide(backend(running, drain="t2"))
        assert (second.record["token"], second.must_latch, second.tokens) == ("t1", True, {"drain": "t2"})
        assert [reason for reason, _ in second.refused] == ["DrainIsRunning"]

    @pytest.mark.parametrize("state", ["Completed", "Cancelled", "Cancelling"])
    def test_a_second_token_after_the_end_starts_anew(self, state: str) -> None:
        ended = after(decide(backend(drain="t1")), state=state)
        assert asked(decide(backend(ended, drain="t2"))) == ("Annotation", "t2", "Queued")

    @pytest.mark.parametrize("state", ["Queued", "Running", "Stalled", "Completed"])
    def test_cancel_ends_it(self, state: str) -> None:
        before = after(decide(backend(drain="t1")), state=state)
        cancelled = decide(backend(before, drain="cancel"))
        assert (asked(cancelled), cancelled.must_latch) == (("Annotation", "t1", "Cancelling"), True)
        assert not decide(backend(after(cancelled), drain="cancel")).must_latch

    def test_cancel_without_a_drain_is_only_noted(self) -> None:
        cancelled = decide(backend(drain="cancel"))
        assert (cancelled.record, cancelled.tokens, cancelled.must_latch) == ({}, {"drain": "cancel"}, True)

    def test_nonsense_starts_nothing(self) -> None:
        assert decide(backend(drain="t" * 300)).record == {}


class TestSpec:
    def test_draining_asks_also_at_first_sight(self) -> None:
        first = decide(backend(FIRST, generation=3), "Draining")
        assert (asked(first), first.must_latch) == (("Spec", "spec-3", "Queued"), True)

    def test_another_edit_meanwhile_changes_nothing(self) -> None:
        running = after(decide(backend(generation=3), "Draining"), state="Running")
        later = decide(backend(running, generation=4), "Draining")
        assert (asked(later), later.must_latch) == (("Spec", "spec-3", "Running"), False)

    def test_active_again_cancels_it_and_opens_what_is_drained(self) -> None:
        for state in ("Queued", "Running", "Stalled", "Completed"):
            before = after(decide(backend(generation=3), "Draining"), state=state)
            assert asked(decide(backend(before, generation=4))) == ("Spec", "spec-3", "Cancelling")

    def test_draining_active_draining_quickly_is_a_new_drain(self) -> None:
        before = after(decide(backend(generation=3), "Draining"), state="Running")
        cancelling = decide(backend(before, generation=4))
        again = decide(backend(after(cancelling), generation=5), "Draining")
        assert asked(again) == ("Spec", "spec-5", "Queued")

    def test_an_active_that_nobody_saw_is_no_interruption(self) -> None:
        before = after(decide(backend(generation=3), "Draining"), state="Running")
        assert asked(decide(backend(before, generation=5), "Draining")) == ("Spec", "spec-3", "Running")

    def test_it_takes_over_what_an_annotation_began(self) -> None:
        running = after(decide(backend(drain="t1")), state="Running")
        taken = decide(backend(running, drain="t1", generation=2), "Draining")
        assert (asked(taken), taken.must_latch) == (("Spec", "t1", "Running"), True)

    def test_it_wins_over_cancel_and_over_tokens(self) -> None:
        running = after(decide(backend(), "Draining"), state="Running")
        cancel = decide(backend(running, drain="cancel"), "Draining")
        assert (asked(cancel), cancel.tokens) == (("Spec", "spec-1", "Running"), {"drain": "cancel"})
        assert [reason for reason, _ in cancel.refused] == ["DrainNotCancelled"]
        assert asked(decide(backend(running, drain="t9"), "Draining")) == ("Spec", "spec-1", "Running")

    def test_one_that_was_cancelled_elsewhere_is_asked_for_under_another_token(self) -> None:
        cancelled = after(decide(backend(generation=3), "Draining"), state="Cancelled")
        assert asked(decide(backend(cancelled, generation=3), "Draining")) == ("Spec", "spec-3-2", "Queued")


class TestDeletion:
    def test_it_asks(self) -> None:
        assert asked(decide(backend(), deleting=True)) == ("Deletion", "deletion", "Queued")

    @pytest.mark.parametrize("state", ["Running", "Stalled", "Completed"])
    def test_it_goes_on_with_what_runs_already(self, state: str) -> None:
        before = after(decide(backend(drain="t1")), state=state)
        assert asked(decide(backend(before, drain="t1"), deleting=True)) == ("Deletion", "t1", state)

    def test_it_cannot_be_cancelled(self) -> None:
        running = after(decide(backend(), deleting=True), state="Running")
        cancel = decide(backend(running, drain="cancel"), deleting=True)
        assert asked(cancel) == ("Deletion", "deletion", "Running")
        assert cancel.refused == (("DrainNotCancelled", "the drain (token deletion) goes on: a deletion cannot be undone"),)

    def test_it_begins_anew_after_a_cancel(self) -> None:
        cancelling = after(decide(backend(after(decide(backend(drain="t1")), state="Running"), drain="cancel")))
        assert asked(decide(backend(cancelling), deleting=True)) == ("Deletion", "deletion", "Queued")


class TestRestoredStatus:
    def test_the_drain_that_goes_on_is_found_by_the_uid(self) -> None:
        found = decide(backend(FIRST, drain="t1"), operations=[operation("t1")])
        assert (asked(found), found.must_latch) == (("Annotation", "t1", "Queued"), False)

    def test_one_that_was_asked_by_the_spec_is_cancelled_when_the_spec_says_otherwise(self) -> None:
        found = decide(backend(FIRST), operations=[operation("spec-3")])
        assert (asked(found), found.must_latch) == (("Spec", "spec-3", "Cancelling"), True)

    def test_a_namesake_of_another_uid_inherits_nothing(self) -> None:
        assert decide(backend(FIRST), operations=[operation("t1", subject="u0")]).record == {}

    def test_what_was_cancelled_stays_so(self) -> None:
        assert decide(backend(FIRST), operations=[operation("t1", "Cancelled")]).record == {}


def test_a_backend_takes_nothing_new_from_the_latch_to_the_cancel() -> None:
    states = ("Queued", "Running", "Stalled", "Completed", "Cancelling", "Cancelled")
    assert [is_held({"state": state}) for state in states] == [True, True, True, True, False, False]
    assert not is_held({})
    assert is_drained({"state": "Completed"})
