"""New secrets: key pairs and the admin token, by compare-and-swap: what somebody wrote meanwhile is never lost."""

from __future__ import annotations

import itertools
import secrets
import string
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from s3o_crds.layout import MOST_PARTS
from s3o_operator.apply.protection import read_live
from s3o_operator.kube.client import Kube
from s3o_operator.kube.errors import Gone
from s3o_operator.kube.kinds import BY_NAME
from s3o_operator.observe.cache import Cache
from s3o_operator.plan.actions import DropKeys, ForgetKeys, KeyChange, MintToken, NewKey, RotateKey, WriteKeys
from s3o_operator.plan.manifests.admin import admin_token_in, build_admin_secret
from s3o_operator.plan.manifests.labels import (
    CREDENTIAL,
    MANAGED_BY,
    MANAGER,
    config_name,
    controller_of,
    is_left_over,
    is_ours,
    part_name,
)
from s3o_operator.plan.manifests.mounted import read_back
from s3o_operator.plan.observed import Key, Object, Ref, ref_of
from s3o_operator.plan.registry import REGISTRY_LABELS, CredentialRef, Entry, KeyPair, key_in, read_registry, shards_of, written
from s3o_operator.plan.removal import is_leaving
from s3o_operator.plan.restoring import restorable

_MARK = "S3O"
_ID_ALPHABET = string.ascii_uppercase + "234567"
_SECRET_ALPHABET = string.ascii_letters + string.digits
_TOKEN_BYTES = 32
_MOST_READS = 4
_OURS = replace(BY_NAME["Secret"], fields="", labels=f"{MANAGED_BY}={MANAGER},{CREDENTIAL}")
_REGISTRY = replace(BY_NAME["Secret"], fields="", labels=",".join(f"{name}={value}" for name, value in REGISTRY_LABELS.items()))


async def write_keys(action: WriteKeys, kube: Kube, cache: Cache) -> None:
    """Raises Conflict when the registry changed meanwhile. All is read live: a cache may be behind, and a key is minted once."""
    key = action.key
    shards = await _read_shards(key, kube, cache)
    entries = read_registry(shards)
    missing = [change for change in action.changes if isinstance(change, NewKey) and change.credential not in entries]
    adopted = await _adoptable(missing, kube, cache)
    if lost := [new for new in missing if new.credential not in adopted]:
        adopted |= await _restorable(lost, key, kube)
    changed: dict[CredentialRef, Entry] = {}
    for change in action.changes:
        before = entries.get(change.credential)
        after = _after(change, before, action.now, adopted)
        if after is not None and after != before:
            changed[change.credential] = after
    taken = {one["metadata"]["name"] for one in cache.of("Secret", key.namespace)}
    for document in written(key, shards, changed, taken):
        exists = "resourceVersion" in document["metadata"]
        cache.put(await (kube.replace(document) if exists else kube.create(document)))


async def drop_keys(action: DropKeys, kube: Kube, cache: Cache) -> None:
    """Raises Conflict when the registry changed meanwhile."""
    live = await read_live(action.ref, action.uid, kube, cache)
    if live is None or not is_leaving(live):
        # A namesake has its name, and maybe a key of its own.
        return
    shards = await _read_shards(action.key, kube, cache)
    own = [one for one in read_registry(shards) if (one.namespace, one.bucket) == (action.ref.namespace, action.ref.name)]
    for document in written(action.key, shards, dict.fromkeys(own), ()):
        cache.put(await kube.replace(document))


async def _read_shards(key: Key, kube: Kube, cache: Cache) -> list[Object]:
    listed, _ = await kube.list(_REGISTRY, key.namespace)
    shards = shards_of(key, listed)
    for shard in shards:
        cache.put(shard)
    return shards


def _after(change: KeyChange, before: Entry | None, now: str, adopted: Mapping[CredentialRef, KeyPair]) -> Entry | None:
    """None where there is nothing to change: a registry that was lost meanwhile is filled first."""
    match change:
        case NewKey(credential):
            return before or Entry(adopted.get(credential) or new_key(credential.type))
        case RotateKey(credential, rotation, expires_at):
            return before.rotated(new_key(credential.type), rotation, now, expires_at) if before else None
        case ForgetKeys():
            return before.cleared(now) if before else None


async def _adoptable(missing: Sequence[NewKey], kube: Kube, cache: Cache) -> dict[CredentialRef, KeyPair]:
    """The keys that applications have. Only from a Secret that we made for this very credential: anybody may write another."""
    found: dict[CredentialRef, KeyPair] = {}
    there = await _secrets([new.secret for new in missing], kube)
    for new in missing:
        if (secret := there.get(new.secret)) is None:
            continue
        cache.put(secret)
        bucket = Ref("VirtualBucket", new.credential.namespace, new.credential.bucket)
        ours = controller_of(secret) == new.owner or is_left_over(secret, bucket)
        labels = secret["metadata"].get("labels") or {}
        ours &= labels.get(MANAGED_BY) == MANAGER and labels.get(CREDENTIAL) == new.credential.name
        if ours and (pair := key_in(secret, new.credential.type)):
            found[new.credential] = pair
    return found


async def _secrets(wanted: Iterable[Ref], kube: Kube) -> dict[Ref, Object]:
    """Those of `wanted` that may be ours, read now: a few one by one, many of one namespace by one listing."""
    found: dict[Ref, Object] = {}
    for namespace, refs in itertools.groupby(sorted(wanted), lambda ref: ref.namespace):
        here = list(refs)
        if len(here) > _MOST_READS:
            listed, _ = await kube.list(_OURS, namespace)
            found |= {ref_of(one): one for one in listed}
            continue
        for ref in here:
            with suppress(Gone):
                found[ref] = await kube.get(ref)
    return found


async def _restorable(lost: Sequence[NewKey], key: Key, kube: Kube) -> dict[CredentialRef, KeyPair]:
    """The keys that proxies were given."""
    there = [secret async for secret in _mounted_secrets(key, kube)]
    mounted = read_back(there[0], there[1:]) if there else None
    return restorable(lost, mounted) if mounted else {}


async def _mounted_secrets(key: Key, kube: Kube) -> AsyncIterator[Object]:
    """The head of the configuration, and its parts. Only such as we made."""
    for name in (config_name(key), *(part_name(key, number) for number in range(1, MOST_PARTS + 1))):
        try:
            secret = await kube.get(Ref("Secret", key.namespace, name))
        except Gone:
            return
        if not is_left_over(secret, Ref("S3Orchestrator", *key)):
            return
        yield secret


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


def new_key(type_: str) -> KeyPair:
    """A pair is shaped like those of AWS: 20 characters, and 40 without anything that needs quoting. By its mark we know it again."""
    if type_ == "Token":
        return KeyPair("", _MARK + secrets.token_urlsafe(_TOKEN_BYTES))
    access_key_id = _MARK + "".join(secrets.choice(_ID_ALPHABET) for _ in range(17))
    return KeyPair(access_key_id, "".join(secrets.choice(_SECRET_ALPHABET) for _ in range(40)))
