"""What an operator may have observed, as plain data: an orchestrator `main` with a backend, and the buckets of a test."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

from tests.support import resources

from s3o_operator.plan.actions import Ensure, SetStatus
from s3o_operator.plan.manifests.admin import build_admin_secret
from s3o_operator.plan.observed import Key, Object, Observed, ref_of
from s3o_operator.plan.planner import plan
from s3o_operator.plan.registry import CredentialRef, Entry, registry_of
from s3o_operator.plan.removal import FINALIZERS

KEY = Key("default", "main")
NOW = "2026-11-21T10:00:00Z"


def served(document: Object, **metadata: object) -> Object:
    """As the API server would give it; backends and buckets with our finalizer, which comes before all else."""
    name = document["metadata"]["name"]
    own: Object = {"uid": f"uid-of-{name}", "generation": 1, "resourceVersion": "1", "creationTimestamp": "2026-11-21T09:00:00Z"}
    if document["kind"] in ("StorageBackend", "VirtualBucket"):
        own["finalizers"] = [FINALIZERS[document["kind"]]]
    return {**document, "metadata": {"namespace": "default", **own, **document["metadata"], **metadata}}


def stored(document: Object, **metadata: object) -> Object:
    """A Secret."""
    data = {name: base64.b64encode(text.encode()).decode() for name, text in document["stringData"].items()}
    return served({name: value for name, value in document.items() if name != "stringData"} | {"data": data}, **metadata)


def observed(
    *buckets: Object, entries: dict[CredentialRef, Entry] | None = None, live: Iterable[Object] = (), now: str = NOW, **changes: Any
) -> Observed:
    orchestrator = served(resources.orchestrator())
    shards = [served(one) for one in registry_of(KEY, entries or {})]
    there = [served(build_admin_secret(KEY, orchestrator, "token-of-the-pods")), *shards, *live]
    return Observed(
        **{
            "key": KEY,
            "now": now,
            "image": "proxy:1",
            "orchestrator": orchestrator,
            "backends": (served(resources.backend()),),
            "buckets": buckets,
            "secrets": (stored(resources.key_pair("backend-keys")), *(one for one in live if one["kind"] == "Secret")),
            "live": {ref_of(one): one for one in there},
            **changes,
        }
    )


def pod(name: str, *, ready: bool = True) -> Object:
    """A proxy that runs."""
    labels = {"app.kubernetes.io/instance": "main", "app.kubernetes.io/component": "proxy"}
    document = served({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}})
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return document | {"spec": {"nodeName": "n"}, "status": {"phase": "Running", "podIP": "10.0.0.1", "conditions": conditions}}


def ensured(seen: Observed, kind: str, name: str) -> Object:
    """The manifest that is planned."""
    planned = [one.manifest for one in plan(seen).actions if isinstance(one, Ensure)]
    (found,) = [one for one in planned if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def status_of(seen: Observed, kind: str, name: str) -> Object:
    """The status that is planned, or that stands there."""
    planned = [one for one in plan(seen).actions if isinstance(one, SetStatus) and (one.ref.kind, one.ref.name) == (kind, name)]
    if planned:
        return planned[0].status
    there = [one for one in (*seen.buckets, *seen.backends) if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return dict(there[0]["status"])


def decoded(secret: Object) -> dict[str, str]:
    return {name: base64.b64decode(text).decode() for name, text in secret["data"].items()}
