"""Who decides the replicas: the steps of each change, as a plan shows them. tests/operator/test_autoscaling.py does them for real."""

from __future__ import annotations

from tests.support.blueprints import KEY, made, one
from tests.support.operator_fields import SCALED, SMALL

from s3o_operator.plan.actions import Ensure, HandOver, Plan, render
from s3o_operator.plan.children import deployment_ref
from s3o_operator.plan.handover import is_handed_over, steps
from s3o_operator.plan.observed import Object

FIXED = one(made(SMALL | {"proxy": {"replicas": 3}}), "Deployment")
DECIDED = one(made(SCALED), "Deployment")


def live(manifest: Object, replicas: int) -> Object:
    return manifest | {"spec": manifest["spec"] | {"replicas": replicas}}


def test_another_manager_takes_the_live_value_before_we_let_go_of_it() -> None:
    actions = steps(DECIDED, live(FIXED, 3), "changed", 2)
    assert [type(action) for action in actions] == [HandOver, Ensure]
    assert render(Plan(tuple(actions))) == (
        "hand over the replicas of Deployment default/main-proxy: 3\nensure Deployment default/main-proxy: changed\n"
    )


def test_once_it_is_handed_over_nothing_more_is_done_about_it() -> None:
    assert is_handed_over(live(DECIDED, 7))
    (only,) = steps(DECIDED, live(DECIDED, 7), "drifted", 2)
    assert isinstance(only, Ensure)
    assert "replicas" not in only.manifest["spec"]


def test_it_comes_back_by_being_sent() -> None:
    (only,) = steps(FIXED, live(DECIDED, 7), "changed", 2)
    assert isinstance(only, Ensure)
    assert only.manifest["spec"]["replicas"] == 3


def test_a_new_fleet_starts_with_the_fewest_and_not_with_one() -> None:
    first, handover, second = steps(DECIDED, None, "missing", 2)
    assert isinstance(first, Ensure)
    assert isinstance(second, Ensure)
    assert first.manifest["spec"]["replicas"] == 2
    assert handover == HandOver(deployment_ref(KEY), 2)
    assert "replicas" not in second.manifest["spec"]
