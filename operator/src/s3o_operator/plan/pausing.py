"""A paused orchestrator: nothing of it is written but that it is paused. What was edited or has drifted is caught up with afterwards.

By `spec.suspend`, for whoever keeps resources in Git, or by the annotation `s3orchestrator.io/paused: "true"`, for whoever needs it now.
Its proxies go on serving, and operations that run go on: neither needs the operator. A deletion is not held up: its children go by their
owner references, whoever is paused.
"""

from __future__ import annotations

from s3o_crds.meta import GROUP
from s3o_operator.plan.actions import Plan, SetStatus
from s3o_operator.plan.conditions import Fact, with_facts
from s3o_operator.plan.observed import Object, ref_of

PAUSED = f"{GROUP}/paused"


def is_paused(resource: Object) -> bool:
    """Only an orchestrator has `spec.suspend`; of a single backend or bucket, see `plan.freezing`."""
    spec = resource.get("spec")
    annotations = resource["metadata"].get("annotations") or {}
    return annotations.get(PAUSED) == "true" or (isinstance(spec, dict) and spec.get("suspend") is True)


def paused_plan(orchestrator: Object, now: str) -> Plan:
    """The status stays that of what was done last, its generation included; only that nobody is at it any more is new."""
    before = orchestrator.get("status") or {}
    annotated = (orchestrator["metadata"].get("annotations") or {}).get(PAUSED) == "true"
    why = f"the annotation {PAUSED} says so" if annotated else "spec.suspend says so"
    facts = [Fact("Paused", True, "Paused", why), Fact("Reconciling", False, "Paused", why)]
    status = before | {"phase": "Paused", "conditions": with_facts(orchestrator, facts, now)}
    return Plan((SetStatus(ref_of(orchestrator), orchestrator["metadata"]["uid"], status),) if status != before else ())
