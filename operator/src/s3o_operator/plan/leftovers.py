"""Children of ours that are no longer wanted.

Kept on purpose, for they have no owner: the volume of an embedded database, and the registry of key pairs. Nobody could make their content
again.
"""

from __future__ import annotations

from collections.abc import Collection

from s3o_crds.digest import texts_in
from s3o_operator.plan.actions import Delete
from s3o_operator.plan.manifests.config import is_static
from s3o_operator.plan.manifests.labels import APPLIED, MANAGED_BY, MANAGER, controller_of
from s3o_operator.plan.observed import Object, Observed, Ref


def leftovers(observed: Observed, owners: Collection[str], wanted: Collection[Ref]) -> list[Delete]:
    """`owners`: uids of those whose children are to be cleared away."""
    in_use = _static_secrets_in_use(observed)
    return [
        Delete(ref, document["metadata"]["uid"])
        for ref, document in sorted(observed.live.items())
        if ref not in wanted
        and controller_of(document) in owners
        and _was_applied(document)
        and "deletionTimestamp" not in document["metadata"]
        and ref not in in_use
    ]


def _static_secrets_in_use(observed: Observed) -> set[Ref]:
    """By a template that Kubernetes may still make pods of, or roll back to."""
    templates = [one["spec"]["template"] for ref, one in observed.live.items() if ref.kind in ("Deployment", "ReplicaSet")]
    named = {text for template in templates for text in texts_in(template) if is_static(observed.key, text)}
    return {Ref("Secret", observed.key.namespace, name) for name in named}


def _was_applied(document: Object) -> bool:
    """By us: ReplicaSets and the like have the same labels and another controller; this is the last guard before something is deleted."""
    metadata = document["metadata"]
    return (metadata.get("labels") or {}).get(MANAGED_BY) == MANAGER and APPLIED in (metadata.get("annotations") or {})
