"""Fixtures that more than one folder of tests uses; each is described where it is defined."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from tests.support.fleet import launch, logs_of_running_proxies
from tests.support.postgres import postgres, postgres_database
from tests.support.seaweedfs import seaweedfs

__all__ = ["launch", "postgres", "postgres_database", "seaweedfs"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows what the proxies wrote."""
    report = yield
    if report.failed:
        report.sections += logs_of_running_proxies()
    return report
