"""The admin token: the secret that the operator and the pods of one orchestrator share, and by which they know each other.

It is ours alone, and lives in a Secret of its own: pods are given it, and nothing else of what the operator keeps.
"""

from __future__ import annotations

import base64
import binascii

from s3o_operator.plan.manifests.labels import admin_name, child
from s3o_operator.plan.observed import Key, Object

_TOKEN = "token"  # noqa: S105  the name of a key, not its value
_VARIABLE = "S3O_ADMIN_TOKEN"
_LEAST_CHARACTERS = 16


def build_admin_secret(key: Key, owner: Object, token: str) -> Object:
    """Owned: whoever makes the orchestrator anew needs no old token."""
    return child(key, "v1", "Secret", admin_name(key), owner, type="Opaque", data={_TOKEN: base64.b64encode(token.encode()).decode()})


def admin_token_in(secret: Object | None) -> str:
    """Empty when there is none that can be used: nothing, an empty one, one too short to be a secret, one that is no header value."""
    try:
        token = base64.b64decode(((secret or {}).get("data") or {}).get(_TOKEN, ""), validate=True).decode("ascii")
    except (binascii.Error, ValueError, TypeError):
        return ""
    return token if len(token) >= _LEAST_CHARACTERS and all("!" <= character <= "~" for character in token) else ""


def admin_environment(key: Key) -> list[Object]:
    """What a container needs so that its process serves the admin API."""
    return [{"name": _VARIABLE, "valueFrom": {"secretKeyRef": {"name": admin_name(key), "key": _TOKEN}}}]
