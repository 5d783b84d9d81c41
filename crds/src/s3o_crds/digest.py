"""The identity of a compiled config: canonical JSON → sha256, the same bytes wherever it is computed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from s3o_crds.compiled import FleetConfig, SecretRef


def digest_of(config: FleetConfig, secret_values: Mapping[SecretRef, str]) -> str:
    """Hex sha256 over all that a running proxy takes over, and over the sha256 of each secret value of it: a rotated one is a new config.

    Not over the database, nor the secrets that only it names: with another database a process starts anew.
    """
    return digest_of_document(config.model_dump(mode="json", by_alias=True), secret_values)


def digest_of_document(config: Mapping[str, object], secret_values: Mapping[SecretRef, str]) -> str:
    """The same of a config as it was written, with fields that a newer or older compiler has and the models here do not."""
    fields = {name: value for name, value in config.items() if name not in ("digest", "database")}
    static = static_only(config)
    secrets = {ref: hashlib.sha256(value.encode()).hexdigest() for ref, value in secret_values.items() if ref not in static}
    return hashlib.sha256(canonical_json({"config": fields, "secrets": secrets})).hexdigest()


def static_only(config: Mapping[str, object]) -> set[str]:
    """The secrets that the database names and nothing else does."""
    database = config.get("database", {})
    return texts_in(database) - texts_in({name: value for name, value in config.items() if name != "database"})


def texts_in(document: object) -> set[str]:
    """Every text of a document: among them, whatever names a secret."""
    found: set[str] = set()
    waiting = [document]
    while waiting:
        match waiting.pop():
            case str(text):
                found.add(text)
            case Mapping() as members:
                waiting.extend(members.values())
            case list() | tuple() as members:
                waiting.extend(members)
    return found


def canonical_json(document: object) -> bytes:
    """Keys sorted, no white space, UTF-8."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
