"""What is planned for what is observed. `golden/` holds plans and manifests as text; S3O_WRITE_GOLDEN=1 writes them anew."""

from __future__ import annotations

import base64
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support import resources
from tests.support.planned import fleet, sb

from s3o_crds.layout import TooLarge
from s3o_operator.plan.actions import Delete, Ensure, Latch, Plan, SetStatus, StartOperation, WriteKeys, render
from s3o_operator.plan.manifests.admin import build_admin_secret
from s3o_operator.plan.observed import Failure, Key, Object, Observed, Step, ref_of
from s3o_operator.plan.planner import plan
from s3o_operator.plan.registry import CredentialRef, Entry, KeyPair, registry_of
from s3o_operator.plan.removal import FINALIZERS

GOLDEN = Path(__file__).parent / "golden"
KEY = Key("default", "main")
PAIR = KeyPair("S3OGENERATEDKEYID2345", "generated-secret")
TOKEN = "token-of-the-pods"


def served(document: Object, **metadata: object) -> Object:
    """As the API server would give it; ours with our finalizer, which comes first."""
    name = document["metadata"]["name"]
    protected = {"finalizers": [FINALIZERS[document["kind"]]]} if document["kind"] in ("StorageBackend", "VirtualBucket") else {}
    own = {**protected, "uid": f"uid-of-{name}", "generation": 1, "resourceVersion": "1", "namespace": "default", **metadata}
    own["creationTimestamp"] = "2026-11-21T10:00:00Z"
    return {**document, "metadata": {**document["metadata"], **own}}


def stored(document: Object) -> Object:
    data = {name: base64.b64encode(text.encode()).decode() for name, text in document.pop("stringData").items()}
    return served({**document, "data": data})


def observed(*live: Object, **changes: Any) -> Observed:
    bucket = resources.bucket(credentials=resources.REMOVED)
    fresh = Observed(
        key=KEY,
        now="2026-11-21T10:00:01Z",
        image="proxy:1",
        orchestrator=served(resources.orchestrator()),
        backends=(served(resources.backend()),),
        buckets=(served(bucket),),
        secrets=(stored(resources.key_pair("backend-keys")),),
        live={ref_of(one): one for one in (admin_token(), *live)},
    )
    return replace(fresh, **changes)


def admin_token() -> Object:
    return served(build_admin_secret(KEY, served(resources.orchestrator()), TOKEN))


def registry() -> Object:
    (shard,) = registry_of(KEY, {CredentialRef("default", "photos", "default", "SigV4"): Entry(PAIR)})
    return served(shard)


def assert_golden(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("S3O_WRITE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


def carried_out(seen: Observed) -> Observed:
    """After everything that is planned, as an API server would keep it."""
    planned = plan(seen)
    live = dict(seen.live) | {ref_of(action.manifest): served(action.manifest) for action in planned.actions if isinstance(action, Ensure)}
    status = {action.ref: action.status for action in planned.actions if isinstance(action, SetStatus | Latch)}

    def reported(document: Object) -> Object:
        return document | ({"status": status[ref_of(document)]} if ref_of(document) in status else {})

    assert seen.orchestrator is not None
    return replace(
        seen,
        live=live,
        orchestrator=reported(seen.orchestrator),
        backends=tuple(map(reported, seen.backends)),
        buckets=tuple(map(reported, seen.buckets)),
    )


def test_keys_come_first_and_alone() -> None:
    planned = plan(observed())
    assert [type(action) for action in planned.actions] == [WriteKeys]
    assert_golden("keys-first.txt", render(planned))


def test_nothing_is_served_before_it_is_protected() -> None:
    unprotected = observed(registry(), backends=(served(resources.backend(), finalizers=["another"]),))
    assert render(plan(unprotected)) == "protect StorageBackend default/one\n"
    refused = plan(replace(unprotected, failures=(Failure("PATCH: forbidden"),)))
    assert "Accepted=False NotProtected" in render(refused)


def test_what_holds_up_one_backend_holds_up_no_drain_of_another() -> None:
    world = fleet()
    for ref in (sb("one"), sb("two")):
        world.annotate(ref, drain="t1")
    refused = Failure("PATCH: forbidden", step=Step("Latch", sb("one")))
    (latch,) = plan(replace(world.observed(), failures=(refused,))).actions
    assert isinstance(latch, Latch)
    world.do(latch)
    planned = plan(replace(world.observed(), failures=(refused,)))
    assert [one.ref for one in planned.actions if isinstance(one, StartOperation)] == [sb("two")]
    stalled = {
        action.ref: "Stalled=True ApplyFailed: PATCH: forbidden" in render(Plan((action,)))
        for action in planned.actions
        if isinstance(action, SetStatus)
    }
    assert (stalled[sb("one")], stalled.get(sb("two"), False)) == (True, False)


def test_what_all_is_built_on_holds_up_all() -> None:
    """A key that is not in the registry, say, or an admin token that is not there."""
    planned = plan(replace(observed(), failures=(Failure("POST: forbidden"),)))
    assert {type(action) for action in planned.actions} == {SetStatus}


def test_everything_is_made_in_order_and_then_reported() -> None:
    assert_golden("everything.txt", render(plan(observed(registry()))))


def test_the_manifests_are_these() -> None:
    planned = plan(observed(registry()))
    manifests = [action.manifest for action in planned.actions if isinstance(action, Ensure)]
    assert_golden("manifests.yaml", yaml.safe_dump_all(manifests, sort_keys=False))


def test_no_secret_is_printed() -> None:
    text = render(plan(observed(registry()))) + repr(plan(observed(registry())))
    assert PAIR.secret_access_key not in text
    assert TOKEN not in text


def test_what_is_as_planned_needs_no_plan() -> None:
    settled = carried_out(carried_out(observed(registry())))
    assert render(plan(settled)) == "nothing to do\n"
    later = replace(settled, now="2026-11-22T00:00:00Z")
    assert render(plan(later)) == "nothing to do\n"


def test_a_bucket_whose_orchestrator_is_missing_is_told_so() -> None:
    assert_golden("no-orchestrator.txt", render(plan(observed(orchestrator=None))))


def test_a_poisoned_resource_is_left_out_by_name() -> None:
    poisoned = served(resources.backend("poisoned", quota={"bytes": "many"}))
    seen = observed(registry(), backends=(served(resources.backend()), poisoned))
    assert_golden("poisoned-backend.txt", render(plan(seen)))


def test_a_lost_generation_never_goes_back() -> None:
    settled = carried_out(observed(registry()))
    assert settled.orchestrator is not None
    status = settled.orchestrator["status"] | {"config": {"generation": 41, "digest": "of another"}}
    without = {ref: one for ref, one in settled.live.items() if ref.name != "main-config"}
    again = plan(replace(settled, orchestrator=settled.orchestrator | {"status": status}, live=without))
    (secret,) = [action.manifest for action in again.actions if isinstance(action, Ensure)]
    assert secret["metadata"]["annotations"]["s3orchestrator.io/config-generation"] == "42"


def test_no_pod_mounts_a_configuration_that_is_not_ours() -> None:
    foreign = stored(resources.secret("main-config", mine="yes"))
    planned = plan(observed(registry(), foreign))
    assert not [action for action in planned.actions if isinstance(action, Ensure) and action.manifest["kind"] == "Deployment"]
    assert "NameConflict: Secret default/main-config: exists and is not ours" in render(planned)


def test_a_configuration_that_fits_nowhere_is_refused_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def does_not_fit(*_: object) -> None:
        raise TooLarge("it has too many bytes")

    monkeypatch.setattr("s3o_operator.plan.manifests.config.split", does_not_fit)
    planned = plan(observed(registry()))
    # What is there stays as it is, and goes on to serve.
    assert not [action for action in planned.actions if isinstance(action, Ensure | Delete)]
    assert "Accepted=False ConfigTooLarge: it has too many bytes" in render(planned)
