"""The registry: the Secrets in which every generated key stands before anybody uses it, and from which a lost one is given out again.

An *entry* is one credential of one bucket: its present key and those *retired* ones that still work. It is found by namespace and names,
not by uid: a VirtualBucket that is restored from a backup has the key that its application has. So an entry outlives its bucket wherever
objects do; only of a bucket that is deleted with all that was in it does it go, too.

A Secret holds 1 MiB. So the registry is made of *shards*, Secrets that are told by their labels, of at most 400 entries (of at most
2 KiB); an entry stays in its shard.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from s3o_operator.plan.manifests.labels import COMPONENT, MANAGED_BY, MANAGER, ORCHESTRATOR, child, registry_name
from s3o_operator.plan.observed import Key, Object

MOST_ENTRIES = 400
MOST_RETIRED = 8
"""Of one credential. Whoever rotates more often than its grace period allows for loses the oldest."""
REGISTRY_LABELS = {MANAGED_BY: MANAGER, COMPONENT: "registry"}


class CredentialRef(NamedTuple):
    """A generated credential: the VirtualBucket it belongs to, its own name, and its type (SigV4 or Token)."""

    namespace: str
    bucket: str
    name: str
    type: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.bucket}/{self.name}"


@dataclass(frozen=True)
class KeyPair:
    """Of a Token, `secret_access_key` is the token, and there is no id."""

    access_key_id: str
    secret_access_key: str = field(repr=False)


@dataclass(frozen=True)
class Retired:
    """A key that works until then (RFC 3339)."""

    pair: KeyPair
    expires_at: str


@dataclass(frozen=True)
class Entry:
    """`rotation`: the token of the trigger that made this key. `retired`: oldest first."""

    pair: KeyPair
    rotated_at: str = ""
    rotation: str = ""
    retired: tuple[Retired, ...] = ()

    def working(self, now: str) -> tuple[Retired, ...]:
        return tuple(one for one in self.retired if one.expires_at > now)

    def rotated(self, pair: KeyPair, rotation: str, now: str, expires_at: str) -> Entry:
        """With the key of `rotation`, which it has only once. The old key works until `expires_at`."""
        if self.rotation == rotation:
            return self
        retired = (*self.retired, Retired(self.pair, expires_at)) if expires_at > now else self.retired
        return Entry(pair, now, rotation, retired[-MOST_RETIRED:])

    def cleared(self, now: str) -> Entry:
        """Without what has ended."""
        return replace(self, retired=self.working(now))


def shards_of(key: Key, secrets: Iterable[Object]) -> list[Object]:
    """Those of the orchestrator's registry, in the order in which they are filled."""
    labels = REGISTRY_LABELS | {ORCHESTRATOR: key.name}
    ours = [
        one
        for one in secrets
        if one["metadata"]["namespace"] == key.namespace and labels.items() <= (one["metadata"].get("labels") or {}).items()
    ]
    return sorted(ours, key=lambda one: (len(one["metadata"]["name"]), one["metadata"]["name"]))


def read_registry(shards: Iterable[Object]) -> dict[CredentialRef, Entry]:
    """Entries that make no sense are not there: whoever damaged them finds the key adopted from the application's Secret, or a new one."""
    entries: dict[CredentialRef, Entry] = {}
    for shard in shards:
        for name, text in (shard.get("data") or {}).items():
            try:
                credential, entry = _decode(text)
            except (binascii.Error, ValueError, KeyError, TypeError):
                continue
            if name == _entry_name(credential) and is_usable(entry.pair, credential.type):
                entries.setdefault(credential, entry)
    return entries


def written(key: Key, shards: Sequence[Object], changes: Mapping[CredentialRef, Entry | None], taken: Collection[str]) -> Iterator[Object]:
    """The shards with `changes` in them (None: without it): those that exist, as they were read, and new ones, under names not `taken`."""
    data = {shard["metadata"]["name"]: dict(shard.get("data") or {}) for shard in shards}
    names = _fresh_names(key, {*taken, *data})
    for credential, entry in sorted(changes.items()):
        own = _entry_name(credential)
        there = next((name for name, content in data.items() if own in content), None)
        if entry is None:
            data.get(there or "", {}).pop(own, None)
            continue
        free = there or next((name for name, content in data.items() if len(content) < MOST_ENTRIES), None) or next(names)
        data.setdefault(free, {})[own] = _encode(credential, entry)
    before = {shard["metadata"]["name"]: shard for shard in shards}
    for name, content in data.items():
        if name not in before:
            yield build_shard(key, name, content)
        elif content != (before[name].get("data") or {}):
            yield {**before[name], "data": content}


def build_shard(key: Key, name: str, data: Mapping[str, str]) -> Object:
    """Unowned: it outlives the orchestrator, as the keys that applications hold do."""
    return child(key, "v1", "Secret", name, None, labels={COMPONENT: "registry"}, type="Opaque") | {"data": dict(data)}


def registry_of(key: Key, entries: Mapping[CredentialRef, Entry]) -> list[Object]:
    """A registry with these entries."""
    return list(written(key, [], entries, ()))


def _fresh_names(key: Key, taken: Collection[str]) -> Iterator[str]:
    base = registry_name(key)
    yield from (name for number in range(10_000) if (name := f"{base}-{number}" if number else base) not in taken)


def key_in(secret: Object, type_: str) -> KeyPair | None:
    """The key pair or token of an application's Secret, if it holds a whole one, under whichever of its names."""
    data = secret.get("data") or {}
    names: tuple[tuple[str, ...], ...] = ((TOKEN_KEY,),) if type_ == "Token" else (AWS_KEYS, COSI_KEYS)
    for wanted in names:
        try:
            values = [base64.b64decode(data[name]).decode() for name in wanted]
        except (binascii.Error, ValueError, KeyError):
            continue
        pair = KeyPair(values[0] if len(values) > 1 else "", values[-1])
        if is_usable(pair, type_):
            return pair
    return None


TOKEN_KEY = "token"  # noqa: S105  the name of a key, not its value
AWS_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
COSI_KEYS = ("COSI_S3_ACCESS_KEY_ID", "COSI_S3_ACCESS_SECRET_KEY")


def is_usable(pair: KeyPair, type_: str) -> bool:
    halves = [pair.secret_access_key] if type_ == "Token" else [pair.access_key_id, pair.secret_access_key]
    return all(isinstance(half, str) and half.isascii() and half.isprintable() and half.strip() == half != "" for half in halves)


def _encode(credential: CredentialRef, entry: Entry) -> str:
    document = {
        **credential._asdict(),
        **_pair_as_json(entry.pair),
        "rotatedAt": entry.rotated_at,
        "rotation": entry.rotation,
        "retired": [_pair_as_json(one.pair) | {"expiresAt": one.expires_at} for one in entry.retired],
    }
    return base64.b64encode(json.dumps(document, sort_keys=True).encode()).decode()


def _decode(text: str) -> tuple[CredentialRef, Entry]:
    document = json.loads(base64.b64decode(text))
    credential = CredentialRef(*(str(document[name]) for name in CredentialRef._fields))
    retired = tuple(Retired(_pair_from_json(one), str(one["expiresAt"])) for one in document["retired"])
    return credential, Entry(_pair_from_json(document), str(document["rotatedAt"]), str(document["rotation"]), retired)


def _pair_as_json(pair: KeyPair) -> dict[str, str]:
    return {"accessKeyId": pair.access_key_id, "secretAccessKey": pair.secret_access_key}


def _pair_from_json(document: Mapping[str, str]) -> KeyPair:
    return KeyPair(document["accessKeyId"], document["secretAccessKey"])


def _entry_name(credential: CredentialRef) -> str:
    """Names may be longer than the key of a Secret."""
    return hashlib.sha256("/".join(credential).encode()).hexdigest()[:40]
