"""Opening a ledger: where it is, who may, and what is said when it does not work."""

from __future__ import annotations

import asyncio
import ssl
import sys
from pathlib import Path

import pytest
from tests.support.ledger import BUCKET, an_intent, put
from tests.support.postgres import PostgresServer

from s3o_crds.compiled import DatabaseConfig
from s3o_proxy.domain.errors import MetadataError, MetadataUnavailable
from s3o_proxy.metadata.connect import connect_arguments
from s3o_proxy.metadata.open import open_ledger


async def test_a_relative_path_is_relative_to_the_base_directory(tmp_path: Path) -> None:
    await (await open_ledger(DatabaseConfig(path="data/ledger.db"), {}, base_dir=tmp_path)).close()
    assert (tmp_path / "data" / "ledger.db").is_file()


async def test_a_ledger_survives_being_closed(database: DatabaseConfig) -> None:
    ledger = await open_ledger(database, {})
    await put(ledger, "w1")
    await ledger.close()
    ledger = await open_ledger(database, {})
    assert await ledger.find_object(BUCKET, "cat.jpg")
    await ledger.close()


async def test_a_sqlite_file_has_one_writing_process(tmp_path: Path) -> None:
    database = DatabaseConfig(path=str(tmp_path / "ledger.db"))
    ledger = await open_ledger(database, {})
    with pytest.raises(MetadataError, match="in use by another process"):
        await open_ledger(database, {})
    await ledger.close()
    await (await open_ledger(database, {})).close()


HOLDER = """
import asyncio, sys
from s3o_crds.compiled import DatabaseConfig
from s3o_proxy.metadata.open import open_ledger

async def hold():
    ledger = await open_ledger(DatabaseConfig(path=sys.argv[1]), {})
    print("held", flush=True)
    await asyncio.Event().wait()

asyncio.run(hold())
"""


async def test_the_lock_of_a_killed_process_is_gone(tmp_path: Path) -> None:
    database = DatabaseConfig(path=str(tmp_path / "ledger.db"))
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", HOLDER, database.path, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"held\n"
    with pytest.raises(MetadataError, match="in use by another process"):
        await open_ledger(database, {})
    process.kill()
    await process.wait()
    await (await open_ledger(database, {})).close()


async def test_who_opens_to_read_only_may_look_beside_the_writer(database: DatabaseConfig) -> None:
    ledger = await open_ledger(database, {})
    await put(ledger, "w1")
    reader = await open_ledger(database, {}, read_only=True)
    assert await reader.find_object(BUCKET, "cat.jpg")
    await put(ledger, "w2", "later")
    assert await reader.find_object(BUCKET, "later")
    counters, sums = await reader.compare_usage()
    assert counters == sums
    with pytest.raises(MetadataError, match="read only"):
        await reader.reserve_write(an_intent("w3"), None)
    await reader.close()
    await ledger.close()


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_a_database_that_is_not_there_is_looked_for_where_it_is_said_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(MetadataError) as relative:
        await open_ledger(DatabaseConfig(path="data/s3o.db"), {}, base_dir=tmp_path, read_only=True)
    assert f"there is no database {tmp_path}/data/s3o.db" in str(relative.value)
    assert f"spec.database.path is data/s3o.db, which is relative to the working directory, here {tmp_path};" in str(relative.value)
    with pytest.raises(MetadataError, match=f"^there is no database {tmp_path}/s3o.db: start the proxy once"):
        await open_ledger(DatabaseConfig(path=str(tmp_path / "s3o.db")), {}, read_only=True)
    assert names_in(tmp_path) == []


async def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MetadataError, match="file"):
        await open_ledger(DatabaseConfig(path=str(tmp_path / "file" / "ledger.db")), {})


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"not a database, but long enough to be looked at as one" * 100)
    with pytest.raises(MetadataError):
        await open_ledger(DatabaseConfig(path=str(tmp_path / "ledger.db")), {})


async def test_a_server_is_reached_by_uri_and_by_fields(postgres: PostgresServer, migrated_database: DatabaseConfig) -> None:
    by_fields = migrated_database.model_copy(update={"host": "127.0.0.1", "ssl_mode": "prefer", "password": "ns/db/password"})
    by_uri = DatabaseConfig(driver="Postgres", uri="ns/db/uri")
    secrets = {"ns/db/uri": postgres.uri(migrated_database), "ns/db/password": "not asked for"}
    for number, config in enumerate((migrated_database, by_fields, by_uri)):
        ledger = await open_ledger(config, secrets)
        await put(ledger, f"w{number}")
        await ledger.close()


async def test_no_server_is_unavailable() -> None:
    config = DatabaseConfig(driver="Postgres", host="127.0.0.1", port=1, database="s3o", user="s3o")
    with pytest.raises(MetadataUnavailable, match="no connection"):
        await open_ledger(config, {})


async def test_a_server_that_demands_tls_we_cannot_have_is_unavailable(migrated_database: DatabaseConfig) -> None:
    config = migrated_database.model_copy(update={"host": "127.0.0.1", "ssl_mode": "require"})
    with pytest.raises(MetadataUnavailable):
        await open_ledger(config, {})


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (DatabaseConfig(driver="Postgres", uri="ns/db/uri"), "secret ns/db/uri .* missing"),
        (DatabaseConfig(driver="Postgres", host="db", password="ns/db/password"), "secret ns/db/password .* missing"),
        (DatabaseConfig(driver="Postgres", host="db", ca="ns/db/ca"), "secret ns/db/ca .* missing"),
        (DatabaseConfig(driver="Postgres"), "neither a host nor a uri"),
    ],
)
def test_what_is_missing_is_named(config: DatabaseConfig, words: str) -> None:
    with pytest.raises(MetadataError, match=words):
        connect_arguments(config, {})


@pytest.mark.parametrize("uri", ["mysql://u:geheim@db/s3o", "postgresql://u:geheim@db:port/s3o", "geheim", "postgresql://u:geheim@[db/s3o"])
def test_a_bad_uri_is_refused_without_its_password(uri: str) -> None:
    """I7."""
    with pytest.raises(MetadataError) as caught:
        connect_arguments(DatabaseConfig(driver="Postgres", uri="ns/db/uri"), {"ns/db/uri": uri})
    assert "geheim" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_ssl_modes_mean_what_libpq_means() -> None:
    def context(mode: str) -> object:
        config = DatabaseConfig.model_validate({"driver": "Postgres", "host": "db", "sslMode": mode})
        return connect_arguments(config, {})["ssl"]

    assert context("disable") is False
    assert context("prefer") == "prefer"
    required, verified = context("require"), context("verify-full")
    assert isinstance(required, ssl.SSLContext)
    assert (required.check_hostname, required.verify_mode) == (False, ssl.CERT_NONE)
    assert isinstance(verified, ssl.SSLContext)
    assert (verified.check_hostname, verified.verify_mode) == (True, ssl.CERT_REQUIRED)


def test_a_uri_keeps_its_own_ssl_mode() -> None:
    uri = "postgresql://u@db/s3o?sslmode=verify-ca"
    assert connect_arguments(DatabaseConfig(driver="Postgres", uri="uri"), {"uri": uri}) == {"dsn": uri}
