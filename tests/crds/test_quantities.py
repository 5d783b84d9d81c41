"""Scalars of Kubernetes: what is read, and how the API server would keep it."""

from __future__ import annotations

import pytest

from s3o_crds.quantities import CPU, CountOrPercent, canonical_size
from s3o_crds.values import ByteSize


@pytest.mark.parametrize(
    ("written", "kept"), [("500m", "500m"), ("1000m", "1"), (2, "2"), ("1.5", "1500m"), ("0.25", "250m"), ("1.050", "1050m"), ("2.0", "2")]
)
def test_cpu_is_kept_as_the_api_server_keeps_it(written: str | int, kept: str) -> None:
    assert CPU(written).canonical == kept


@pytest.mark.parametrize("bad", ["", "m", "1.5m", "-1", "1k", "1.2345", "1000"])
def test_what_is_no_cpu(bad: str) -> None:
    with pytest.raises(ValueError, match="is not an amount of CPU"):
        CPU(bad)


def test_a_count_or_a_percentage() -> None:
    assert (CountOrPercent(3).canonical, CountOrPercent("3").canonical, CountOrPercent("25%").canonical) == (3, 3, "25%")
    assert [CountOrPercent(text).is_zero for text in ("0", "0%", "1", "10%")] == [True, True, False, False]
    with pytest.raises(ValueError, match="is not a count"):
        CountOrPercent("25 %")


@pytest.mark.parametrize(
    ("written", "kept"),
    [("1Gi", "1Gi"), ("1024Mi", "1Gi"), ("1.5Gi", "1536Mi"), ("1000M", "1G"), ("1500000000", "1500M"), ("1000Ki", "1000Ki"), ("7", "7")],
)
def test_a_size_is_kept_as_the_api_server_keeps_it(written: str, kept: str) -> None:
    assert canonical_size(ByteSize(written).bytes) == kept
