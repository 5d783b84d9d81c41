"""The identity of a compiled config: canonical JSON → sha256, the same bytes wherever it is computed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from s3o_crds.compiled import FleetConfig, SecretRef


def digest_of(config: FleetConfig, secret_values: Mapping[SecretRef, str]) -> str:
    """Hex sha256 over every field but the digest itself, and over the sha256 of every secret value: so a rotated Secret is a new config."""
    return digest_of_document(config.model_dump(mode="json", by_alias=True), secret_values)


def digest_of_document(config: Mapping[str, object], secret_values: Mapping[SecretRef, str]) -> str:
    """The same of a config as it was written, with fields that a newer or older compiler has and the models here do not."""
    fields = {name: value for name, value in config.items() if name != "digest"}
    secrets = {ref: hashlib.sha256(value.encode()).hexdigest() for ref, value in secret_values.items()}
    return hashlib.sha256(canonical_json({"config": fields, "secrets": secrets})).hexdigest()


def canonical_json(document: object) -> bytes:
    """Keys sorted, no white space, UTF-8."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
