"""What is served, what is rejected and why, and which of two claims wins."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable

import pytest
from tests.support import resources
from tests.support.resources import REMOVED, Document, changed

from s3o_crds.compile import Compilation, Kept, Rejection, compile  # noqa: A004  the name that the design gives it
from s3o_crds.compiled import BackendConfig, BucketConfig, CleanupConfig, CredentialConfig, DatabaseConfig, FleetConfig, ServerConfig
from s3o_crds.parse import Secret, parse_resource
from s3o_crds.v1alpha1 import S3Orchestrator, StorageBackend, VirtualBucket

KEYS = [resources.key_pair("backend-keys"), resources.key_pair("photos-keys"), resources.key_pair("videos-keys")]


def compiled(
    *documents: Document,
    refused: Iterable[Rejection] = (),
    generation: int = 1,
    previous: FleetConfig | None = None,
    keys: Iterable[Document] = KEYS,
    kept: Kept | None = None,
) -> Compilation:
    """Of any documents, in any order; the orchestrator `main` and the Secrets `KEYS` are there unless others are given."""
    parsed = [parse_resource(document) for document in [*documents, *keys]]
    parsed.append(parse_resource(resources.orchestrator()))
    return compile(
        next(one for one in parsed if isinstance(one, S3Orchestrator)),
        [one for one in parsed if isinstance(one, StorageBackend)],
        [one for one in parsed if isinstance(one, VirtualBucket)],
        [one for one in parsed if isinstance(one, Secret)],
        refused=refused,
        generation=generation,
        previous=previous,
        kept=kept or Kept(),
    )


def config_of(compilation: Compilation) -> FleetConfig:
    assert compilation.config is not None
    return compilation.config


def refusals(compilation: Compilation) -> dict[str, str]:
    """Name → reason."""
    return {rejection.name: rejection.reason for rejection in compilation.rejections}


def aged(document: Document, created: str, namespace: str = "default") -> Document:
    return changed(document, {"metadata.creationTimestamp": created, "metadata.namespace": namespace})


OLD, NEW = "2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z"


class TestWhatIsServed:
    def test_an_orchestrator_alone_serves_nothing_with_the_defaults_of_the_config(self) -> None:
        compilation = compiled()
        assert config_of(compilation) == FleetConfig(name="main", digest=config_of(compilation).digest)
        assert (compilation.secret_values, compilation.rejections) == ({}, ())

    def test_defaults_of_the_resources_are_those_of_the_config(self) -> None:
        config = config_of(compiled(resources.orchestrator(server={}, database={}, routing={}, cleanup={}), resources.backend()))
        assert (config.server, config.database, config.cleanup) == (ServerConfig(), DatabaseConfig(), CleanupConfig())
        given = {"name": "one", "endpoint": "https://one.example.com", "bucket": "data", "region": "us-east-1"}
        refs = {
            "access_key_id": "default/backend-keys/AWS_ACCESS_KEY_ID",
            "secret_access_key": "default/backend-keys/AWS_SECRET_ACCESS_KEY",
        }
        assert config.backends == (BackendConfig(**given, **refs),)

    def test_a_bucket_names_its_secrets_and_their_values_travel_beside(self) -> None:
        compilation = compiled(resources.bucket(maxMultipartUploads=7))
        access_key_id, secret_access_key = "default/photos-keys/AWS_ACCESS_KEY_ID", "default/photos-keys/AWS_SECRET_ACCESS_KEY"
        credential = CredentialConfig(name="app", access_key_id=access_key_id, secret_access_key=secret_access_key)
        assert config_of(compilation).buckets == (BucketConfig(name="photos", max_multipart_uploads=7, credentials=(credential,)),)
        assert compilation.secret_values == {access_key_id: "id-of-photos-keys", secret_access_key: "shh"}

    def test_a_token_is_a_credential(self) -> None:
        credentials = [{"name": "legacy", "type": "Token", "secretRef": {"name": "tokens", "tokenKey": "photos"}}]
        compilation = compiled(resources.bucket(credentials=credentials), resources.secret("tokens", photos="open sesame"))
        assert config_of(compilation).buckets[0].credentials == (
            CredentialConfig(name="legacy", type="Token", token="default/tokens/photos"),
        )
        assert compilation.secret_values == {"default/tokens/photos": "open sesame"}

    def test_names_default_to_the_object_and_can_be_given(self) -> None:
        config = config_of(compiled(resources.backend("one", backendName="oci"), resources.bucket("photos", bucketName="my.photos")))
        assert [backend.name for backend in config.backends] == ["oci"]
        assert [bucket.name for bucket in config.buckets] == ["my.photos"]

    def test_backends_go_by_order_then_name_and_buckets_by_name(self) -> None:
        backends = [resources.backend(name, order=order) for name, order in (("c", 10), ("a", 20), ("b", 10), ("d", 0))]
        config = config_of(compiled(*backends, resources.bucket("videos"), resources.bucket("photos")))
        assert [backend.name for backend in config.backends] == ["d", "b", "c", "a"]
        assert [bucket.name for bucket in config.buckets] == ["photos", "videos"]

    def test_a_cordoned_backend_is_served_without_writes(self) -> None:
        for state in ("Cordoned", "Draining"):
            assert [backend.accepts_writes for backend in config_of(compiled(resources.backend(state=state))).backends] == [False]

    def test_resources_of_another_orchestrator_are_none_of_our_business(self) -> None:
        strangers = [
            resources.backend(orchestratorRef={"name": "other"}),
            resources.bucket(orchestratorRef={"name": "main", "namespace": "elsewhere"}),
            aged(resources.backend("two"), OLD, namespace="elsewhere"),
        ]
        compilation = compiled(*strangers)
        assert (config_of(compilation).backends, config_of(compilation).buckets, compilation.rejections) == ((), (), ())

    def test_the_order_of_what_is_given_changes_nothing(self) -> None:
        documents = [resources.backend(name, order=10) for name in "abc"] + [resources.bucket("photos"), resources.bucket("videos")]
        documents += [resources.backend("d", endpoint="https://a.example.com"), resources.bucket("broken", credentials=REMOVED)]
        first = compiled(*documents)
        for seed in range(10):
            random.Random(seed).shuffle(documents)
            assert compiled(*documents) == first


class TestWhatIsRejected:
    """The rest is served all the same."""

    @pytest.mark.parametrize(
        ("document", "reason", "parts_of_the_message"),
        [
            (resources.backend(credentialsSecretRef={"name": "gone"}), "SecretNotFound", ["default/gone", "AWS_ACCESS_KEY_ID"]),
            (
                resources.backend(credentialsSecretRef={"name": "backend-keys", "secretAccessKeyKey": "pass"}),
                "SecretKeyNotFound",
                ["spec.credentialsSecretRef", "default/backend-keys", "no key pass", "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY"],
            ),
            (resources.backend(caSecretRef={"name": "gone"}), "SecretNotFound", ["spec.caSecretRef", "default/gone", "ca.crt"]),
            (
                resources.backend(caSecretRef={"name": "backend-keys", "key": "AWS_ACCESS_KEY_ID"}),
                "SecretKeyInvalid",
                ["no CERTIFICATE in PEM"],
            ),
            (resources.bucket("bad", credentials=REMOVED), "NoCredentials", ["spec.credentials is empty"]),
            (resources.bucket("bad", credentials=[]), "NoCredentials", ["spec.credentials is empty"]),
            (resources.bucket("bad"), "SecretNotFound", ["spec.credentials[app].secretRef", "default/bad-keys"]),
            (
                resources.bucket("bad", credentials=[{"name": "t", "type": "Token", "secretRef": {"name": "photos-keys"}}]),
                "SecretKeyNotFound",
                ["default/photos-keys", "no key token"],
            ),
        ],
    )
    def test_for_what_it_refers_to(self, document: Document, reason: str, parts_of_the_message: list[str]) -> None:
        compilation = compiled(document, resources.backend("fine"), resources.bucket("videos"))
        (rejection,) = compilation.rejections
        assert (rejection.kind, rejection.namespace, rejection.name) == (document["kind"], "default", document["metadata"]["name"])
        assert rejection.reason == reason
        for part in parts_of_the_message:
            assert part in rejection.message
        assert [backend.name for backend in config_of(compilation).backends] == ["fine"]
        assert [bucket.name for bucket in config_of(compilation).buckets] == ["videos"]

    @pytest.mark.parametrize(
        ("value", "problem"),
        [("", "is empty"), ("key\n", "white space"), (" key", "white space"), ("a\tb", "white space"), ("a\r\nb", "line break")],
    )
    def test_for_a_secret_value_that_cannot_be_meant(self, value: str, problem: str) -> None:
        compilation = compiled(
            resources.backend(), keys=[resources.secret("backend-keys", AWS_ACCESS_KEY_ID=value, AWS_SECRET_ACCESS_KEY="x")]
        )
        assert refusals(compilation) == {"one": "SecretKeyInvalid"}
        assert problem in compilation.rejections[0].message

    def test_for_a_secret_value_that_is_not_text(self) -> None:
        keys = resources.secret("backend-keys", AWS_SECRET_ACCESS_KEY="x") | {"data": {"AWS_ACCESS_KEY_ID": "/wA="}}
        assert refusals(compiled(resources.backend(), keys=[keys])) == {"one": "SecretKeyInvalid"}

    def test_for_another_namespace(self) -> None:
        """A Secret of the same name in the orchestrator's own namespace is not taken instead."""
        guests = [
            aged(resources.backend(orchestratorRef={"name": "main", "namespace": "default"}), OLD, namespace="team-a"),
            aged(resources.bucket(orchestratorRef={"name": "main", "namespace": "default"}), OLD, namespace="team-a"),
        ]
        compilation = compiled(*guests)
        assert refusals(compilation) == {"one": "NotAllowed", "photos": "NotAllowed"}
        assert "S3Orchestrator default/main takes only objects of its own namespace, not of team-a" in compilation.rejections[0].message
        assert compilation.secret_values == {}

    def test_every_problem_of_a_bucket_is_in_the_message(self) -> None:
        credentials = [{"name": name, "secretRef": {"name": f"{name}-gone"}} for name in ("a", "b")]
        message = compiled(resources.bucket(credentials=credentials)).rejections[0].message
        assert "default/a-gone" in message
        assert "default/b-gone" in message

    def test_rejected_resources_leave_no_secret_behind(self) -> None:
        assert compiled(resources.backend(caSecretRef={"name": "gone"}), resources.bucket("bad")).secret_values == {}


class TestTheOlderClaimWins:
    def test_to_a_backend_name(self) -> None:
        older, younger = aged(resources.backend("z", backendName="oci"), OLD), aged(resources.backend("a", backendName="oci"), NEW)
        compilation = compiled(younger, older)
        assert [backend.endpoint for backend in config_of(compilation).backends] == ["https://z.example.com"]
        (rejection,) = compilation.rejections
        assert (rejection.name, rejection.reason) == ("a", "BackendNameConflict")
        assert rejection.message == "the name oci is already taken by the older StorageBackend default/z"

    def test_to_a_bucket_name(self) -> None:
        older, younger = aged(resources.bucket("videos", bucketName="photos"), OLD), aged(resources.bucket("photos"), NEW)
        compilation = compiled(younger, older)
        assert refusals(compilation) == {"photos": "BucketNameConflict"}
        assert config_of(compilation).buckets[0].credentials[0].access_key_id == "default/videos-keys/AWS_ACCESS_KEY_ID"

    def test_to_an_access_key(self) -> None:
        keys = [resources.key_pair("photos-keys", "same"), resources.key_pair("videos-keys", "same", "another secret")]
        compilation = compiled(aged(resources.bucket("photos"), NEW), aged(resources.bucket("videos"), OLD), keys=keys)
        assert refusals(compilation) == {"photos": "AccessKeyConflict"}
        assert [bucket.name for bucket in config_of(compilation).buckets] == ["videos"]
        assert compilation.rejections[0].message == (
            "the access key id of credential app has another secret in the older VirtualBucket default/videos"
        )

    def test_but_one_key_pair_or_token_opens_several_buckets(self) -> None:
        """Else nobody could copy from one bucket to another."""
        credentials = [
            {"name": "pair", "secretRef": {"name": "photos-keys"}},
            {"name": "token", "type": "Token", "secretRef": {"name": "tokens"}},
        ]
        names = ("a-bucket", "b-bucket")
        compilation = compiled(*(resources.bucket(name, credentials=credentials) for name in names), resources.secret("tokens", token="x"))
        assert [bucket.name for bucket in config_of(compilation).buckets] == list(names)

    def test_and_a_bucket_has_no_claim_against_itself(self) -> None:
        credentials = [{"name": name, "secretRef": {"name": "photos-keys"}} for name in ("a", "b")]
        compilation = compiled(resources.bucket(credentials=credentials))
        assert compilation.rejections[0].message == "the access key id of credential b is already in use by this object itself"

    def test_to_a_physical_bucket(self) -> None:
        older = aged(resources.backend("z", endpoint="https://S3.example.com:443"), OLD)
        younger = aged(resources.backend("a", endpoint="https://s3.example.com"), NEW)
        compilation = compiled(younger, older)
        assert refusals(compilation) == {"a": "SameBucketTwice"}
        assert "StorageBackend default/z" in compilation.rejections[0].message

    def test_even_when_the_older_one_is_broken(self) -> None:
        """Otherwise the younger one's bytes would appear under the older one's name as soon as a Secret goes missing."""
        broken = {"name": "gone"}
        documents = [
            aged(resources.backend("z", backendName="oci", credentialsSecretRef=broken), OLD),
            aged(resources.backend("a", backendName="oci"), NEW),
            aged(resources.backend("y", endpoint="https://same.example.com", credentialsSecretRef=broken), OLD),
            aged(resources.backend("b", endpoint="https://same.example.com"), NEW),
            aged(resources.bucket("nobody", bucketName="photos", credentials=[]), OLD),
            aged(resources.bucket("photos"), NEW),
        ]
        compilation = compiled(*documents)
        assert refusals(compilation) == {
            "z": "SecretNotFound",
            "a": "BackendNameConflict",
            "y": "SecretNotFound",
            "b": "SameBucketTwice",
            "nobody": "NoCredentials",
            "photos": "BucketNameConflict",
        }

    def test_a_broken_bucket_keeps_the_keys_that_can_be_read(self) -> None:
        credentials = [{"name": "a", "secretRef": {"name": "gone"}}, {"name": "b", "secretRef": {"name": "videos-keys"}}]
        others = [{"name": "c", "secretRef": {"name": "other-keys"}}]
        keys = [resources.key_pair("videos-keys", "same"), resources.key_pair("other-keys", "same", "another secret")]
        compilation = compiled(
            aged(resources.bucket("photos", credentials=credentials), OLD),
            aged(resources.bucket("videos", credentials=others), NEW),
            keys=keys,
        )
        assert refusals(compilation) == {"photos": "SecretNotFound", "videos": "AccessKeyConflict"}

    def test_a_guest_of_another_namespace_claims_nothing(self) -> None:
        guest = aged(resources.backend("z", backendName="oci", orchestratorRef={"name": "main", "namespace": "default"}), OLD, "team-a")
        compilation = compiled(guest, aged(resources.backend("a", backendName="oci"), NEW))
        assert [backend.name for backend in config_of(compilation).backends] == ["oci"]

    def test_among_files_which_have_no_age_the_name_decides(self) -> None:
        for order in itertools.permutations(resources.backend(name, backendName="oci") for name in "bca"):
            assert [backend.endpoint for backend in config_of(compiled(*order)).backends] == ["https://a.example.com"]

    def test_a_file_is_younger_than_anything_with_an_age(self) -> None:
        compilation = compiled(resources.backend("a", backendName="oci"), aged(resources.backend("b", backendName="oci"), NEW))
        assert refusals(compilation) == {"a": "BackendNameConflict"}


class TestABadOrchestratorIsFatal:
    @pytest.mark.parametrize(
        ("spec", "reason"),
        [
            ({"database": {"driver": "Postgres", "uriSecretRef": {"name": "gone", "key": "uri"}}}, "SecretNotFound"),
            ({"database": {"driver": "Postgres", "uriSecretRef": {"name": "photos-keys", "key": "uri"}}}, "SecretKeyNotFound"),
            ({"server": {"tls": {"secretName": "gone"}}}, "SecretNotFound"),
            ({"server": {"tls": {"secretName": "photos-keys"}}}, "SecretKeyNotFound"),
        ],
    )
    def test_for_what_it_refers_to(self, spec: Document, reason: str) -> None:
        compilation = compiled(resources.orchestrator(**spec), resources.backend(), resources.bucket("bad"))
        assert (compilation.config, compilation.secret_values) == (None, {})
        assert [(rejection.kind, rejection.name, rejection.reason) for rejection in compilation.rejections] == [
            ("S3Orchestrator", "main", reason)
        ]


class TestGeneration:
    def test_is_what_it_is_given(self) -> None:
        assert config_of(compiled(generation=41)).generation == 41

    def test_stays_while_nothing_changes(self) -> None:
        first = config_of(compiled(resources.backend(), generation=41))
        assert config_of(compiled(resources.backend(), previous=first)) == first

    def test_grows_with_any_change(self) -> None:
        first = config_of(compiled(resources.backend(), generation=41))
        assert config_of(compiled(resources.backend(order=1), previous=first)).generation == 42

    def test_grows_with_a_rotated_secret(self) -> None:
        first = config_of(compiled(resources.backend(), generation=41))
        rotated = compiled(resources.backend(), previous=first, keys=[resources.key_pair("backend-keys", secret_access_key="new")])
        assert config_of(rotated).generation == 42
        assert config_of(rotated).backends == first.backends

    def test_never_falls_behind_the_one_it_is_given(self) -> None:
        first = config_of(compiled(generation=3))
        assert config_of(compiled(resources.backend(), generation=100, previous=first)).generation == 100


def test_no_secret_value_is_shown() -> None:
    hidden = "hunter2"
    keys = [resources.key_pair(f"{name}-keys", hidden + name, hidden) for name in ("backend", "photos")]
    keys += [resources.key_pair("videos-keys", hidden + "photos", hidden + "\n")]
    videos = [{"name": "a", "secretRef": {"name": "photos-keys"}}, {"name": "b", "secretRef": {"name": "videos-keys"}}]
    compilation = compiled(resources.backend(), resources.bucket(), resources.bucket("videos", credentials=videos), keys=keys)
    assert len(compilation.rejections) == 1
    assert hidden in compilation.secret_values["default/photos-keys/AWS_SECRET_ACCESS_KEY"]
    assert hidden not in f"{compilation!r} {compilation} {config_of(compilation).model_dump_json()} {compilation.rejections[0]}"


def test_one_secret_given_twice_is_an_error_of_the_caller() -> None:
    with pytest.raises(ValueError, match="Secret default/backend-keys is given twice"):
        compiled(resources.key_pair("backend-keys"))


def test_what_the_caller_refuses_is_left_out_and_keeps_its_name() -> None:
    older = aged(resources.bucket("photos"), OLD)
    younger = aged(changed(resources.bucket("videos"), {"spec.bucketName": "photos"}), NEW)
    told = Rejection("VirtualBucket", "default", "photos", "SecretConflict", "a Secret of somebody else has its name")
    compilation = compiled(older, younger, refused=[told])
    assert config_of(compilation).buckets == ()
    assert refusals(compilation) == {"photos": "SecretConflict", "videos": "BucketNameConflict"}
    assert told in compilation.rejections


def test_what_the_caller_refuses_keeps_its_keys() -> None:
    others = [{"name": "c", "secretRef": {"name": "other-keys"}}]
    keys = [resources.key_pair("photos-keys", "same"), resources.key_pair("other-keys", "same", "another secret")]
    told = Rejection("VirtualBucket", "default", "photos", "SecretConflict", "a Secret of somebody else has its name")
    compilation = compiled(
        aged(resources.bucket("photos"), OLD), aged(resources.bucket("videos", credentials=others), NEW), keys=keys, refused=[told]
    )
    assert refusals(compilation) == {"photos": "SecretConflict", "videos": "AccessKeyConflict"}
