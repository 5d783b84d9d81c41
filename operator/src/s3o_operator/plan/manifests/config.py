"""The Secrets that make a directory of a proxy: the hot configuration in one or more, and the static part. Same input, same bytes."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping

from s3o_crds.compiled import FleetConfig, SecretRef
from s3o_crds.digest import canonical_json
from s3o_crds.layout import SECRETS_FILE, Files, split, static_part
from s3o_operator.plan.manifests.blueprint import Blueprint
from s3o_operator.plan.manifests.labels import child, config_name, digest, part_name
from s3o_operator.plan.observed import Key, Object

GENERATION = "s3orchestrator.io/config-generation"
DIGEST = "s3orchestrator.io/config-digest"


def build_config_secrets(blueprint: Blueprint) -> list[Object]:
    """The parts, and then the head, whose digest covers them. Raises TooLarge."""
    key, config = blueprint.key, blueprint.config
    head, *parts = split(config, blueprint.values)
    secrets = [_secret(blueprint, part_name(key, number), files) for number, files in enumerate(parts, 1)]
    marks = {GENERATION: str(config.generation), DIGEST: config.digest}
    return [*secrets, _secret(blueprint, config_name(key), head, marks)]


def build_static_secret(blueprint: Blueprint) -> Object:
    """Named by what it holds, and never changed: pods of a former template keep, and roll back to, the one that they were started with."""
    return _secret(blueprint, static_name(blueprint), static_part(blueprint.config, blueprint.values)) | {"immutable": True}


def static_name(blueprint: Blueprint) -> str:
    return f"{blueprint.key.name}-static-{digest(static_part(blueprint.config, blueprint.values))[:10]}"


def is_static(key: Key, name: str) -> bool:
    return re.fullmatch(re.escape(f"{key.name}-static-") + "[0-9a-f]{10}", name) is not None


def _secret(blueprint: Blueprint, name: str, files: Files, annotations: Mapping[str, str] | None = None) -> Object:
    data = {name: base64.b64encode(canonical_json(content)).decode() for name, content in files.items()}
    return child(blueprint.key, "v1", "Secret", name, blueprint.owner, annotations=annotations, type="Opaque", data=data)


def previous_values(head: Object | None) -> dict[SecretRef, str]:
    """What the first of the Secrets holds of those that users have, or had: that of backends, all of it. Nothing when it makes no sense."""
    try:
        values = json.loads(base64.b64decode(((head or {}).get("data") or {})[SECRETS_FILE]))
    except (binascii.Error, ValueError, KeyError):
        return {}
    return {ref: value for ref, value in values.items() if isinstance(value, str)} if isinstance(values, dict) else {}


def written_as(head: Object | None) -> tuple[int, str]:
    """Generation and digest of the configuration that it is the first Secret of; (0, "") when there is none."""
    annotations = ((head or {}).get("metadata") or {}).get("annotations") or {}
    generation = annotations.get(GENERATION, "")
    return (int(generation), annotations.get(DIGEST, "")) if generation.isdecimal() else (0, "")


def previous_config(name: str, secret: Object | None, reported: Object) -> FleetConfig | None:
    """The configuration before, as far as numbering needs it: out of the Secret, or the status when that knows a higher number.

    Both are kept, so that deleting either never leads back to a number that a proxy has already passed.
    """
    known = [one for one in (written_as(secret),) if one[0]]
    if isinstance(generation := reported.get("generation"), int):
        known.append((generation, str(reported.get("digest", ""))))
    if not known:
        return None
    highest, last_digest = max(known)
    return FleetConfig(name=name, generation=highest, digest=last_digest)
