"""A key that proxies were given is found again by its bucket, its credential and its Secret; no other is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from s3o_crds.compiled import BucketConfig, CredentialConfig, FleetConfig
from s3o_operator.apply.mint import new_key
from s3o_operator.plan.actions import NewKey
from s3o_operator.plan.manifests.mounted import Mounted
from s3o_operator.plan.observed import Ref
from s3o_operator.plan.registry import CredentialRef, KeyPair
from s3o_operator.plan.restoring import is_of_ours, restorable

PAIR, OLD, TOKEN = new_key("SigV4"), new_key("SigV4"), new_key("Token")


def credential(name: str, secret: str) -> CredentialConfig:
    where = f"team-a/{secret}"
    return CredentialConfig(name=name, access_key_id=f"{where}/AWS_ACCESS_KEY_ID", secret_access_key=f"{where}/AWS_SECRET_ACCESS_KEY")


def mounted(pair: KeyPair = PAIR) -> Mounted:
    """Bucket `files`, with a key, an older one that still works, and a token."""
    keys = [credential("default", "photos"), credential("default.previous-0", "photos~previous-0")]
    token = CredentialConfig(name="legacy", type="Token", token="team-a/photos-legacy/token")
    values = {keys[0].access_key_id: pair.access_key_id, keys[0].secret_access_key: pair.secret_access_key}
    values |= {keys[1].access_key_id: OLD.access_key_id, keys[1].secret_access_key: OLD.secret_access_key}
    values |= {token.token: TOKEN.secret_access_key}
    return Mounted(FleetConfig(name="main", buckets=(BucketConfig(name="files", credentials=(*keys, token)),)), values)


def lost(name: str = "default", type_: str = "SigV4", secret: str = "photos") -> NewKey:
    return NewKey(CredentialRef("team-a", "photos", name, type_), Ref("Secret", "team-a", secret), "uid", "files")


def test_the_newest_key_and_the_token_are_found() -> None:
    missing = [lost(), lost("legacy", "Token", "photos-legacy")]
    assert restorable(missing, mounted()) == {missing[0].credential: PAIR, missing[1].credential: TOKEN}


@pytest.mark.parametrize(
    "another",
    [
        lost("writer"),
        lost(secret="photos-2"),
        lost("legacy", "SigV4", "photos-legacy"),
        lost(type_="Token"),
        replace(lost(), bucket_name="videos"),
        replace(lost(), secret=Ref("Secret", "team-b", "photos")),
    ],
)
def test_no_other_is(another: NewKey) -> None:
    """Or the key of one team would be given to another."""
    assert restorable([another], mounted()) == {}


@pytest.mark.parametrize("pair", [KeyPair("AKIAIOSFODNN7EXAMPLE", "x" * 40), KeyPair(PAIR.access_key_id, ""), KeyPair("", "")])
def test_what_users_brought_is_not_taken_for_a_generated_key(pair: KeyPair) -> None:
    assert restorable([lost()], mounted(pair)) == {}


def test_every_key_that_is_made_is_known_by_its_mark() -> None:
    assert all(is_of_ours(new_key(type_)) for type_ in ("SigV4", "Token"))
    assert not is_of_ours(KeyPair("", "x" * 43))
