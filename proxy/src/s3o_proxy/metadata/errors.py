"""What the drivers raise, as the errors the domain knows. One table per engine; nobody else looks at a driver's exception."""

from __future__ import annotations

import sqlite3

import asyncpg

from s3o_proxy.domain.errors import MetadataError, MetadataUnavailable, OutcomeUnknown


class Refused(MetadataUnavailable):
    """The database answered with an error and the transaction is rolled back: one of its members is to blame, or chance.

    `by_chance`: a deadlock or a serialization failure; the same transaction may well succeed next time.
    """

    def __init__(self, message: str, *, by_chance: bool = False) -> None:
        super().__init__(message)
        self.by_chance = by_chance


# By the longest prefix of the SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html). What is not listed is Refused.
_GONE = "gone"
_BY_CHANCE = "by chance"
_POSTGRES = {
    "08": _GONE,  # connection exceptions
    "57P": _GONE,  # shut down, crashed, starting, database dropped
    "57014": _GONE,  # a time-out cancelled the statement
    "58": _GONE,  # the system under the server
    "XX": _GONE,  # the server itself
    "25P03": _GONE,  # idle in transaction for too long
    "40": _BY_CHANCE,  # deadlock, serialization failure
    "55P03": _BY_CHANCE,  # lock not available
}

_SQLITE = {
    sqlite3.SQLITE_BUSY: _GONE,
    sqlite3.SQLITE_LOCKED: _GONE,
    sqlite3.SQLITE_FULL: _GONE,
    sqlite3.SQLITE_IOERR: _GONE,
    sqlite3.SQLITE_CORRUPT: _GONE,
    sqlite3.SQLITE_NOTADB: _GONE,
    sqlite3.SQLITE_CANTOPEN: _GONE,
    sqlite3.SQLITE_READONLY: _GONE,
    sqlite3.SQLITE_PROTOCOL: _GONE,
}

DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, sqlite3.Error, OSError, TimeoutError)
"""All that a driver may raise by no fault of ours (asyncpg passes on OSError and TimeoutError)."""


def translated(error: BaseException) -> MetadataError:
    """For an error before COMMIT was sent: nothing took effect."""
    match _verdict(error):
        case "gone":
            return MetadataUnavailable(_words(error))
        case verdict:
            return Refused(_words(error), by_chance=verdict == _BY_CHANCE)


def translated_at_commit(error: BaseException) -> MetadataError:
    """For an error of COMMIT itself: unless the database refused it, nobody knows (I8).

    On SQLite a full disk or a lock refuses; a failed write or sync may have left a commit record that recovery finds.
    """
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_IOERR) & 0xFF
        if code not in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT):
            return translated(error)
    elif _verdict(error) != _GONE and getattr(error, "sqlstate", None) != "40003":
        return translated(error)
    return OutcomeUnknown(f"while committing: {_words(error)}")


def says_gone(error: BaseException) -> bool:
    """Whether a connection is of no more use after this error; a mere time-out of a statement leaves it whole."""
    return _verdict(error) == _GONE and getattr(error, "sqlstate", None) != "57014"


def _verdict(error: BaseException) -> str:
    if isinstance(error, sqlite3.Error):
        return _SQLITE.get(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF, "refused")
    if isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError):
        return "refused"  # refused by the driver before it was sent
    if isinstance(error, asyncpg.PostgresError):
        sqlstate = error.sqlstate or ""
        for length in range(len(sqlstate), 1, -1):
            if sqlstate[:length] in _POSTGRES:
                return _POSTGRES[sqlstate[:length]]
        return "refused"
    return _GONE


def _words(error: BaseException) -> str:
    return f"database: {error}" if str(error) else f"database: {type(error).__name__}"
