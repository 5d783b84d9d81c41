"""The named statements of `sql/*.sql`, made into each engine's dialect.

A statement reads

    -- name --
    -- One sentence that says what it does.
    SELECT …

and serves both engines. Where they must differ, a second one is headed `-- name @sqlite --`. Parameters are written `:name`.
What differs everywhere is a macro in double braces:

    batch(a text, b bigint)   rows that came as one JSON array in the parameter `batch`, under the alias `batch`
    among(a text)             for `x {{among(a text)}}`: x is one of the batch's values of `a`
    for_no_key_update         lock the rows read (nothing on SQLite: it has one writer)
    skip_locked               lock them, leaving out those that another transaction holds
    strpos                    the function that finds a text in a text
    now_ms                    the time of the database, in milliseconds since the epoch
    text, identity            column types (for migrations)

PostgreSQL keeps the plan of a prepared statement, and may have made it while a table held five rows. So a statement leaves it no
choice: the batch comes first, and each of its rows finds its match by an index. That is what `among`, and LATERAL with OFFSET 0
where a key has two columns, are for; a plain join could start from the table and read all of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Literal

from s3o_proxy.domain.frozen import frozen

Dialect = Literal["postgres", "sqlite"]

_HEADING = re.compile(r"^-- (?P<name>\w+)(?: @(?P<dialect>postgres|sqlite))? --$", re.MULTILINE)
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)")
_NUMBERED = re.compile(r"\$(\d+)")
_MACRO = re.compile(r"\{\{(?P<name>\w+)(?:\((?P<arguments>[^)]*)\))?\}\}")

_WORDS: dict[Dialect, dict[str, str]] = {
    "postgres": {
        "for_no_key_update": "FOR NO KEY UPDATE",
        "skip_locked": "FOR UPDATE SKIP LOCKED",
        "strpos": "strpos",
        "now_ms": "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)",
        "text": 'text COLLATE "C"',
        "identity": "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    },
    "sqlite": {
        "for_no_key_update": "",
        "skip_locked": "",
        "strpos": "instr",
        "now_ms": "CAST((julianday('now') - 2440587.5) * 86400000 AS integer)",
        "text": "text",
        "identity": "integer PRIMARY KEY AUTOINCREMENT",
    },
}


@frozen
class Compiled:
    """One statement in one dialect: on PostgreSQL `$1…` stand for `parameters` in order, on SQLite they keep their names."""

    name: str
    sentence: str
    sql: str
    parameters: tuple[str, ...]


def load_statements(dialect: Dialect) -> Mapping[str, Compiled]:
    """All statements of `sql/`, by name. Raises ValueError where two files use one name or a sentence is missing."""
    statements: dict[str, Compiled] = {}
    folder = files("s3o_proxy.metadata") / "sql"
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".sql"):
            continue
        for name, body in _of_dialect(file.name, file.read_text(encoding="utf-8"), dialect).items():
            if name in statements:
                raise ValueError(f"{file.name}: the statement {name} stands in another file too")
            statements[name] = _compile(name, body, dialect)
    return statements


def fuse(statements: Sequence[Compiled]) -> Compiled:
    """Several statements of PostgreSQL as one, which returns what the last returns; its parameters are theirs, one after the other.

    All of them see the tables as they were before, and their foreign keys are checked when all are done.
    """
    parameters: list[str] = []
    bodies = []
    for one in statements:
        bodies.append(_renumbered(one.sql, len(parameters)))
        parameters += one.parameters
    beside = ", ".join(f"step_{number} AS ({body})" for number, body in enumerate(bodies[:-1]))
    return Compiled("+".join(one.name for one in statements), "Several at once.", f"WITH {beside} {bodies[-1]}", tuple(parameters))


def _renumbered(sql: str, shift: int) -> str:
    return _NUMBERED.sub(lambda match: f"${int(match[1]) + shift}", sql)


def _of_dialect(file: str, text: str, dialect: Dialect) -> dict[str, str]:
    """Statement texts by name; one written for the dialect wins over the common one."""
    parts = _HEADING.split(text)
    common: dict[str, str] = {}
    special: dict[str, str] = {}
    for name, written_for, body in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        if written_for in (None, dialect):
            chosen = special if written_for else common
            if name in chosen:
                raise ValueError(f"{file}: the statement {name} stands there twice")
            chosen[name] = body
    return common | special


def _compile(name: str, body: str, dialect: Dialect) -> Compiled:
    first, _, rest = body.strip().partition("\n")
    if not first.startswith("-- ") or not first.endswith("."):
        raise ValueError(f"the statement {name} does not open with a sentence")
    sql = translate(rest.strip(), dialect)
    parameters = tuple(dict.fromkeys(_PARAMETER.findall(sql)))
    if dialect == "postgres":
        sql = _PARAMETER.sub(lambda match: f"${parameters.index(match[1]) + 1}", sql)
    return Compiled(name, first.removeprefix("-- "), sql, parameters)


def translate(sql: str, dialect: Dialect) -> str:
    """Expand the macros."""

    def expand(match: re.Match[str]) -> str:
        if match["name"] == "batch":
            return _batch(match["arguments"], dialect)
        if match["name"] == "among":
            values = f"SELECT batch.{match['arguments'].split()[0]} FROM {_batch(match['arguments'], dialect)}"  # noqa: S608 - our own words
            return f"= ANY (ARRAY({values}))" if dialect == "postgres" else f"IN ({values})"
        return _WORDS[dialect][match["name"]]

    return _MACRO.sub(expand, sql)


def _batch(columns: str, dialect: Dialect) -> str:
    if dialect == "postgres":
        return f"jsonb_to_recordset(CAST(:batch AS jsonb)) AS batch({columns})"
    names = [column.split()[0] for column in columns.split(",")]
    selected = ", ".join(f"value->>'$.{name}' AS {name}" for name in names)
    return f"(SELECT {selected} FROM json_each(:batch)) AS batch"  # noqa: S608 - of our own column names
