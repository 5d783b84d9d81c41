"""What Argo CD's users may do: an action sets the annotation that `kubectl annotate` would, and is offered when it makes sense."""

from __future__ import annotations

import re

import pytest
from tests.support import resources
from tests.support.argo import Object, act, actions, enabled, run

from s3o_operator.plan.draining import CANCEL, DRAIN
from s3o_operator.plan.pausing import is_paused
from s3o_operator.plan.triggers import request_of

KINDS = (resources.orchestrator(), resources.backend(), resources.bucket())
EVERY_ACTION = [(document, name) for document in KINDS for name in actions(document["kind"])[1]]


def notes_of(resource: Object) -> dict[str, str]:
    found: dict[str, str] = resource["metadata"].get("annotations") or {}
    return found


@pytest.mark.parametrize("document", KINDS, ids=lambda document: document["kind"])
def test_what_is_offered_is_defined_and_the_other_way_round(document: Object) -> None:
    discovery, defined = actions(document["kind"])
    offered = run(discovery, document)
    assert offered.keys() == defined.keys()
    assert all(one["displayName"] and one["iconClass"].startswith("fa ") for one in offered.values())


@pytest.mark.parametrize(("document", "name"), EVERY_ACTION, ids=lambda one: one if isinstance(one, str) else one["kind"])
def test_an_action_changes_annotations_of_ours_and_nothing_else(document: Object, name: str) -> None:
    noted = resources.changed(document, {"metadata.annotations": {"note": "mine"}})
    for before in (document, noted):
        after = act(before, name)
        changed = {key for key, value in notes_of(after).items() if notes_of(before).get(key) != value}
        assert all(key.startswith("s3orchestrator.io/") for key in changed)
        assert notes_of(before).items() <= notes_of(after).items()
        assert {**after, "metadata": {**after["metadata"], "annotations": None}} == {
            **before,
            "metadata": {**before["metadata"], "annotations": None},
        }


@pytest.mark.parametrize(
    ("document", "name", "annotation"),
    [
        (resources.backend(), "drain", "drain"),
        (resources.orchestrator(), "rebalance", "rebalance"),
        (resources.orchestrator(), "restart", "restart"),
        (resources.bucket(), "rotate-credentials", "rotate-credentials"),
        *((document, "reconcile", "reconcile") for document in KINDS),
    ],
    ids=lambda one: one if isinstance(one, str) else one["kind"],
)
def test_a_run_is_asked_for_by_the_time_of_day(document: Object, name: str, annotation: str) -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", notes_of(act(document, name))[f"s3orchestrator.io/{annotation}"])


def test_the_operator_takes_them_for_what_they_mean() -> None:
    seen = {**resources.backend(), "status": {"observedGeneration": 1}}
    drain, cancel = (request_of(act(seen, name), DRAIN) for name in ("drain", "cancel-drain"))
    assert drain is not None
    assert drain.is_new
    assert not drain.problem
    assert cancel is not None
    assert cancel.token == CANCEL
    assert notes_of(act(resources.orchestrator(), "cancel-rebalance")) == {"s3orchestrator.io/rebalance": "cancel"}


def test_pause_and_resume_undo_each_other() -> None:
    orchestrator = resources.orchestrator()
    paused = act(orchestrator, "pause")
    assert is_paused(paused)
    assert enabled(paused) == {"resume"}
    assert act(paused, "resume") == orchestrator
    noted = resources.changed(paused, {"metadata.annotations": {"s3orchestrator.io/paused": "true", "note": "mine"}})
    assert notes_of(act(noted, "resume")) == {"note": "mine"}
    assert "resume" not in enabled(orchestrator)
    assert "pause" in enabled(orchestrator)


@pytest.mark.parametrize(
    ("state", "offered"),
    [
        ("", {"drain"}),
        ("Running", {"cancel-drain"}),
        ("Stalled", {"cancel-drain"}),
        ("Completed", {"cancel-drain"}),
        ("Cancelled", {"drain"}),
    ],
)
def test_a_drain_is_offered_where_none_is_and_its_end_where_one_is(state: str, offered: set[str]) -> None:
    backend = resources.backend() | ({"status": {"drain": {"state": state}}} if state else {})
    assert enabled(backend) & {"drain", "cancel-drain"} == offered
    by_spec = resources.changed(backend, {"spec.state": "Draining"})
    assert not enabled(by_spec) & {"drain", "cancel-drain"}, "what Git says is changed in Git"


def test_a_rebalance_is_cancelled_while_it_runs() -> None:
    running = resources.orchestrator() | {"status": {"rebalance": {"state": "Running"}}}
    assert enabled(running) & {"rebalance", "cancel-rebalance"} == {"cancel-rebalance"}
    assert enabled(resources.orchestrator()) & {"rebalance", "cancel-rebalance"} == {"rebalance"}
