"""The *fate* of a backend or a bucket: what is done with it besides serving it as its spec says, because of a trigger or its deletion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from s3o_crds.v1alpha1 import StorageBackend, VirtualBucket
from s3o_operator.plan.actions import FleetAction, ForgetBackend
from s3o_operator.plan.draining import decide_drain, is_drained, is_held
from s3o_operator.plan.observed import Object, ref_of
from s3o_operator.plan.operations import (
    ACTIVE,
    CANCELLING,
    COMPLETED,
    HOLDING,
    Carried,
    Subject,
    carry,
    entries_with,
    is_busy,
    new_record,
    record_in,
    token_under_way,
    unused_token,
)
from s3o_operator.plan.removal import INVALID, Removal, Surroundings, is_leaving, removal_of

_TOKEN = "deletion"  # noqa: S105  a token of an operation, no secret


@dataclass(frozen=True)
class Fate:
    """`served`: it stays in the configuration. `takes_new`: for a backend, new objects may be put there.

    `latch`: why the status must say what `report` holds before anything is done; empty when it does. `report`: parts of the status.
    `refused`: what was asked for beside that, and is not done, as (reason, sentence).
    `actions`: what is asked of the proxies; of what is no longer served, when none of them serves it. `leaves`: it may go then; with
    `at_once` it may go now. `waits`: there is progress to look at.
    """

    resource: Object = field(repr=False)
    served: bool = True
    takes_new: bool = True
    latch: str = ""
    report: Object = field(default_factory=dict)
    actions: tuple[FleetAction, ...] = ()
    removal: Removal | None = None
    leaves: bool = False
    waits: bool = False
    refused: tuple[tuple[str, str], ...] = ()

    @property
    def at_once(self) -> bool:
        return self.removal is not None and self.removal.how == "Now"

    @property
    def purges(self) -> bool:
        """It goes, and everything of it is deleted first."""
        return self.removal is not None and self.removal.how == "Purge"

    @property
    def may_drain(self) -> bool:
        """Unless it goes, and was told to go otherwise. What merely cannot be read says nothing about a drain that is under way."""
        return self.removal is None or self.removal.how == "Drain" or self.removal.reason == INVALID

    @property
    def drain(self) -> Object:
        return dict(self.report.get("drain") or {})


def backend_fate(resource: Object, model: StorageBackend | None, around: Surroundings, operations: Sequence[Object] | None) -> Fate:
    """`model`: None when the resource cannot be read."""
    name = _written(resource, "backendName")
    removal = removal_of(resource, name, model.spec.deletion_policy if model else None, around) if is_leaving(resource) else None
    subject = Subject(ref_of(resource), resource["metadata"]["uid"], backend=name)
    if removal is not None and removal.how in ("Now", "Retain"):
        fate = Fate(resource, served=False, takes_new=False, report=_reported(resource), removal=removal, leaves=True)
        return _given_up(fate, subject, operations)
    if model is None or (removal is not None and removal.how == "Blocked"):
        return _given_up(Fate(resource, takes_new=False, report=_reported(resource), removal=removal), subject, operations)
    if removal is not None and removal.how == "Purge":
        return _purged(resource, removal, subject, operations)
    decision = decide_drain(resource, model.spec.state, deleting=removal is not None, operations=operations)
    if decision.must_latch:
        report = _reported(resource) | _record("drain", decision.record) | _tokens(decision.tokens)
        report["operations"] = entries_with(report.get("operations") or [], "Drain", decision.record)
        latch = f"drain {decision.record['state']} ({decision.record['token']})" if decision.record else "drain"
        held = is_held(decision.record) or model.spec.state != "Active"
        return Fate(resource, takes_new=not held, latch=latch, report=report, removal=removal, refused=decision.refused)
    carried = carry("Drain", decision.record, subject, operations)
    report = _carried(resource, "Drain", "drain", carried) | _tokens(decision.tokens)
    held = is_held(carried.record) or model.spec.state != "Active" or removal is not None
    fate = Fate(
        resource,
        takes_new=not held,
        report=report,
        actions=carried.actions,
        removal=removal,
        waits=is_busy(carried.record) or bool(carried.actions),
    )
    return fate if removal is None or not is_drained(carried.record) else _emptied(fate, subject)


def bucket_fate(resource: Object, model: VirtualBucket | None, around: Surroundings, operations: Sequence[Object] | None) -> Fate:
    """A bucket that goes is served no more: its keys open nothing from then on."""
    if not is_leaving(resource):
        return Fate(resource)
    name = _written(resource, "bucketName")
    removal = removal_of(resource, name, model.spec.deletion_policy if model else None, around)
    subject = Subject(ref_of(resource), resource["metadata"]["uid"], bucket=name)
    if removal.how == "Purge":
        return _purged(resource, removal, subject, operations)
    fate = Fate(resource, served=False, report=_reported(resource), removal=removal, leaves=removal.how != "Blocked")
    return _given_up(fate, subject, operations)


def _purged(resource: Object, removal: Removal, subject: Subject, operations: Sequence[Object] | None) -> Fate:
    """A backend is served until it is empty, since its objects are; a bucket is not, since nobody may write to it any more."""
    record, report, served = record_in(resource, "Purge", "purge"), _reported(resource), bool(subject.backend)
    if record.get("state") not in HOLDING:
        # None was begun; or its status was lost; or it was cancelled because the deletion was to end otherwise, and now is not.
        token = "" if record else token_under_way("Purge", subject.uid, operations)
        record = new_record("Purge", "Deletion", token or unused_token("Purge", _TOKEN, report.get("operations") or []))
        report |= {"purge": record, "operations": entries_with(report.get("operations") or [], "Purge", record)}
        return Fate(resource, served=served, takes_new=False, latch="purge", report=report, removal=removal)
    carried = carry("Purge", record, subject, operations)
    report = _carried(resource, "Purge", "purge", carried)
    waits = is_busy(carried.record) or bool(carried.actions)
    fate = Fate(resource, served=served, takes_new=False, report=report, actions=carried.actions, removal=removal, waits=waits)
    if carried.record["state"] != COMPLETED:
        return _given_up(fate, subject, operations)
    return _emptied(fate, subject) if subject.backend else replace(fate, leaves=True)


def _emptied(fate: Fate, subject: Subject) -> Fate:
    """Nothing is left there, and nothing new can come. Nobody serves it any more, then the proxies forget it, then it goes."""
    forget = ForgetBackend(subject.ref, subject.uid, subject.backend)
    return replace(fate, served=False, leaves=True, actions=(forget,), waits=True)


def _given_up(fate: Fate, subject: Subject, operations: Sequence[Object] | None) -> Fate:
    """Operations of it that go on and are not meant any more are cancelled (by `strays`), and reported so. It does not go before they have
    ended, unless it goes at once."""
    report, waits = fate.report, fate.waits
    for kind, name, is_meant in (("Drain", "drain", fate.may_drain), ("Purge", "purge", fate.purges)):
        record = record_in(fate.resource, kind, name)
        if is_meant or record.get("state") not in (*ACTIVE, CANCELLING):
            continue
        ended = carry(kind, record | {"state": CANCELLING}, subject, operations).record
        report = report | {name: ended, "operations": entries_with(report.get("operations") or [], kind, ended)}
        waits = waits or is_busy(ended)
    return replace(fate, report=report, waits=waits, leaves=fate.leaves and (fate.at_once or not waits))


def _carried(resource: Object, kind: str, name: str, carried: Carried) -> Object:
    report = _reported(resource) | _record(name, carried.record)
    if entries := entries_with(report.get("operations") or [], kind, carried.record):
        report["operations"] = entries
    return report | ({"plan": carried.plan} if carried.plan else {})


_PARTS = ("drain", "purge", "plan", "operations")


def _reported(resource: Object) -> Object:
    """What stands in the status of all this stays, unless it is known better."""
    status = resource.get("status") or {}
    # Tokens of a bucket are those of its credentials: whoever rotates them reports them.
    parts = (*_PARTS, "lastHandled") if resource["kind"] == "StorageBackend" else _PARTS
    return {name: status[name] for name in parts if name in status}


def _record(name: str, record: Object) -> Object:
    return {name: record} if record else {}


def _tokens(tokens: Object) -> Object:
    return {"lastHandled": tokens} if tokens else {}


def _written(resource: Object, field_name: str) -> str:
    """Also of what cannot be read: a name that an annotation can repeat."""
    return str((resource.get("spec") or {}).get(field_name) or resource["metadata"]["name"])
