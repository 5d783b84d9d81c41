"""A token is run once; what is seen first, what is repeated, what is taken away and what makes no sense is not."""

from __future__ import annotations

import pytest

from s3o_operator.plan.observed import Object
from s3o_operator.plan.triggers import Trigger, last_handled, latched, problems, request_of, to_report

ROTATE = Trigger("rotate-credentials", frozenset({"name"}))


def resource(value: str | None, *, handled: str = "", seen: bool = True) -> Object:
    annotations = {} if value is None else {"s3orchestrator.io/rotate-credentials": value}
    status: Object = {"observedGeneration": 1} | ({"lastHandled": {"rotateCredentials": handled}} if handled else {}) if seen else {}
    return {"metadata": {"name": "photos", "annotations": annotations}, "status": status}


def test_a_new_token_is_to_be_run_and_the_same_again_is_not() -> None:
    request = request_of(resource("t1"), ROTATE)
    assert request is not None
    assert (request.token, request.is_new) == ("t1", True)
    assert latched(resource("t1"), [ROTATE]) == {"rotateCredentials": "t1"}
    again = request_of(resource("t1", handled="t1"), ROTATE)
    assert again is not None
    assert not again.is_new


def test_a_token_that_was_there_at_first_sight_is_latched_and_not_run() -> None:
    first = resource("t1", seen=False)
    request = request_of(first, ROTATE)
    assert request is not None
    assert not request.is_new
    assert to_report(first, [ROTATE]) == {"rotateCredentials": "t1"}


def test_a_report_latches_nothing_that_came_later() -> None:
    assert to_report(resource("t2", handled="t1"), [ROTATE]) == {"rotateCredentials": "t1"}


@pytest.mark.parametrize("value", [None, ""])
def test_taking_it_away_does_nothing_and_is_forgotten_by_nobody(value: str | None) -> None:
    without = resource(value, handled="t1")
    assert request_of(without, ROTATE) is None
    assert latched(without, [ROTATE]) == last_handled(without) == {"rotateCredentials": "t1"}


def test_parameters_follow_the_token_and_belong_to_what_is_latched() -> None:
    request = request_of(resource("2026-11-21T10:00:00Z;name=writer", handled="2026-11-21T10:00:00Z"), ROTATE)
    assert request is not None
    assert (request.parameters, request.is_new) == ({"name": "writer"}, True)


@pytest.mark.parametrize(
    "value", [";name=writer", "t1;", "t1;name", "t1;name=", "t1;name=a;name=b", "t1;age=3", "t1;name=a b", "é", " t1", "t1\n", "x" * 254]
)
def test_nonsense_is_named_and_neither_latched_nor_run(value: str) -> None:
    nonsense = resource(value, handled="t0")
    (problem,) = problems(nonsense, [ROTATE])
    assert "s3orchestrator.io/rotate-credentials: must be" in problem
    assert latched(nonsense, [ROTATE]) == {"rotateCredentials": "t0"}
    request = request_of(nonsense, ROTATE)
    assert request is not None
    assert not request.is_new


@pytest.mark.parametrize("broken", [{"metadata": {"name": "x"}}, {"metadata": {"name": "x", "annotations": None}, "status": None}])
def test_a_resource_without_annotations_or_status_asks_for_nothing(broken: Object) -> None:
    assert request_of(broken, ROTATE) is None
    assert to_report(broken, [ROTATE]) == {}
