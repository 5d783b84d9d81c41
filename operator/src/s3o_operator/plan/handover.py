"""Who decides spec.replicas of the proxies: we, or an autoscaler; and how it passes from us to it without a moment of fewer.

A field with a default is never simply no longer sent: with its only owner it would go, and its default come back, replicas 1 at once.
So another field manager of ours takes it first, with the value that is live, and keeps it until the autoscaler first writes it.
https://kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership
"""

from __future__ import annotations

from s3o_operator.plan.actions import Action, Ensure, HandOver
from s3o_operator.plan.manifests.labels import annotated
from s3o_operator.plan.observed import Object, ref_of

DECIDED_BY = "s3orchestrator.io/replicas-decided-by"
_AUTOSCALER = "autoscaler"


def mark(deployment: Object) -> Object:
    """Of a manifest without replicas: what was applied last shows in the live object who decides."""
    return annotated(deployment, {DECIDED_BY: _AUTOSCALER})


def is_handed_over(live: Object | None) -> bool:
    return ((live or {}).get("metadata", {}).get("annotations") or {}).get(DECIDED_BY) == _AUTOSCALER


def steps(manifest: Object, live: Object | None, why: str, fewest: int) -> list[Action]:
    """To apply a Deployment whose replicas may be an autoscaler's. `fewest`: how many a new one starts with."""
    if "replicas" in manifest["spec"] or is_handed_over(live):
        return [Ensure(manifest, why)]
    if live is None:
        first = {**manifest, "spec": manifest["spec"] | {"replicas": fewest}}
        return [Ensure(first, why), HandOver(ref_of(manifest), fewest), Ensure(manifest, "handed over")]
    return [HandOver(ref_of(manifest), live["spec"].get("replicas", 1)), Ensure(manifest, why)]
