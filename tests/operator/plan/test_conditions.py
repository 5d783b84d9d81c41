"""Four conditions, of which Reconciling and Stalled never hold together."""

from __future__ import annotations

import pytest

from s3o_operator.plan.conditions import Verdict, conditions, refused, waiting

READY = Verdict(ready=True, reason="Served", message="")


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (READY, {"Accepted": "True", "Ready": "True", "Reconciling": "False", "Stalled": "False"}),
        (waiting("Waiting", "soon"), {"Accepted": "True", "Ready": "False", "Reconciling": "True", "Stalled": "False"}),
        (refused("Invalid", "wrong"), {"Accepted": "False", "Ready": "False", "Reconciling": "False", "Stalled": "True"}),
    ],
)
def test_a_verdict_as_kstatus_reads_it(verdict: Verdict, expected: dict[str, str]) -> None:
    made = conditions({"metadata": {"generation": 3}}, verdict, "now")
    assert {one["type"]: one["status"] for one in made} == expected
    assert {one["observedGeneration"] for one in made} == {3}


def test_a_transition_has_its_time_and_keeps_it() -> None:
    resource = {"metadata": {"generation": 1}}
    before = conditions(resource, waiting("Waiting", "soon"), "first")
    after = conditions(resource | {"status": {"conditions": before}}, READY, "second")
    assert {one["type"]: one["lastTransitionTime"] for one in after} == {
        "Accepted": "first",
        "Ready": "second",
        "Reconciling": "second",
        "Stalled": "first",
    }
