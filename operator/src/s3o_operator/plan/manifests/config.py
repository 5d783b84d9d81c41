"""The Secret that the proxies mount: the configuration, and the secret values that it names. Same input, same bytes."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from s3o_crds.compiled import FleetConfig, SecretRef
from s3o_crds.digest import canonical_json
from s3o_operator.plan.manifests.labels import annotated, child, config_name
from s3o_operator.plan.observed import Key, Object

GENERATION = "s3orchestrator.io/config-generation"
DIGEST = "s3orchestrator.io/config-digest"


def build_config_secret(key: Key, owner: Object, config: FleetConfig, values: Mapping[SecretRef, str]) -> Object:
    files = {"config.json": config.model_dump(mode="json", by_alias=True), "secrets.json": dict(values)}
    data = {name: base64.b64encode(canonical_json(content)).decode() for name, content in files.items()}
    secret = child(key, "v1", "Secret", config_name(key), owner, type="Opaque", data=data)
    return annotated(secret, {GENERATION: str(config.generation), DIGEST: config.digest})


def previous_config(name: str, secret: Object | None, reported: Object) -> FleetConfig | None:
    """The configuration before, as far as numbering needs it: out of the Secret, or the status when that knows a higher number.

    Both are kept, so that deleting either never leads back to a number that a proxy has already passed.
    """
    annotations = ((secret or {}).get("metadata") or {}).get("annotations") or {}
    written, digest = annotations.get(GENERATION, ""), annotations.get(DIGEST, "")
    known = [(int(written), digest)] if written.isdecimal() else []
    if isinstance(generation := reported.get("generation"), int):
        known.append((generation, str(reported.get("digest", ""))))
    if not known:
        return None
    highest, last_digest = max(known)
    return FleetConfig(name=name, generation=highest, digest=last_digest)
