"""Opening the ledger that a config names."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from s3o_crds.compiled import DatabaseConfig
from s3o_proxy.domain.errors import MetadataError
from s3o_proxy.metadata.connect import dial_with
from s3o_proxy.metadata.ledger import Ledger
from s3o_proxy.metadata.port import Metadata
from s3o_proxy.metadata.postgres import PostgresEngine
from s3o_proxy.metadata.sqlite import SQLiteEngine


async def open_ledger(
    config: DatabaseConfig, secrets: Mapping[str, str], *, base_dir: Path | None = None, read_only: bool = False
) -> Metadata:
    """Connect and migrate. A relative SQLite path is relative to `base_dir`. `secrets`: values by SecretRef.

    `read_only` takes no lock and migrates nothing: it may look at the database of a running proxy, and only look.
    Raises MetadataUnavailable (no connection), SchemaTooNew, MetadataError (in use by another process, misconfigured).
    """
    if config.driver == "SQLite":
        folder = base_dir or Path.cwd()
        path = folder / config.path
        if read_only and not path.exists():
            raise MetadataError(_what_is_missing(Path(config.path), folder))
        return Ledger(await asyncio.to_thread(SQLiteEngine, path, read_only=read_only))
    engine = PostgresEngine(dial_with(config, secrets, read_only=read_only), read_only=read_only)
    await engine.start()
    return Ledger(engine)


def _what_is_missing(path: Path, folder: Path) -> str:
    if path.is_absolute():
        return f"there is no database {path}: start the proxy once, which makes it"
    return (
        f"there is no database {folder / path}: spec.database.path is {path}, which is relative to the working directory, here {folder};"
        " change to the directory in which the proxy was started (`make run` starts it in .run/), or start the proxy once, which makes it"
    )
