"""What is cleared away, and what is not: static Secrets outlive their template as long as Kubernetes may still make pods of it."""

from __future__ import annotations

from tests.support.blueprints import KEY, OWNER, made, observed, one
from tests.support.operator_fields import SMALL

from s3o_operator.plan.leftovers import leftovers
from s3o_operator.plan.observed import Object, ref_of

OWNERS = {OWNER["metadata"]["uid"]}


def stored(manifest: Object, **metadata: object) -> Object:
    return manifest | {"metadata": manifest["metadata"] | {"uid": f"uid-of-{manifest['metadata']['name']}", **metadata}}


def static(host: str) -> tuple[Object, Object]:
    """The static Secret of a database, and a Deployment that mounts it."""
    children = made(SMALL | {"database": {"driver": "Postgres", "host": host, "database": "s3o", "user": "s3o"}})
    return stored(one(children, "Secret", "-static-")), stored(one(children, "Deployment"))


def replica_set(deployment: Object) -> Object:
    metadata = {"name": f"rs-of-{deployment['metadata']['uid']}", "namespace": KEY.namespace, "uid": "uid-of-rs"}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": {"template": deployment["spec"]["template"]}}


def test_a_static_secret_goes_when_no_template_names_it() -> None:
    (old, old_deployment), (new, deployment) = static("old"), static("new")
    assert old["immutable"] is True
    assert ref_of(old) != ref_of(new)
    wanted = {ref_of(new), ref_of(deployment)}
    kept = observed(None, old, new, deployment, replica_set(old_deployment))
    assert leftovers(kept, OWNERS, wanted) == []
    (gone,) = leftovers(observed(None, old, new, deployment), OWNERS, wanted)
    assert gone.ref == ref_of(old)


def test_a_deployment_that_was_not_changed_yet_keeps_its_secret() -> None:
    (old, old_deployment), (new, deployment) = static("old"), static("new")
    assert leftovers(observed(None, old, new, old_deployment), OWNERS, {ref_of(new), ref_of(deployment)}) == []


def test_what_is_not_ours_or_going_already_or_never_applied_stays() -> None:
    secret, _ = static("one")
    metadata = secret["metadata"]
    foreign = stored(secret, ownerReferences=[metadata["ownerReferences"][0] | {"uid": "another"}])
    going = stored(secret, deletionTimestamp="2026-11-21T10:00:00Z")
    copied = stored(secret, annotations={})
    for document in (foreign, going, copied):
        assert leftovers(observed(None, document), OWNERS, set()) == []
    assert [one.ref for one in leftovers(observed(None, secret), OWNERS, set())] == [ref_of(secret)]


def test_the_volume_and_the_registry_have_no_owner_and_stay() -> None:
    claim = stored(one(made({}), "PersistentVolumeClaim"))
    assert leftovers(observed(None, claim), OWNERS, set()) == []
