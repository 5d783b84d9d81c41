"""The key of a credential, out of the configuration that proxies mount: for when the registry and the application's Secret are both lost.

Whoever has the key goes on with it, since it is what the proxies ask for. Only a key that we made is taken: whoever writes `generate` where
`secretRef` stood wants another one than before, even under the same name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from s3o_crds.compiled import CredentialConfig
from s3o_crds.v1alpha1.bucket import CredentialSecretRef
from s3o_operator.plan.actions import NewKey
from s3o_operator.plan.manifests.mounted import Mounted
from s3o_operator.plan.observed import Ref
from s3o_operator.plan.registry import CredentialRef, KeyPair, is_usable

_OUR_ID, _OUR_TOKEN = re.compile("S3O[A-Z2-7]{17}"), re.compile("S3O[-_A-Za-z0-9]{43}")
_KEYS = CredentialSecretRef.model_construct(name="")
"""The names that a generated key has in its Secret, as the configuration refers to them."""


def restorable(missing: Iterable[NewKey], mounted: Mounted) -> dict[CredentialRef, KeyPair]:
    """Of those that are `missing`. By the bucket, the credential and the Secret: all three must be the same."""
    given = {(bucket.name, one.name): one for bucket in mounted.config.buckets for one in bucket.credentials}
    found: dict[CredentialRef, KeyPair] = {}
    for new in missing:
        credential = given.get((new.bucket_name, new.credential.name))
        if credential is None or not _names(credential, new):
            continue
        value = mounted.values.get
        pair = KeyPair(value(credential.access_key_id, ""), value(credential.secret_access_key, "") or value(credential.token, ""))
        if is_usable(pair, new.credential.type) and is_of_ours(pair):
            found[new.credential] = pair
    return found


def is_of_ours(pair: KeyPair) -> bool:
    """By the mark that every key has that we make."""
    return bool(_OUR_ID.fullmatch(pair.access_key_id) if pair.access_key_id else _OUR_TOKEN.fullmatch(pair.secret_access_key))


def _names(credential: CredentialConfig, new: NewKey) -> bool:
    if new.credential.type == "Token":
        return credential.token == _ref(new.secret, _KEYS.token_key)
    keys = (credential.access_key_id, credential.secret_access_key)
    return keys == (_ref(new.secret, _KEYS.access_key_id_key), _ref(new.secret, _KEYS.secret_access_key_key))


def _ref(secret: Ref, key: str) -> str:
    return f"{secret.namespace}/{secret.name}/{key}"
