"""New key pairs into the registry, by compare-and-swap: an entry that somebody wrote meanwhile is never lost."""

from __future__ import annotations

import secrets
import string

from s3o_operator.kube.client import Kube
from s3o_operator.kube.errors import Gone
from s3o_operator.observe.cache import Cache
from s3o_operator.plan.actions import MintKeys, NewKey
from s3o_operator.plan.manifests.labels import ORCHESTRATOR, is_ours
from s3o_operator.plan.observed import Key, ref_of
from s3o_operator.plan.registry import KeyPair, build_registry, key_pair_in, read_registry

_ID_ALPHABET = string.ascii_uppercase + "234567"
_SECRET_ALPHABET = string.ascii_letters + string.digits


async def mint_keys(action: MintKeys, kube: Kube, cache: Cache) -> None:
    """Raises Conflict when the registry changed meanwhile. The registry is read live: a cache may be behind, and a key is minted once."""
    ref = ref_of(action.registry)
    try:
        there = await kube.get(ref)
    except Gone:
        there = None
    if there is not None and not is_ours(there, action.registry):
        cache.put(there)
        return
    entries = read_registry(there)
    for new in action.keys:
        if new.bucket not in entries:
            entries[new.bucket] = _adopted(new, cache) or new_key_pair()
    key = Key(ref.namespace, action.registry["metadata"]["labels"][ORCHESTRATOR])
    document = build_registry(key, entries)
    if there is None:
        cache.put(await kube.create(document))
    else:
        version = {"resourceVersion": there["metadata"]["resourceVersion"]}
        cache.put(await kube.replace({**document, "metadata": {**document["metadata"], **version}}))


def new_key_pair() -> KeyPair:
    """Shaped like those of AWS: 20 characters that begin with a mark of ours, and 40 without anything that needs quoting."""
    access_key_id = "S3O" + "".join(secrets.choice(_ID_ALPHABET) for _ in range(17))
    return KeyPair(access_key_id, "".join(secrets.choice(_SECRET_ALPHABET) for _ in range(40)))


def _adopted(new: NewKey, cache: Cache) -> KeyPair | None:
    secret = cache.get(new.adopt) if new.adopt else None
    return key_pair_in(secret) if secret is not None else None
