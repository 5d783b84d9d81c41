"""What the probes share."""

from __future__ import annotations

import pytest
from tests.support.postgres import PostgresServer


@pytest.fixture
def database_uri(postgres: PostgresServer) -> str:
    """An empty database; it lives as long as the server, since the fleet that uses it outlives the test."""
    return postgres.uri(postgres.create_database())
