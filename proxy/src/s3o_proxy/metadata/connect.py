"""How to reach PostgreSQL: from the config and its secrets to an open session."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs, urlsplit

import asyncpg

from s3o_crds.compiled import DatabaseConfig
from s3o_proxy.domain.errors import MetadataError

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

Purpose = Literal["batches", "survey"]
"""What a session is for: statements over batches of keys, or whole tables."""

Dial = Callable[[Purpose], Awaitable["Connection"]]

CONNECT_TIMEOUT_S = 10.0
STATEMENT_TIMEOUT_MS = 30_000
SURVEY_TIMEOUT_MS = 600_000

_SESSION: Mapping[str, str] = {
    "application_name": "s3-orchestrator",
    "jit": "off",
    # A proxy that froze inside a transaction must not hold its locks for ever.
    "idle_in_transaction_session_timeout": str(STATEMENT_TIMEOUT_MS),
}
_BATCHES: Mapping[str, str] = {
    "statement_timeout": str(STATEMENT_TIMEOUT_MS),
    # Every statement goes by an index from a batch of keys, however small its tables are when it is planned.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_material": "off",
    "enable_bitmapscan": "off",
}
_SURVEY: Mapping[str, str] = {"statement_timeout": str(SURVEY_TIMEOUT_MS)}

_SET = """
SELECT set_config(setting.name, setting.value, false) FROM unnest($1::text[], $2::text[]) AS setting (name, value)
"""
_MAKE_COMMITS_DURABLE = """
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'
"""


def dial_with(config: DatabaseConfig, secrets: Mapping[str, str], *, read_only: bool) -> Dial:
    """Raises MetadataError when the config names a secret that is not there, or cannot mean a server."""
    arguments = connect_arguments(config, secrets)

    async def dial(purpose: Purpose) -> Connection:
        session = {**_SESSION, **(_SURVEY if purpose == "survey" else _BATCHES)}
        if read_only:
            session["default_transaction_read_only"] = "on"
        # A little longer than the server's own time-out, so that it is the server that gives up when it can.
        command_timeout_s = int(session["statement_timeout"]) / 1000 + 5
        connection: Connection = await asyncpg.connect(
            **arguments,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=command_timeout_s,
            statement_cache_size=256,
            max_cached_statement_lifetime=300,
        )
        try:
            await connection.execute(_SET, list(session), list(session.values()))
            await connection.execute(_MAKE_COMMITS_DURABLE)
        except BaseException:
            connection.terminate()
            raise
        return connection

    return dial


def connect_arguments(config: DatabaseConfig, secrets: Mapping[str, str]) -> dict[str, Any]:
    ca = _secret(secrets, config.ca) if config.ca else None
    if config.uri:
        uri = _secret(secrets, config.uri)
        try:
            parts = urlsplit(uri)
            valid = parts.scheme in ("postgres", "postgresql") and (parts.port or True)
        except ValueError:
            valid = False
        if not valid:
            # Never quote it: it holds a password (I7).
            raise MetadataError(f"the secret {config.uri} is no PostgreSQL URI (postgresql://user:password@host:port/database)")
        if ca is None and "sslmode" in parse_qs(parts.query):
            return {"dsn": uri}
        return {"dsn": uri, "ssl": _ssl(config.ssl_mode, ca)}
    arguments: dict[str, Any] = {"host": config.host, "port": config.port, "ssl": _ssl(config.ssl_mode, ca)}
    if config.database:
        arguments["database"] = config.database
    if config.user:
        arguments["user"] = config.user
    if config.password:
        arguments["password"] = _secret(secrets, config.password)
    if not config.host:
        raise MetadataError("the database has neither a host nor a uri")
    return arguments


def _ssl(mode: str, ca: str | None) -> ssl.SSLContext | str | bool:
    """libpq's meaning of the modes (https://www.postgresql.org/docs/current/libpq-ssl.html); a CA makes `require` verify the chain."""
    if mode == "disable":
        return False
    if mode == "prefer" and ca is None:
        return "prefer"
    context = ssl.create_default_context(cadata=ca)
    if mode != "verify-full":
        context.check_hostname = False
        if ca is None:
            context.verify_mode = ssl.CERT_NONE
    return context


def _secret(secrets: Mapping[str, str], name: str) -> str:
    if name not in secrets:
        raise MetadataError(f"the secret {name} of the database is missing")
    return secrets[name]
