"""Which keys are made, in which Secret each stands, and what the proxies are told of them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support import resources
from tests.support.observations import KEY, NOW, decoded, ensured, observed, served, status_of, stored
from tests.support.resources import Document

from s3o_operator.plan.actions import Delete, Ensure, NewKey, WriteKeys, render
from s3o_operator.plan.observed import Object, Observed, Ref, ref_of
from s3o_operator.plan.planner import plan
from s3o_operator.plan.registry import CredentialRef, Entry, KeyPair, Retired

PAIR, OLD = KeyPair("S3ONEW", "new-secret"), KeyPair("S3OOLD", "old-secret")


def bucket(*credentials: Document, name: str = "photos", **metadata: object) -> Object:
    return served(resources.bucket(name, credentials=list(credentials)), **metadata)


def generated(name: str, **fields: object) -> Document:
    return {"name": name, "generate": {}, **fields}


def entry_of(name: str = "default", bucket: str = "photos", type_: str = "SigV4") -> CredentialRef:
    return CredentialRef("default", bucket, name, type_)


def entries(*names: str, bucket: str = "photos") -> dict[CredentialRef, Entry]:
    return {entry_of(name, bucket): Entry(KeyPair(f"ID-{bucket}-{name}", f"secret-{name}")) for name in names}


def secrets_made(seen: Observed) -> dict[str, dict[str, str]]:
    """Of applications, by name."""
    manifests = [one.manifest for one in plan(seen).actions if isinstance(one, Ensure) and one.manifest["kind"] == "Secret"]
    return {one["metadata"]["name"]: decoded(one) for one in manifests if "s3orchestrator.io/credential" in one["metadata"]["labels"]}


def new_keys(seen: Observed) -> list[NewKey]:
    return [
        change for action in plan(seen).actions if isinstance(action, WriteKeys) for change in action.changes if isinstance(change, NewKey)
    ]


def test_a_bucket_that_names_nobody_has_one_key_in_a_secret_of_its_own_name() -> None:
    assert new_keys(observed(bucket())) == [NewKey(entry_of(), Ref("Secret", "default", "photos"), "uid-of-photos", "photos")]
    made = secrets_made(observed(bucket(), entries={entry_of(): Entry(PAIR)}))
    shared = "[default]\naws_access_key_id = S3ONEW\naws_secret_access_key = new-secret\n"
    assert made == {"photos": {"AWS_ACCESS_KEY_ID": "S3ONEW", "AWS_SECRET_ACCESS_KEY": "new-secret", "credentials": shared}}


def test_each_generated_credential_has_a_secret_of_its_own() -> None:
    credentials = [generated("default"), generated("writer"), generated("reader", secretTemplate={"name": "app1-s3"})]
    assert [one.credential.name for one in new_keys(observed(bucket(*credentials)))] == ["default", "writer", "reader"]
    seen = observed(bucket(*credentials), entries=entries("default", "writer", "reader"))
    assert {name: one["AWS_ACCESS_KEY_ID"] for name, one in secrets_made(seen).items()} == {
        "photos": "ID-photos-default",
        "photos-writer": "ID-photos-writer",
        "app1-s3": "ID-photos-reader",
    }
    status = status_of(seen, "VirtualBucket", "photos")
    assert (status["secretName"], status["configMapName"]) == ("photos", "photos")
    assert {one["name"]: (one["accessKeyId"], one["secretName"]) for one in status["credentials"]} == {
        "default": ("ID-photos-default", "photos"),
        "reader": ("ID-photos-reader", "app1-s3"),
        "writer": ("ID-photos-writer", "photos-writer"),
    }


def test_the_template_says_what_a_secret_looks_like() -> None:
    template = {"labels": {"team": "a"}, "annotations": {"note": "b"}, "keys": "Both"}
    seen = observed(bucket(generated("default", secretTemplate=template)), entries=entries("default"))
    metadata = ensured(seen, "Secret", "photos")["metadata"]
    assert metadata["labels"]["team"] == "a"
    assert metadata["annotations"]["note"] == "b"
    values = secrets_made(seen)["photos"]
    assert {name: value for name, value in values.items() if name.startswith("COSI")} == {
        "COSI_PROTOCOL": "S3",
        "COSI_S3_BUCKET_ID": "photos",
        "COSI_S3_ENDPOINT": "http://main.default.svc:9000",
        "COSI_S3_REGION": "us-east-1",
        "COSI_S3_ADDRESSING_STYLE": "path",
        "COSI_S3_ACCESS_KEY_ID": "ID-photos-default",
        "COSI_S3_ACCESS_SECRET_KEY": "secret-default",
    }
    assert values["AWS_ACCESS_KEY_ID"] == "ID-photos-default"
    only = observed(bucket(generated("default", secretTemplate={"keys": "COSI"})), entries=entries("default"))
    assert not [name for name in secrets_made(only)["photos"] if not name.startswith("COSI")]


def test_a_token_is_generated_too() -> None:
    seen = observed(bucket(generated("legacy", type="Token")))
    (new,) = new_keys(seen)
    assert new.credential.type == "Token"
    seen = observed(bucket(generated("legacy", type="Token")), entries={new.credential: Entry(KeyPair("", "a-token"))})
    assert secrets_made(seen) == {"photos-legacy": {"token": "a-token"}}
    (credential,) = status_of(seen, "VirtualBucket", "photos")["credentials"]
    assert credential == {"name": "legacy", "secretName": "photos-legacy"}


def test_where_the_endpoint_speaks_tls_applications_are_given_the_authority() -> None:
    pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    tls = stored(resources.secret("s3-tls", **{"tls.crt": pem, "tls.key": key, "ca.crt": pem}))
    orchestrator = served(resources.orchestrator(server={"tls": {"secretName": "s3-tls"}}))
    one = bucket(generated("default", secretTemplate={"keys": "COSI"}))
    seen = observed(one, entries=entries("default"), live=[tls], orchestrator=orchestrator)
    config = ensured(seen, "ConfigMap", "photos")["data"]
    assert (config["AWS_ENDPOINT_URL_S3"], config["CA_CERTIFICATE"]) == ("https://main.default.svc:9000", pem)
    assert secrets_made(seen)["photos"]["COSI_CERTIFICATE_AUTHORITY"] == pem


class TestConflicts:
    @pytest.mark.parametrize(
        ("template", "message"),
        [
            ({"name": "main-config"}, "Secret default/main-config for credential default: the orchestrator itself needs that name"),
            ({"name": "main-registry-3"}, "the orchestrator itself needs that name"),
            ({"name": "taken"}, "Secret default/taken for credential default: exists and is not ours"),
        ],
    )
    def test_a_secret_that_is_not_free_is_never_taken(self, template: dict[str, Any], message: str) -> None:
        foreign = stored(resources.key_pair("taken"))
        seen = observed(bucket(generated("default", secretTemplate=template)), live=[foreign])
        assert new_keys(seen) == []
        (condition,) = [one for one in status_of(seen, "VirtualBucket", "photos")["conditions"] if one["type"] == "Accepted"]
        assert (condition["status"], condition["reason"]) == ("False", "SecretConflict")
        assert message in condition["message"]

    def test_of_two_that_want_one_secret_the_older_bucket_has_it(self) -> None:
        same = generated("default", secretTemplate={"name": "shared"})
        younger = bucket(same, name="a-younger", creationTimestamp="2026-11-21T09:30:00Z")
        seen = observed(bucket(same), younger)
        assert [one.credential.bucket for one in new_keys(seen)] == ["photos"]
        seen = observed(bucket(same), younger, entries=entries("default"))
        assert "default/photos/default has it" in render(plan(seen))

    def test_two_credentials_of_one_bucket_cannot_have_one_secret(self) -> None:
        twice = [generated(name, secretTemplate={"name": "shared"}) for name in ("a", "b")]
        assert "SecretConflict: Secret default/shared for credential b: default/photos/a has it" in render(plan(observed(bucket(*twice))))

    def test_a_name_too_long_for_a_secret_is_refused_by_name(self) -> None:
        long = bucket(generated("w" * 63), name="p" * 250)
        long["spec"]["bucketName"] = "photos"
        assert "the name is too long; set secretTemplate.name" in render(plan(observed(long)))

    def test_a_bucket_in_use_is_served_on_when_somebody_takes_its_secrets_name(self) -> None:
        attached = bucket() | {"status": {"bucketName": "photos", "observedGeneration": 1}}
        foreign = stored(resources.secret("photos", mine="yes"))
        seen = observed(attached, entries=entries("default"), live=[foreign])
        assert "Secret default/photos: exists and is not ours" in render(plan(seen))
        assert b"ID-photos-default" in b"".join(value.encode() for value in decoded(ensured(seen, "Secret", "main-config")).values())
        assert secrets_made(seen) == {}


def test_what_an_earlier_bucket_of_the_name_left_behind_makes_room() -> None:
    seen = observed(bucket(), entries=entries("default"))
    left = served(ensured(seen, "Secret", "photos"), uid="of-the-left-over")
    again = bucket(uid="uid-of-another")
    seen = observed(again, entries=entries("default"), live=[left])
    actions = [one for one in plan(seen).actions if isinstance(one, Delete | Ensure)]
    position = actions.index(Delete(ref_of(left), "of-the-left-over"))
    following = actions[position + 1]
    assert isinstance(following, Ensure)
    assert ref_of(following.manifest) == ref_of(left)


class TestWhatProxiesAreTold:
    def test_a_retired_key_works_until_it_ends(self) -> None:
        entry = Entry(PAIR, NOW, "t1", (Retired(OLD, "2026-11-21T11:00:00Z"),))
        config = decoded(ensured(observed(bucket(), entries={entry_of(): entry}), "Secret", "main-config"))
        assert '"name":"default.previous-0"' in config["config.json"]
        assert "S3OOLD" in config["secrets.json"]
        assert plan(observed(bucket(), entries={entry_of(): entry})).due == "2026-11-21T10:30:00Z"

    def test_a_bucket_that_names_the_generated_secret_of_another_keeps_up_with_its_rotation(self) -> None:
        entry = Entry(PAIR, NOW, "t1", (Retired(OLD, "2026-11-21T11:00:00Z"),))
        follower = bucket({"name": "app", "secretRef": {"name": "photos"}}, name="copies")
        config = decoded(ensured(observed(bucket(), follower, entries={entry_of(): entry}), "Secret", "main-config"))["config.json"]
        assert '"name":"app.previous-0"' in config
        assert config.count("default/photos~previous-0/AWS_ACCESS_KEY_ID") == 2

    def test_the_applications_secret_is_not_asked(self) -> None:
        edited = stored(resources.key_pair("photos", "EDITED", "by somebody"))
        edited["metadata"]["ownerReferences"] = [{"kind": "VirtualBucket", "name": "photos", "uid": "uid-of-photos", "controller": True}]
        seen = observed(bucket(), entries={entry_of(): Entry(PAIR)}, live=[edited])
        config = decoded(ensured(seen, "Secret", "main-config"))["secrets.json"]
        assert "S3ONEW" in config
        assert "EDITED" not in config
        assert secrets_made(seen)["photos"]["AWS_ACCESS_KEY_ID"] == "S3ONEW"
        assert KEY.name == "main"


def test_no_key_is_made_for_a_bucket_that_is_not_served_anyway() -> None:
    loser = bucket(name="loser", creationTimestamp="2026-11-21T09:30:00Z")
    loser["spec"]["bucketName"] = "photos"
    guest = bucket(name="guest", namespace="team-b")
    guest["spec"]["orchestratorRef"]["namespace"] = "default"
    assert [one.credential.bucket for one in new_keys(observed(bucket(), loser, guest))] == ["photos"]
