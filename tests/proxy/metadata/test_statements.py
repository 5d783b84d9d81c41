"""Every named statement stands in one place, is used, has its sentence, and runs on both engines by an index."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import asyncpg
import pytest

import s3o_proxy.metadata
from s3o_crds.compiled import DatabaseConfig
from s3o_proxy.metadata.connect import dial_with
from s3o_proxy.metadata.migrate import migrate_sqlite
from s3o_proxy.metadata.statements import Compiled, fuse, load_statements, translate

NAMES = sorted(load_statements("sqlite"))

# What no request waits for may look at every row; so may what reads tables that are always small.
MAY_SCAN = {
    "counted_usage",
    "queue_depths",
    "usage",
    "held_bytes",  # a few backends times the stripes
    "reap_intents",  # as many rows as writes are in flight
    "mentions",
    "fences",  # as many rows as backends
    "registrations",  # as many rows as backends
    "located",  # as many rows as backends
    "vouched",  # as many rows as backends
    "which_database",  # one row
    "list_operations",
    "active_operations",  # as many rows as somebody asked for by hand
    "remains",
    "bucket_remains",
    "weigh_backend",
    "forget_counts",
    "bucket_usage",  # as many rows as buckets
}
# Beside a look at anything else: PostgreSQL 18 reads a page of them sooner than an index of one.
MAY_BE_SCANNED = {"leases"}  # as many rows as processes


def asked() -> dict[str, str]:
    """Names of statements that stories ask for, and the files that do."""
    folder = Path(s3o_proxy.metadata.__file__).parent
    return {
        name: file.name
        for file in folder.glob("*.py")
        for name in re.findall(r'\b(?:ask|ask_each|later|_over)\(\s*"(\w+)"', file.read_text(encoding="utf-8"))
    }


def test_every_statement_is_asked_for_and_every_one_asked_for_exists() -> None:
    assert sorted(asked()) == NAMES


def test_both_dialects_have_the_same_statements_with_the_same_parameters() -> None:
    postgres, sqlite = load_statements("postgres"), load_statements("sqlite")
    assert postgres.keys() == sqlite.keys()
    for name in NAMES:
        assert set(postgres[name].parameters) == set(sqlite[name].parameters), name


@pytest.mark.parametrize("name", NAMES)
def test_a_statement_has_a_sentence(name: str) -> None:
    assert re.fullmatch(r"[A-Z].*\.", load_statements("sqlite")[name].sentence)


@pytest.fixture
def empty() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate_sqlite(connection)
    return connection


@pytest.mark.parametrize("name", NAMES)
def test_a_statement_goes_by_an_index_on_sqlite(empty: sqlite3.Connection, name: str) -> None:
    statement = load_statements("sqlite")[name]
    parameters = dict.fromkeys(statement.parameters, 1) | {"batch": "[{}]"}
    plan = [row[3] for row in empty.execute(f"EXPLAIN QUERY PLAN {statement.sql}", parameters)]
    tables = {row[0] for row in empty.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    scanned = {words[1] for words in map(str.split, plan) if words[0] == "SCAN" and words[1] in tables and "VIRTUAL" not in words}
    empty.close()
    assert name in MAY_SCAN or not scanned, plan


async def test_every_statement_is_prepared_by_postgres(migrated_database: DatabaseConfig) -> None:
    connection = await dial_with(migrated_database, {}, read_only=False)("batches")
    for statement in load_statements("postgres").values():
        prepared = await connection.prepare(statement.sql)
        assert len(prepared.get_parameters()) == len(statement.parameters), statement.name
    await connection.close()


async def test_a_statement_goes_by_an_index_on_postgres(migrated_database: DatabaseConfig) -> None:
    """On tables that were never analysed, as they are while a new deployment fills up."""
    connection = await dial_with(migrated_database, {}, read_only=False)("batches")
    await connection.execute(
        "INSERT INTO objects SELECT 'b', 'k' || n, 'w', 1, 'e', 1, '{}', '{}', '{}', 'FULL_OBJECT', 'h', '[]' "
        "FROM generate_series(1, 3000) n;"
        "INSERT INTO copies SELECT 'b', 'k' || n, 'east', 's' || n, 1, 'ready', 1 FROM generate_series(1, 3000) n"
    )
    for name, statement in load_statements("postgres").items():
        prepared = await connection.prepare(statement.sql)
        arguments = [_plausible(parameter, kind) for parameter, kind in zip(statement.parameters, prepared.get_parameters(), strict=True)]
        plan = str(await prepared.explain(*arguments))
        scans = set(re.findall(r"'Node Type': 'Seq Scan'.*?'Relation Name': '(\w+)'", plan))
        assert name in MAY_SCAN or scans <= MAY_BE_SCANNED, (name, scans)
    await connection.execute("DELETE FROM copies; DELETE FROM objects")
    await connection.close()


def _plausible(parameter: str, kind: asyncpg.Type) -> object:
    if parameter == "batch":
        return "[{}]"
    return "x" if kind.name == "text" else 1


def test_macros() -> None:
    assert translate("SELECT {{strpos}}(a, b) {{skip_locked}}", "sqlite") == "SELECT instr(a, b) "
    assert translate("{{batch(a text, b bigint)}}", "postgres") == "jsonb_to_recordset(CAST(:batch AS jsonb)) AS batch(a text, b bigint)"
    assert translate("{{batch(a text)}}", "sqlite") == "(SELECT value->>'$.a' AS a FROM json_each(:batch)) AS batch"
    with pytest.raises(KeyError):
        translate("{{no_such_macro}}", "sqlite")


def test_statements_that_travel_together_keep_their_parameters_apart() -> None:
    fused = fuse(
        [Compiled("a", "A.", "INSERT INTO t SELECT $1, $2, $1", ("x", "y")), Compiled("b", "B.", "DELETE FROM u WHERE v = $1", ("x",))]
    )
    assert fused.sql == "WITH step_0 AS (INSERT INTO t SELECT $1, $2, $1) DELETE FROM u WHERE v = $3"
    assert (fused.name, fused.parameters) == ("a+b", ("x", "y", "x"))
