"""Parts of a config whose resources are not looked at now stay as they are, and keep what they claim."""

from __future__ import annotations

from tests.crds.test_compile import KEYS, compiled, config_of, refusals
from tests.support import resources
from tests.support.resources import changed

from s3o_crds.compile import Compilation, Kept


def kept_of(compilation: Compilation) -> Kept:
    config = config_of(compilation)
    backends = {("StorageBackend", "default", one.name): one for one in config.backends}
    return Kept(backends, {("VirtualBucket", "default", one.name): one for one in config.buckets}, compilation.secret_values)


def test_it_stays_word_for_word_with_its_secrets() -> None:
    before = compiled(resources.backend(), resources.bucket())
    after = compiled(keys=[], kept=kept_of(before), previous=config_of(before))
    assert (after.config, after.secret_values) == (before.config, before.secret_values)


def test_its_names_its_places_and_its_keys_are_taken() -> None:
    before = kept_of(compiled(resources.backend(), resources.bucket()))
    place = {"spec.endpoint": before.backends["StorageBackend", "default", "one"].endpoint}
    bucket = changed(resources.bucket("music"), {"spec.credentials": [{"name": "app", "secretRef": {"name": "music-keys"}}]})
    identity = before.values["default/photos-keys/AWS_ACCESS_KEY_ID"]
    after = compiled(
        changed(resources.backend("named"), {"spec.backendName": "one"}),
        changed(resources.backend("there"), place | {"spec.bucket": before.backends["StorageBackend", "default", "one"].bucket}),
        changed(resources.bucket("wants"), {"spec.bucketName": "photos"}),
        bucket,
        keys=[*KEYS, resources.key_pair("wants-keys"), resources.key_pair("music-keys", identity, "another secret")],
        kept=before,
    )
    assert refusals(after) == {
        "named": "BackendNameConflict",
        "there": "SameBucketTwice",
        "wants": "BucketNameConflict",
        "music": "AccessKeyConflict",
    }


def test_it_counts_for_the_limit() -> None:
    """Or a team that pauses its buckets could make more of them than it may."""
    before = kept_of(compiled(resources.bucket()))
    orchestrator = resources.orchestrator(access={"buckets": {"limits": {"maxBuckets": 1}}})
    assert refusals(compiled(orchestrator, resources.bucket("videos"), kept=before)) == {"videos": "LimitExceeded"}
