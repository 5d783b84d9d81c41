"""A database has an id, made once; whoever expects another one is told so, and nothing is read or written."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.support.ledger import BUCKET, NOW_MS, an_intent, put
from tests.support.postgres import PostgresServer, find_binaries

from s3o_crds.compiled import DatabaseConfig
from s3o_proxy.domain.errors import DatabaseReplaced, MetadataError, MetadataUnavailable
from s3o_proxy.domain.model import ListQuery
from s3o_proxy.metadata.identity import Identity
from s3o_proxy.metadata.migrate import CREATE_TABLE, load_migrations, migrate_sqlite
from s3o_proxy.metadata.open import open_ledger
from s3o_proxy.metadata.port import Metadata

NEWEST = len(load_migrations("postgres"))
REPOSITORY = Path(__file__).parents[3]
OTHER = "0123456789abcdef0123456789abcdef"


async def test_an_id_is_made_with_the_schema_and_stays(database: DatabaseConfig) -> None:
    seen = set()
    for _ in range(2):
        ledger = await open_ledger(database, {})
        seen.add(ledger.identity.found)
        await ledger.close()
    reading = await open_ledger(database, {}, read_only=True)
    (found,) = seen | {reading.identity.found}
    assert re.fullmatch("[0-9a-f]{32}", found)
    await reading.close()


async def test_two_databases_have_two_ids(tmp_path: Path) -> None:
    ledgers = [await open_ledger(DatabaseConfig(path=str(tmp_path / name)), {}) for name in ("a.db", "b.db")]
    assert ledgers[0].identity.found != ledgers[1].identity.found
    for ledger in ledgers:
        await ledger.close()


async def test_two_postgres_databases_have_two_ids(postgres: PostgresServer) -> None:
    ledgers = [await open_ledger(postgres.create_database(), {}) for _ in range(2)]
    assert ledgers[0].identity.found != ledgers[1].identity.found
    for ledger in ledgers:
        await ledger.close()


def test_a_database_of_the_schema_before_gets_one_and_keeps_its_rows(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "old.db", isolation_level=None)
    connection.execute(CREATE_TABLE)
    for migration in load_migrations("sqlite")[:4]:
        for statement in migration.statements:
            connection.execute(statement)
        connection.execute("INSERT INTO schema_migrations VALUES (?, ?)", (migration.version, migration.name))
    connection.execute("INSERT INTO backends (name) VALUES ('east')")
    migrate_sqlite(connection)
    assert connection.execute("SELECT name FROM backends").fetchall() == [("east",)]
    ((found,),) = connection.execute("SELECT id FROM which_database").fetchall()
    assert re.fullmatch("[0-9a-f]{32}", found)
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute(f"INSERT INTO which_database (id) VALUES ('{OTHER}')")
    connection.close()


async def test_a_copy_of_the_file_is_the_same_database(tmp_path: Path) -> None:
    ledger = await open_ledger(DatabaseConfig(path=str(tmp_path / "a.db")), {})
    await ledger.close()
    shutil.copy(tmp_path / "a.db", tmp_path / "b.db")
    copy = await open_ledger(DatabaseConfig(path=str(tmp_path / "b.db")), {})
    assert copy.identity.found == ledger.identity.found
    await copy.close()


async def test_a_database_that_was_dumped_and_restored_in_place_of_another_is_the_old_one(postgres: PostgresServer, tmp_path: Path) -> None:
    """As the documentation says it, under a ledger that is open meanwhile; and the id comes last, so that a half of it is not yet it."""
    old, place = postgres.create_database(), postgres.create_database()
    ledger = await open_ledger(old, {})
    await put(ledger, "w1")
    await ledger.close()
    postgres_tool("pg_dump", "--format=custom", f"--file={tmp_path / 's3o.dump'}", postgres.uri(old))
    listed = postgres_tool("pg_restore", "--list", str(tmp_path / "s3o.dump")).splitlines()
    assert [line.split()[-2] for line in listed if " TABLE DATA " in line][-1] == "which_database"
    other = await open_ledger(place, {})
    other.identity.expected = ledger.identity.found
    with pytest.raises(DatabaseReplaced):
        await other.ping()
    restore = ("--clean", "--if-exists", "--single-transaction", f"--dbname={postgres.uri(place)}", str(tmp_path / "s3o.dump"))
    postgres_tool("pg_restore", *restore)
    await other.ping()
    assert await other.find_object(BUCKET, "cat.jpg")
    await other.close()


def follow(commands: str, folder: Path) -> None:
    subprocess.run(["sh", "-ec", commands], cwd=folder, check=True)


def bring_back() -> str:
    (commands,) = re.findall(r"```sh\n([^`]*cp copy\.db[^`]*)```", (REPOSITORY / "docs/howto/back-up-the-database.md").read_text())
    return str(commands)


def test_bringing_back_another_backup_takes_away_nothing_that_was_put_away_before(tmp_path: Path) -> None:
    """It may be all that knows of the newest objects. A shell at which somebody types goes on after a command that failed."""
    for name in ("s3o.db", "s3o.db-wal", "copy.db"):
        (tmp_path / name).write_text(f"first {name}")
    for _ in range(2):
        subprocess.run(["sh", "-c", bring_back()], cwd=tmp_path, check=True)
    put_away = sorted(sorted((file.name, file.read_text()) for file in folder.iterdir()) for folder in tmp_path.glob("before*"))
    assert put_away == [[("s3o.db", "first copy.db")], [("s3o.db", "first s3o.db"), ("s3o.db-wal", "first s3o.db-wal")]]
    assert (tmp_path / "s3o.db").read_text() == "first copy.db"


async def test_a_file_is_brought_back_as_it_is_written_in_place_of_one_whose_proxy_was_killed(tmp_path: Path) -> None:
    """What a killed proxy left in its write-ahead log would be written into the backup, and destroy it."""
    killed = tmp_path / "killed"
    killed.mkdir()
    ledger = await open_ledger(DatabaseConfig(path=str(tmp_path / "s3o.db")), {})
    for number in range(50):
        await put(ledger, f"w{number}", f"old-{number}")
    with sqlite3.connect(tmp_path / "s3o.db") as source, sqlite3.connect(killed / "copy.db") as target:
        source.backup(target)
    source.close()
    target.close()
    for number in range(50, 500):
        await put(ledger, f"w{number}", f"new-{number}")
    for file in ("s3o.db", "s3o.db-wal"):
        shutil.copy(tmp_path / file, killed)
    await ledger.close()
    follow(bring_back(), killed)
    with sqlite3.connect(killed / "s3o.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT count(*) FROM objects").fetchall() == [(50,)]
    connection.close()


@pytest.mark.parametrize("version", range(1, NEWEST))
async def test_what_an_older_release_dumped_is_brought_back_and_migrated(postgres: PostgresServer, tmp_path: Path, version: int) -> None:
    """Its dump knows nothing of the tables that came later: these stay, and do not keep a proxy from starting."""
    place = postgres.create_database()
    postgres.execute(CREATE_TABLE, database=place.database)
    for migration in load_migrations("postgres")[:version]:
        for statement in migration.statements:
            postgres.execute(statement, database=place.database)
        postgres.execute(f"INSERT INTO schema_migrations VALUES ({migration.version}, '{migration.name}')", database=place.database)
    postgres_tool("pg_dump", "--format=custom", f"--file={tmp_path / 's3o.dump'}", postgres.uri(place))
    upgraded = await open_ledger(place, {})
    await upgraded.close()
    restore = ("--clean", "--if-exists", "--single-transaction", f"--dbname={postgres.uri(place)}", str(tmp_path / "s3o.dump"))
    postgres_tool("pg_restore", *restore)
    ledger = await open_ledger(place, {})
    await put(ledger, "w1")
    assert await ledger.find_object(BUCKET, "cat.jpg")
    assert ledger.identity.found == upgraded.identity.found
    await ledger.close()


ASKED: list[Callable[[Metadata], Awaitable[object]]] = [
    lambda ledger: ledger.find_object(BUCKET, "cat.jpg"),
    lambda ledger: ledger.list_objects(ListQuery(BUCKET, "", "", "", 10)),
    lambda ledger: ledger.reserve_write(an_intent("w2"), None),
    lambda ledger: ledger.reap_intents(NOW_MS, 10),
    lambda ledger: ledger.acquire_lease("worker/one", "me", NOW_MS, 1000),
    lambda ledger: ledger.locate_backends({"new": "bucket"}),
    lambda ledger: ledger.weigh_backend("east"),
    lambda ledger: ledger.bucket_created_ms(BUCKET, NOW_MS),
    lambda ledger: ledger.ping(),
]
"""One by each way to the database: point reads, pages, surveys, and the lane of all that writes."""


async def test_whoever_expects_another_database_is_refused_whatever_is_asked(ledger: Metadata) -> None:
    await put(ledger, "w1")
    right = ledger.identity.found
    ledger.identity.expected = OTHER
    for ask in ASKED:
        with pytest.raises(DatabaseReplaced, match=f"the id {right}, and {OTHER} is expected"):
            await ask(ledger)
    ledger.identity.expected = right
    for ask in ASKED:
        await ask(ledger)
    assert "new" in await ledger.usage()
    await ledger.cancel_reservation(an_intent("w2"))


async def test_a_database_that_becomes_another_one_is_noticed_and_so_is_the_old_one(
    request: pytest.FixtureRequest, database: DatabaseConfig
) -> None:
    """As when somebody restores into it while it is used."""
    ledger = await open_ledger(database, {})
    right = ledger.identity.expected = ledger.identity.found
    change(request, database, f"UPDATE which_database SET id = '{OTHER}'")
    with pytest.raises(DatabaseReplaced):
        await ledger.ping()
    with pytest.raises(DatabaseReplaced):
        await ledger.find_object(BUCKET, "cat.jpg")
    assert (ledger.identity.found, ledger.identity.expected) == (OTHER, right)
    change(request, database, f"UPDATE which_database SET id = '{right}'")
    await ledger.ping()
    assert await ledger.find_object(BUCKET, "cat.jpg") is None
    await ledger.close()


async def test_an_id_that_was_taken_away_is_another_one(request: pytest.FixtureRequest, database: DatabaseConfig) -> None:
    ledger = await open_ledger(database, {})
    right = ledger.identity.expected = ledger.identity.found
    change(request, database, "DELETE FROM which_database")
    with pytest.raises(DatabaseReplaced, match="the id none"):
        await ledger.ping()
    change(request, database, f"INSERT INTO which_database (id) VALUES ('{right}')")
    await ledger.ping()
    await ledger.close()


async def test_behind_a_new_connection_another_database_is_noticed_at_once(postgres: PostgresServer) -> None:
    """Nobody looks first: the statement itself, which makes the connection, is refused. And by itself it goes on with the old one."""
    config = postgres.create_database()
    ledger = await open_ledger(config, {})
    ledger.identity.expected = ledger.identity.found
    await put(ledger, "w1")
    name = config.database
    postgres.rename_database(name, f"{name}_kept")
    postgres.execute(f'CREATE DATABASE "{name}" TEMPLATE "{await _empty(postgres)}"')
    for ask in (lambda: ledger.find_object(BUCKET, "cat.jpg"), lambda: ledger.reserve_write(an_intent("w2"), None)):
        with pytest.raises(DatabaseReplaced):
            await ask()
    postgres.rename_database(name, f"{name}_other")
    postgres.rename_database(f"{name}_kept", name)
    await ledger.ping()
    assert await ledger.find_object(BUCKET, "cat.jpg")
    await ledger.close()


async def test_a_database_without_its_tables_is_no_answer_either(postgres: PostgresServer) -> None:
    config = postgres.create_database()
    ledger = await open_ledger(config, {})
    ledger.identity.expected = ledger.identity.found
    postgres.rename_database(config.database, f"{config.database}_kept")
    postgres.execute(f'CREATE DATABASE "{config.database}"')
    with pytest.raises(MetadataUnavailable):
        await ledger.find_object(BUCKET, "cat.jpg")
    with pytest.raises(MetadataError):
        await ledger.ping()
    await ledger.close()


def test_without_an_expectation_any_database_will_do() -> None:
    identity = Identity()
    for found in ("a", "b"):
        identity.take(found)
    identity.expected = "b"
    identity.require()
    with pytest.raises(DatabaseReplaced):
        identity.take("a")


def change(request: pytest.FixtureRequest, database: DatabaseConfig, sql: str) -> None:
    if database.driver == "SQLite":
        connection = sqlite3.connect(database.path, isolation_level=None)
        connection.execute(sql)
        connection.close()
    else:
        server = request.getfixturevalue("postgres")
        assert isinstance(server, PostgresServer)
        server.execute(sql, database=database.database)


def postgres_tool(name: str, *arguments: str) -> str:
    return subprocess.run([find_binaries() / name, *arguments], check=True, capture_output=True, text=True).stdout


async def _empty(postgres: PostgresServer) -> str:
    config = postgres.create_database()
    await (await open_ledger(config, {})).close()
    return config.database
