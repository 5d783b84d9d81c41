"""Whether a backend is to be drained, and by whose word: its deletion, its spec, an annotation; each wins over those after it.

What is decided is a record (`plan.operations`) that is latched into the status before anything is done for it. So a token is run once, and
one that vanished again (Flux strips annotations) is run all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from s3o_operator.plan.observed import Object
from s3o_operator.plan.operations import (
    ACTIVE,
    CANCELLING,
    COMPLETED,
    HOLDING,
    new_record,
    record_in,
    unused_token,
)
from s3o_operator.plan.triggers import Trigger, is_first_sight, last_handled, latched, request_of

DRAIN = Trigger("drain")
CANCEL = "cancel"
_DELETION = "deletion"


@dataclass(frozen=True)
class Decision:
    """`record`: empty when no drain was ever asked for. `refused`: what was asked for and is not done, as (reason, sentence)."""

    record: Object
    tokens: Object
    must_latch: bool
    refused: tuple[tuple[str, str], ...] = ()


def decide_drain(resource: Object, state: str, *, deleting: bool, operations: Sequence[Object] | None) -> Decision:
    """`state`: of the spec. `deleting`: it is being deleted, and is to be drained for it."""
    before = record_in(resource, "Drain", "drain") or _adopted(resource, operations)
    refused: list[tuple[str, str]] = []
    if deleting:
        record = _by_deletion(resource, before)
    elif state == "Draining":
        record = _by_spec(resource, before)
    else:
        record = _by_annotation(resource, before, refused)
    if (deleting or state == "Draining") and (request := request_of(resource, DRAIN)) and request.is_new and request.token == CANCEL:
        why = "a deletion cannot be undone" if deleting else "spec.state is Draining, and wins over the annotation"
        refused.append(("DrainNotCancelled", f"the drain (token {record['token']}) goes on: {why}"))
    tokens = latched(resource, [DRAIN])
    must_latch = record != before or (tokens != last_handled(resource) and not is_first_sight(resource))
    return Decision(record, tokens, must_latch, tuple(refused) if must_latch else ())


def _by_deletion(resource: Object, before: Object) -> Object:
    if before.get("state") in HOLDING:
        return before | {"trigger": "Deletion"}
    return _again(resource, "Deletion", _DELETION)


def _by_spec(resource: Object, before: Object) -> Object:
    if before.get("state") in HOLDING:
        return before | {"trigger": "Spec"}
    return _again(resource, "Spec", f"spec-{resource['metadata']['generation']}")


def _again(resource: Object, trigger: str, base: str) -> Object:
    entries = (resource.get("status") or {}).get("operations") or []
    return new_record("Drain", trigger, unused_token("Drain", base, entries))


def _by_annotation(resource: Object, before: Object, refused: list[tuple[str, str]]) -> Object:
    state, trigger = before.get("state"), before.get("trigger")
    if trigger in ("Spec", "Deletion") and state in HOLDING:
        before = before | {"state": CANCELLING}
    request = request_of(resource, DRAIN)
    if request is None or not request.is_new:
        return before
    if request.token == CANCEL:
        return before | {"state": CANCELLING} if before.get("state") in HOLDING else before
    if before.get("state") in ACTIVE:
        refused.append(("DrainIsRunning", f"a drain is under way already (token {before['token']}); {request.token} starts no other"))
        return before
    return new_record("Drain", "Annotation", request.token)


def _adopted(resource: Object, operations: Sequence[Object] | None) -> Object:
    """A status that was lost, by a restore or by hand, finds the drain that goes on. It is known by the uid: never that of a namesake."""
    uid = resource["metadata"]["uid"]
    mine = [one for one in operations or () if one["kind"] == "Drain" and one["subject"] == uid]
    held = [one for one in mine if one["state"] in ("Pending", "Running", "Stalled", "Succeeded")]
    if not held:
        return {}
    token = str(held[0]["token"])
    trigger = "Deletion" if token.startswith(_DELETION) else "Spec" if token.startswith("spec-") else "Annotation"
    return new_record("Drain", trigger, token)


def is_held(record: Object | None) -> bool:
    """Whether the backend takes nothing new because of its drain."""
    return (record or {}).get("state") in HOLDING


def is_drained(record: Object | None) -> bool:
    return (record or {}).get("state") == COMPLETED
