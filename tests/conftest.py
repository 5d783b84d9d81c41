"""Fixtures that more than one folder of tests uses; each is described where it is defined."""

from __future__ import annotations

from collections.abc import Generator

import hypothesis
import pytest
from tests.support.fleet import launch, logs_of_running_proxies
from tests.support.kube import bare_cluster
from tests.support.operators import installed_cluster
from tests.support.postgres import own_postgres, postgres, postgres_database
from tests.support.seaweedfs import seaweedfs

# Here and nowhere else: what two folders import by themselves is two fixtures, and each process of the tests has two API servers.
__all__ = ["bare_cluster", "installed_cluster", "launch", "own_postgres", "postgres", "postgres_database", "seaweedfs"]

# How long an example takes says how busy the machine is, and nothing of the code.
hypothesis.settings.register_profile("s3o", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("s3o")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits longest begins first: one process of the tests would end minutes after the others."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/probe/"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows what the proxies wrote. A skipped one is a failed one: what it needs is missing, and it says what."""
    report = yield
    _fail_if_skipped(report)
    if report.failed:
        report.sections += logs_of_running_proxies()
    # Of several processes, one hands its reports to another in UTF-8, whatever a test wrote.
    report.sections = [(title, text.encode("utf-8", "backslashreplace").decode()) for title, text in report.sections]
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_if_skipped(report)
    return report


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} did not run ({reason}). A test that cannot run is a failure here: supply what it needs."
