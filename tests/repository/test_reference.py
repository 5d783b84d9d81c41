"""The reference pages say of every metric and error what the code says, and of nothing else."""

from __future__ import annotations

import re

from prometheus_client.metrics import MetricWrapperBase
from tests.support.repository import inline_code, table_rows

from s3o_operator.metrics import Metrics as OperatorMetrics
from s3o_proxy.s3.errors import CODES
from s3o_proxy.telemetry.metrics import Metrics

METRICS, ERRORS = "docs/reference/metrics.md", "docs/reference/errors.md"
OPERATOR_METRICS = "docs/reference/operator-metrics.md"


def test_every_metric_is_described_with_its_type_and_labels() -> None:
    described = {row[0].strip("`"): (row[1], tuple(re.findall(r"`(\w+)`", row[2]))) for row in table_rows(METRICS)}
    exposed = {name: (kind, labels) for name, kind, labels in Metrics("test").described()}
    for name, shape in exposed.items():
        assert described.get(name) == shape, f"describe {name} {shape} in {METRICS}"
    assert described.keys() == exposed.keys(), f"{METRICS} describes {described.keys() - exposed.keys()}, which nothing exposes"


def test_every_metric_of_the_operator_is_described_with_its_type_and_labels() -> None:
    described = {row[0].strip("`"): (row[1], tuple(re.findall(r"`(\w+)`", row[2]))) for row in table_rows(OPERATOR_METRICS)}
    exposed = {}
    for metric in vars(OperatorMetrics()).values():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            exposed[family.name + ("_total" if family.type == "counter" else "")] = (family.type, metric._labelnames)
    assert described == exposed


def test_every_error_is_described_with_its_status() -> None:
    described = inline_code(ERRORS)
    for code, (status, _) in CODES.items():
        assert code in described, f"describe {code} in {ERRORS}"
        rows = [row for row in table_rows(ERRORS) if row[0] == f"`{code}`"]
        assert [row[1] for row in rows] in ([], [str(status)]), f"{ERRORS} gives {code} another status than {status}"


def test_no_error_is_described_that_does_not_exist() -> None:
    named = {row[0].strip("`") for row in table_rows(ERRORS)}
    assert named <= CODES.keys(), f"{ERRORS} describes {named - CODES.keys()}"
