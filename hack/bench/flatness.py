"""Whether a page of LIST with a delimiter costs the same in a bucket of a million keys as in one of ten thousand.

The keys are written straight into the tables, ten folders of them, and the pages are asked of the ledger, which is where their cost
could grow: what comes before and after it is measured by the other cases.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import uvloop
from hack.bench import ours

from s3o_crds.compiled import DatabaseConfig
from s3o_proxy.domain.model import ListQuery
from s3o_proxy.metadata.open import open_ledger
from s3o_proxy.metadata.port import Metadata

FOLDERS = 10
FEW, MANY = 10_000, 1_000_000
_PAGES = 200

_COLUMNS = (
    "bucket, key, write_id, size_bytes, etag, modified_ms, headers, user_metadata, checksums, checksum_type, content_hash, part_sizes"
)
_VALUES = "'{bucket}', 'folder-' || (n % 10) || '/' || n, 'w' || n, 1, '', 0, '{{}}', '{{}}', '{{}}', 'FULL_OBJECT', '', '[]'"
_SQLITE = "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {count})"
_POSTGRES = "generate_series(0, {count} - 1) AS numbers(n)"


@dataclass(frozen=True)
class Flatness:
    """Microseconds for a page over few keys and over many, medians."""

    database: str
    few_us: float
    many_us: float

    @property
    def line(self) -> str:
        ratio = self.many_us / self.few_us
        return (
            f"LIST with a delimiter, {FOLDERS} folders, {self.database}: {self.few_us:,.0f} µs over {FEW:,} keys, "
            f"{self.many_us:,.0f} µs over {MANY:,}: {ratio:.2f} times"
        )


def measure(scratch: Path, database: str, few: int = FEW, many: int = MANY) -> Flatness:
    """`database`: postgres or sqlite, started for this. Raises CannotRunError."""
    with _database(scratch, database) as (config, secrets):
        return uvloop.run(_measure(config, secrets, database, few, many))


@contextlib.contextmanager
def _database(scratch: Path, database: str) -> Iterator[tuple[DatabaseConfig, dict[str, str]]]:
    if database == "sqlite":
        yield DatabaseConfig(driver="SQLite", path=str(scratch / "flatness.db")), {}
        return
    with ours.postgres(scratch) as (_, uri):
        yield DatabaseConfig(driver="Postgres", uri="uri"), {"uri": uri}


async def _measure(config: DatabaseConfig, secrets: dict[str, str], database: str, few: int, many: int) -> Flatness:
    await (await open_ledger(config, secrets)).close()  # It makes the tables.
    for bucket, count in (("few", few), ("many", many)):
        if config.driver == "SQLite":
            _fill_sqlite(config.path, bucket, count)
        else:
            await _fill_postgres(secrets["uri"], bucket, count)
    ledger = await open_ledger(config, secrets)
    try:
        return Flatness(database, await _page_us(ledger, "few"), await _page_us(ledger, "many"))
    finally:
        await ledger.close()


def _fill_sqlite(path: str, bucket: str, count: int) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        numbers, values = _SQLITE.format(count=count), _VALUES.format(bucket=bucket)
        connection.execute(f"INSERT INTO objects ({_COLUMNS}) {numbers} SELECT {values} FROM numbers")


async def _fill_postgres(uri: str, bucket: str, count: int) -> None:
    connection = await asyncpg.connect(uri)
    try:
        numbers, values = _POSTGRES.format(count=count), _VALUES.format(bucket=bucket)
        await connection.execute(f"INSERT INTO objects ({_COLUMNS}) SELECT {values} FROM {numbers}")
        await connection.execute("VACUUM ANALYZE objects")  # As autovacuum would have, some minutes later.
    finally:
        await connection.close()


async def _page_us(ledger: Metadata, bucket: str) -> float:
    query = ListQuery(bucket, delimiter="/")
    costs = []
    for _ in range(_PAGES):
        began = time.perf_counter()
        page = await ledger.list_objects(query)
        costs.append((time.perf_counter() - began) * 1e6)
        assert len(page.prefixes) == FOLDERS, page
        await asyncio.sleep(0)
    return statistics.median(costs)
