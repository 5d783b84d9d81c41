"""What a pod is, where it is called, and what of its answer is believed."""

from __future__ import annotations

from typing import Any

import pytest
from tests.operator.plan.test_sync import pod

from s3o_operator.plan.contacts import BackendReport, BucketReport, Report, is_ready, read_report, url_of

CONTAINER = {
    "name": "proxy",
    "ports": [{"name": "s3", "containerPort": 9000}],
    "readinessProbe": {"httpGet": {"path": "/health/ready", "port": "s3", "scheme": "HTTPS"}},
}


def with_container(**changes: Any) -> dict[str, Any]:
    found = pod("p0", **changes)
    return found | {"spec": {"nodeName": "n", "containers": [CONTAINER]}}


@pytest.mark.parametrize(
    ("status", "url"),
    [
        ({}, "https://10.0.0.1:9000"),
        ({"podIP": "fd00::1"}, "https://[fd00::1]:9000"),
        ({"podIP": ""}, ""),
        ({"phase": "Pending"}, ""),
        ({"phase": "Failed"}, ""),
    ],
)
def test_a_pod_is_called_at_its_own_address_by_the_scheme_of_its_probe(status: dict[str, Any], url: str) -> None:
    assert url_of(with_container(**status)) == url


def test_a_pod_without_our_port_is_not_called() -> None:
    assert url_of(pod("p0")) == ""


def test_a_pod_that_leaves_is_not_ready() -> None:
    leaving = pod("p0")
    leaving["metadata"]["deletionTimestamp"] = "2026-11-21T10:00:00Z"
    assert (is_ready(pod("p0")), is_ready(leaving), is_ready(pod("p0", ready=False))) == (True, False, False)


def test_a_report_is_read() -> None:
    said = {
        "generation": 7,
        "digest": "abc",
        "databaseId": "5f0c",
        "configRefusal": ["no"],
        "troubles": ["the database is away"],
        "backends": {"one": {"used": 1, "orphan": 2, "objects": 3, "quota": None, "check": {"reason": "Unreachable", "message": "x"}}},
        "buckets": {"photos": {"objects": 4, "bytes": 5}},
        "more": "of a newer version",
    }
    backend = BackendReport(used=1, orphan=2, objects=3, quota=None, checked=True, reason="Unreachable", problem="x")
    read = read_report(said)
    assert read == Report(7, "abc", ("no",), ("the database is away",), {"one": backend}, {"photos": BucketReport(4, 5)}, "5f0c")
    assert read.without_figures().database_id == "5f0c"
    assert read.without_figures().backends["one"] == BackendReport(checked=True, reason="Unreachable", problem="x")


def test_an_older_pod_says_less() -> None:
    assert read_report({"generation": 7, "digest": "abc"}) == Report(7, "abc")


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"generation": "7", "digest": "abc"},
        {"generation": 7, "digest": "abc", "backends": {"one": {}}},
        {"generation": 7, "digest": "a", "buckets": 3},
    ],
)
def test_what_makes_no_sense_is_no_report(said: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="status"):
        read_report(said)
