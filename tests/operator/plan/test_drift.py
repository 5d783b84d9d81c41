"""Wanted fields must be there; what others added may be."""

from __future__ import annotations

import pytest

from s3o_operator.plan.drift import difference, holds
from s3o_operator.plan.manifests.labels import child
from s3o_operator.plan.observed import Key, Object


@pytest.mark.parametrize(
    ("wanted", "live", "expected"),
    [
        ({"a": 1}, {"a": 1, "default": 2}, True),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, False),
        ({"a": {}}, {}, True),
        ({"a": [1, 2]}, {"a": [2, 1]}, False),
        ([{"name": "x", "v": 1}], [{"name": "added"}, {"name": "x", "v": 1, "w": 2}], True),
        ([{"name": "x", "v": 1}], [{"name": "y", "v": 1}], False),
        ([{"port": 1}], [], False),
    ],
)
def test_what_holds(wanted: object, live: object, expected: bool) -> None:
    assert holds(wanted, live) is expected


def manifest(**data: str) -> Object:
    return child(Key("ns", "main"), "v1", "ConfigMap", "one", None, data=data)


def test_a_field_that_is_no_longer_wanted_is_a_change_although_all_wanted_ones_are_there() -> None:
    assert difference(manifest(a="1"), manifest(a="1", b="2")) == "changed"
    assert difference(manifest(a="1"), None) == "missing"
    assert difference(manifest(a="1"), manifest(a="1")) == ""
    assert difference(manifest(a="1"), manifest(a="1") | {"data": {"a": "2"}}) == "drifted"
