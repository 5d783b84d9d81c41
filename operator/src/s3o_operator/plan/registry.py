"""The registry: the Secret in which every generated key pair stands before anybody uses it, and from which a lost one is given out again.

It is keyed by namespace and name, not by uid: a VirtualBucket that is restored from a backup has the key that its application has.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from s3o_operator.plan.manifests.labels import child, registry_name
from s3o_operator.plan.observed import Key, Object, Ref


@dataclass(frozen=True)
class KeyPair:
    access_key_id: str
    secret_access_key: str = field(repr=False)


def build_registry(key: Key, entries: Mapping[Ref, KeyPair] | None = None) -> Object:
    """Unowned: it outlives the orchestrator, as the keys that applications hold do."""
    data = {_entry_name(bucket): _encode(bucket, pair) for bucket, pair in (entries or {}).items()}
    return child(key, "v1", "Secret", registry_name(key), None, type="Opaque") | {"data": data}


def read_registry(secret: Object | None) -> dict[Ref, KeyPair]:
    """Entries that make no sense are not there: whoever damaged them finds the key adopted from the application's Secret, or a new one."""
    entries = {}
    for name, text in ((secret or {}).get("data") or {}).items():
        try:
            entry = json.loads(base64.b64decode(text))
            bucket = Ref("VirtualBucket", entry["namespace"], entry["name"])
            pair = KeyPair(entry["accessKeyId"], entry["secretAccessKey"])
        except (binascii.Error, ValueError, KeyError, TypeError):
            continue
        if name == _entry_name(bucket) and is_usable(pair):
            entries[bucket] = pair
    return entries


def key_pair_in(secret: Object) -> KeyPair | None:
    """The key pair of an application's Secret, if it holds a whole one."""
    data = secret.get("data") or {}
    try:
        pair = KeyPair(*(base64.b64decode(data[name]).decode() for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")))
    except (binascii.Error, ValueError, KeyError):
        return None
    return pair if is_usable(pair) else None


def is_usable(pair: KeyPair) -> bool:
    return all(
        isinstance(half, str) and half.isascii() and half.isprintable() and half.strip() == half != ""
        for half in (pair.access_key_id, pair.secret_access_key)
    )


def _encode(bucket: Ref, pair: KeyPair) -> str:
    entry = {
        "namespace": bucket.namespace,
        "name": bucket.name,
        "accessKeyId": pair.access_key_id,
        "secretAccessKey": pair.secret_access_key,
    }
    return base64.b64encode(json.dumps(entry, sort_keys=True).encode()).decode()


def _entry_name(bucket: Ref) -> str:
    """Names may be longer than the key of a Secret."""
    return hashlib.sha256(f"{bucket.namespace}/{bucket.name}".encode()).hexdigest()[:40]
