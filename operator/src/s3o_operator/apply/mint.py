"""New secrets: key pairs and the admin token, by compare-and-swap: what somebody wrote meanwhile is never lost."""

from __future__ import annotations

import secrets
import string

from s3o_operator.kube.client import Kube
from s3o_operator.kube.errors import Gone
from s3o_operator.observe.cache import Cache
from s3o_operator.plan.actions import MintKeys, MintToken, NewKey
from s3o_operator.plan.manifests.admin import admin_token_in, build_admin_secret
from s3o_operator.plan.manifests.labels import ORCHESTRATOR, is_ours
from s3o_operator.plan.observed import Key, Object, ref_of
from s3o_operator.plan.registry import KeyPair, build_registry, key_pair_in, read_registry

_ID_ALPHABET = string.ascii_uppercase + "234567"
_SECRET_ALPHABET = string.ascii_letters + string.digits
_TOKEN_BYTES = 32


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
    cache.put(await _swap(there, build_registry(key, entries), kube))


async def mint_token(action: MintToken, kube: Kube, cache: Cache) -> None:
    """Raises Conflict when the Secret changed meanwhile. It is read live: pods that have its token would be shut out by a second one."""
    key = Key(action.secret.namespace, action.owner["metadata"]["name"])
    fresh = build_admin_secret(key, action.owner, secrets.token_urlsafe(_TOKEN_BYTES))
    try:
        there = await kube.get(action.secret)
    except Gone:
        there = None
    if there is not None and (not is_ours(there, fresh) or admin_token_in(there)):
        cache.put(there)
        return
    cache.put(await _swap(there, fresh, kube))


async def _swap(there: Object | None, document: Object, kube: Kube) -> Object:
    """In place of exactly what was read. Raises Conflict when something else stands there now."""
    if there is None:
        return await kube.create(document)
    version = {"resourceVersion": there["metadata"]["resourceVersion"]}
    return await kube.replace({**document, "metadata": {**document["metadata"], **version}})


def new_key_pair() -> KeyPair:
    """Shaped like those of AWS: 20 characters that begin with a mark of ours, and 40 without anything that needs quoting."""
    access_key_id = "S3O" + "".join(secrets.choice(_ID_ALPHABET) for _ in range(17))
    return KeyPair(access_key_id, "".join(secrets.choice(_SECRET_ALPHABET) for _ in range(40)))


def _adopted(new: NewKey, cache: Cache) -> KeyPair | None:
    secret = cache.get(new.adopt) if new.adopt else None
    return key_pair_in(secret) if secret is not None else None
