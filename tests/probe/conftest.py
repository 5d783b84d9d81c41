"""What the probes share."""

from __future__ import annotations

import pytest
from tests.support.postgres import PostgresServer


@pytest.fixture
def database_uri(postgres: PostgresServer) -> str:
    """An empty database; it lives as long as the server, since the fleet that uses it outlives the test."""
    return postgres.uri(postgres.create_database())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many points each story was struck at."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    lines = [value for report in reports for name, value in report.user_properties if name == "points"]
    if lines:
        terminalreporter.section("points")
        for line in lines:
            terminalreporter.line(str(line))
