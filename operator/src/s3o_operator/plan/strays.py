"""Operations at the proxies that nobody means any more: of a resource that is gone, or that goes otherwise by now.

They are known by their subject alone, and not by a status: it may be gone with its resource, while the proxies were away, or with a whole
orchestrator whose database is used again. What a purge goes on deleting would be what another resource of that name has stored since.
"""

from __future__ import annotations

from s3o_operator.plan.actions import CancelOperation
from s3o_operator.plan.fates import Fate
from s3o_operator.plan.lifecycle import Fates
from s3o_operator.plan.observed import Object, Observed, ref_of
from s3o_operator.plan.operations import is_active
from s3o_operator.plan.standing import wanted_name


def strays(fates: Fates, observed: Observed) -> list[CancelOperation]:
    """`fates`: of all that there are, those that are paused included: what they were told last counts, where it is to destroy nothing."""
    if observed.orchestrator is None:
        return []
    resources = [fate.resource for fate in fates.by_ref.values() if fate.resource["kind"] != "S3Orchestrator"]
    named = {(one["kind"], wanted_name(one)): one for one in resources}
    subjects = {str(fate.resource["metadata"]["uid"]): fate for fate in fates.by_ref.values()}
    found = []
    for one in observed.operations or ():
        fate = subjects.get(one["subject"])
        if is_active(one) and not _is_meant(one, fate):
            # For one that is gone, in the name of who is there now: should that not be the one that we know, it is not our turn to say.
            asks = fate.resource if fate is not None else named.get(_target(one), observed.orchestrator)
            found.append(CancelOperation(ref_of(asks), asks["metadata"]["uid"], one["id"], one["kind"]))
    return found


def _is_meant(operation: Object, fate: Fate | None) -> bool:
    match operation["kind"]:
        case "Purge":
            return fate is not None and fate.purges
        case "Drain":
            return fate is not None and fate.may_drain
    return True


def _target(operation: Object) -> tuple[str, str]:
    return ("StorageBackend", operation["backend"]) if operation.get("backend") else ("VirtualBucket", operation.get("bucket") or "")
