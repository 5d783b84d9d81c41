"""What two resources both want, and who has it: names, places at providers, access keys.

Claims are made in the order of standing: who was served before comes first, then the older, then the name decides. So a younger resource
never takes over the name, and with it the data, of one that is merely broken now or has become readable again.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from s3o_crds.compiled import CredentialConfig, SecretRef
from s3o_crds.resolve import Refused
from s3o_crds.v1alpha1 import StorageBackend, VirtualBucket

Identity = tuple[str, str, str]
"""Kind, namespace and name."""


@dataclass(frozen=True)
class Unreadable:
    """A resource that cannot be read, or is not looked at now, and what it wants as far as that can be told: it keeps its claims until it
    is mended or deleted.

    `wanted`: the name it is to be served under. `place`: endpoint and bucket of a backend.
    """

    kind: str
    namespace: str
    name: str
    created: datetime | None
    wanted: str
    place: tuple[str, str] | None = None


Claimant = StorageBackend | VirtualBucket | Unreadable


def identity_of(claimant: Claimant) -> Identity:
    return claimant.kind, claimant.namespace, claimant.name


def standing_of(claimant: Claimant, attached: Collection[Identity]) -> tuple[bool, float, str, str]:
    """The order in which claims are made. Files have no age, and count as younger than what the API server holds."""
    created = claimant.created if isinstance(claimant, Unreadable) else claimant.metadata.creation_timestamp
    seconds = math.inf if created is None else created.replace(tzinfo=created.tzinfo or UTC).timestamp()
    return identity_of(claimant) not in attached, seconds, claimant.namespace, claimant.name


class Claims:
    """Who has what. Asked in the order of standing, so that the first wins."""

    def __init__(self, reason: str) -> None:
        self._reason = reason
        self._owners: dict[object, Claimant] = {}

    def claim(self, thing: object, claimant: Claimant, refusal: str) -> None:
        owner = self._owners.get(thing)
        if owner is not None:
            who = "this object itself" if owner is claimant else f"the older {owner.kind} {owner.namespace}/{owner.name}"
            raise Refused(self._reason, f"{refusal} {who}")
        self._owners[thing] = claimant


class KeyClaims:
    """Who may use which key pair or token. The same one may open several buckets (so that objects can be copied between them); an access
    key id with two secrets would make its meaning depend on who is asked first."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], tuple[str, Claimant]] = {}
        self._listed: set[tuple[str, str, str, str]] = set()

    def claim(self, credential: CredentialConfig, values: Mapping[SecretRef, str], bucket: Claimant) -> None:
        identity = (credential.type, values[credential.token or credential.access_key_id])
        what = f"the {'token' if credential.type == 'Token' else 'access key id'} of credential {credential.name}"
        place = (*identity, bucket.namespace, bucket.name)
        if place in self._listed:
            raise Refused("AccessKeyConflict", f"{what} is already in use by this object itself")
        secret = values[credential.secret_access_key] if credential.secret_access_key else ""
        known, owner = self._first.setdefault(identity, (secret, bucket))
        if known != secret:
            raise Refused("AccessKeyConflict", f"{what} has another secret in the older {owner.kind} {owner.namespace}/{owner.name}")
        self._listed.add(place)
