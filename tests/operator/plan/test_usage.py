"""Figures in a status: exact when written, and written when what a person reads of them changes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.operator.plan.test_planner import carried_out
from tests.operator.plan.test_sync import saying, settled, statuses, wanted

from s3o_operator.plan.contacts import BackendReport, BucketReport
from s3o_operator.plan.observed import Observed
from s3o_operator.plan.usage import backend_usage, bucket_usage, size, total_usage

GI = 2**30
NOW, LATER = "2026-11-21T10:00:00Z", "2026-11-21T10:00:30Z"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0B"),
        (512, "512B"),
        (1024, "1Ki"),
        (100 * 2**20, "100Mi"),
        (20 * GI, "20Gi"),
        (13314398618, "12.4Gi"),
        (1023 * GI, "1023Gi"),
        (2**70, "1024Ei"),
    ],
)
def test_a_size_is_short(count: int, text: str) -> None:
    assert size(count) == text


def test_a_backend_says_how_full_it_is() -> None:
    usage = backend_usage(BackendReport(used=13314398618, orphan=1048576, objects=7211, quota=20 * GI), None, NOW)
    assert usage == {
        "bytesUsed": 13314398618,
        "bytesLimit": 20 * GI,
        "orphanBytes": 1048576,
        "objectCount": 7211,
        "size": "12.4Gi",
        "summary": "12.4Gi/20Gi (62%)",
        "updatedAt": NOW,
    }
    unlimited = backend_usage(BackendReport(used=GI, quota=0), None, NOW)
    assert (unlimited["summary"], "bytesLimit" in unlimited) == ("1Gi", False)


def test_a_bucket_says_what_lies_in_it() -> None:
    assert bucket_usage(BucketReport(733, 104857600), None, NOW)["summary"] == "733 objects, 100Mi"
    assert bucket_usage(BucketReport(1, 5), None, NOW)["summary"] == "1 object, 5B"


def test_a_sum_has_a_limit_where_every_part_has_one() -> None:
    limited, unlimited = BackendReport(used=GI, objects=1, quota=2 * GI), BackendReport(used=GI, objects=2)
    assert total_usage([limited, limited], None, NOW)["summary"] == "2Gi/4Gi (50%)"
    assert total_usage([limited, unlimited], None, NOW)["summary"] == "2Gi"
    assert total_usage([], None, NOW)["summary"] == "0B"


@pytest.mark.parametrize(
    ("before", "after", "written"),
    [
        (BucketReport(733, 104857600), BucketReport(734, 104857600), True),
        (BucketReport(73300, 104857600), BucketReport(73301, 104857601), False),
        (BucketReport(73300, 104857600), BucketReport(73400, 104857600), True),
        (BucketReport(73300, 104857600), BucketReport(73300, 2 * 104857600), True),
    ],
)
def test_only_what_a_person_would_see_is_written(before: BucketReport, after: BucketReport, written: bool) -> None:
    first = bucket_usage(before, None, NOW)
    second = bucket_usage(after, first, LATER)
    assert (second != first) == written
    assert second["updatedAt"] == (LATER if written else NOW)


def counting(seen: Observed, objects: int) -> Observed:
    figures = {"one": BackendReport(used=objects * 1000, objects=objects, quota=10**9, checked=True)}
    return saying(seen, p0=replace(wanted(seen), backends=figures, buckets={"photos": BucketReport(objects, objects * 1000)}))


def test_statuses_bear_what_the_pods_count() -> None:
    found = statuses(counting(settled(), 5))
    assert found["StorageBackend"]["usage"]["objectCount"] == 5
    assert found["VirtualBucket"]["usage"]["summary"] == "5 objects, 4.9Ki"
    assert found["S3Orchestrator"]["usage"]["bytesUsed"] == 5000


def test_figures_stay_while_nobody_can_be_asked() -> None:
    seen = counting(settled(), 5)
    found = statuses(replace(seen, contacts={}, pods=()))
    assert "usage" not in found["VirtualBucket"]
    known = carried_out(seen)
    assert statuses(replace(known, contacts={}, pods=()))["VirtualBucket"]["usage"]["objectCount"] == 5
