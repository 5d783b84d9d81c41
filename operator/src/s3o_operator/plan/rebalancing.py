"""Whether an orchestrator's objects are to be spread anew, by the annotation `s3orchestrator.io/rebalance`: a token, or `cancel`.

One at a time: tokens that come while one runs are one more run afterwards, by the last of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from s3o_operator.plan.fates import Fate
from s3o_operator.plan.observed import Object, ref_of
from s3o_operator.plan.operations import ACTIVE, CANCELLING, Subject, carry, entries_with, is_busy, new_record, record_in
from s3o_operator.plan.triggers import Trigger, is_first_sight, last_handled, latched, request_of

REBALANCE = Trigger("rebalance")
RESTART = Trigger("restart")
CANCEL = "cancel"


def orchestrator_fate(resource: Object, operations: Sequence[Object] | None) -> Fate:
    """Its own triggers. A restart is no more than its token: the template of the pods bears the one that was latched last."""
    status = resource.get("status") or {}
    before = record_in(resource, "Rebalance", "rebalance") or _adopted(resource, operations)
    record = _decided(resource, before)
    tokens = latched(resource, [REBALANCE, RESTART])
    report: Object = {"lastHandled": tokens} if tokens else {}
    entries = entries_with(status.get("operations") or [], "Rebalance", record)
    if record != before or (tokens != last_handled(resource) and not is_first_sight(resource)):
        return Fate(resource, latch="triggers", report=report | _told(record, entries))
    subject = Subject(ref_of(resource), resource["metadata"]["uid"])
    carried = carry("Rebalance", record, subject, operations)
    entries = entries_with(status.get("operations") or [], "Rebalance", carried.record)
    plan = {"plan": carried.plan} if carried.plan else {name: status[name] for name in ("plan",) if name in status}
    waits = is_busy(carried.record) or bool(carried.actions)
    return Fate(resource, report=report | _told(carried.record, entries) | plan, actions=carried.actions, waits=waits)


def _adopted(resource: Object, operations: Sequence[Object] | None) -> Object:
    """A status that was lost finds the run that goes on."""
    uid = resource["metadata"]["uid"]
    mine = [one for one in operations or () if (one["kind"], one["subject"]) == ("Rebalance", uid)]
    under_way = [one for one in mine if one["state"] in ("Pending", "Running", "Stalled")]
    return new_record("Rebalance", "Annotation", str(under_way[0]["token"])) if under_way else {}


def _decided(resource: Object, before: Object) -> Object:
    request = request_of(resource, REBALANCE)
    runs = before.get("state") in (*ACTIVE, CANCELLING)
    if request is not None and request.is_new:
        if request.token == CANCEL:
            return before | {"state": CANCELLING} if before.get("state") in ACTIVE else before
        return before if runs else new_record("Rebalance", "Annotation", request.token)
    asked = last_handled(resource).get(REBALANCE.latch)
    if before and not runs and asked not in (None, CANCEL, before["token"]):
        return new_record("Rebalance", "Annotation", str(asked))
    return before


def _told(record: Object, entries: Sequence[Object]) -> Object:
    return ({"rebalance": record} if record else {}) | ({"operations": list(entries)} if entries else {})
