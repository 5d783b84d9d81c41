"""Which metadata database an orchestrator has: noted when a proxy first tells its id, expected from then on, never exchanged unasked.

`status.database` is the record. The configuration that proxies mount repeats it: they refuse any other database by themselves, whoever else
is there; and where a status was lost, it is found again there, before a database could be taken for a new one's.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

from s3o_crds.layout import CONFIG_FILE
from s3o_crds.meta import GROUP
from s3o_operator.plan.actions import Latch
from s3o_operator.plan.contacts import Pod, Report, may_work
from s3o_operator.plan.manifests.config import is_static, written_as
from s3o_operator.plan.manifests.labels import config_name, is_left_over, proxy_name
from s3o_operator.plan.observed import Object, Observed, Ref, ref_of

ADOPT = f"{GROUP}/adopt-database"
REPLACED, ADOPTED = "DatabaseReplaced", "DatabaseAdopted"


def expected_id(observed: Observed) -> str:
    """Of the database that was served first, or adopted since; empty as long as no proxy told it."""
    return str(_record(observed).get("id") or "")


def to_note(observed: Observed) -> Latch | None:
    """Before anything else of a plan, since all that follows rests on it. None: nothing about the database is new."""
    orchestrator, before = observed.orchestrator, _record(observed)
    if orchestrator is None:
        return None
    ref, uid, status = ref_of(orchestrator), orchestrator["metadata"]["uid"], orchestrator.get("status") or {}
    if not before:
        found = _mounted_id(observed) or _first_told(observed)
        note = status | {"database": {"id": found, "recordedAt": observed.now}}
        return Latch(ref, uid, note, f"database {found}") if found else None
    adopted = _annotated(orchestrator)
    # By all of them, or half the fleet would serve what the other half does not know.
    if adopted == before["id"] or set(_told(observed).values()) != {adopted}:
        return None
    note = status | {"database": {"id": adopted, "recordedAt": observed.now, "previousId": before["id"]}}
    words = f"database {adopted} is served from now on, as {ADOPT} says; what only database {before['id']} knew is given up"
    return Latch(ref, uid, note, f"adopt database {adopted}", told=((ADOPTED, words),))


def replacement(observed: Observed) -> str:
    """What to do about a database that is not the one that is expected; empty while all is well, as far as anybody knows."""
    expected, told = expected_id(observed), _told(observed)
    strange = {name: found for name, found in told.items() if expected and found != expected}
    if not strange:
        return ""
    pod, found = min(strange.items())
    ways = (
        f"restore database {expected}, or change spec.database back if that was changed: then all goes on by itself."
        f" Or give up what only that one knows: annotate with {ADOPT}={found}"
    )
    asked = _annotated(observed.orchestrator or {})
    refused = f" ({ADOPT} says {asked}, which is not the id of this one)" if asked and asked not in (expected, *told.values()) else ""
    return f"pod {pod}: the metadata database has the id {found}, not {expected}, and so no request is served: {ways}{refused}"


def _record(observed: Observed) -> Object:
    return ((observed.orchestrator or {}).get("status") or {}).get("database") or {}


def _annotated(orchestrator: Object) -> str:
    return str(((orchestrator.get("metadata") or {}).get("annotations") or {}).get(ADOPT, ""))


def _told(observed: Observed) -> dict[str, str]:
    """By name of the pod."""
    return {pod["metadata"]["name"]: report.database_id for pod, report in _reports(observed) if report.database_id}


def _first_told(observed: Observed) -> str:
    """Only by proxies that serve what was written, and can: those of a namesake that is long gone had another database."""
    written = written_as(observed.live.get(_config(observed)))
    told = [report for _, report in _reports(observed) if report.database_id]
    ids = {one.database_id for one in told if (one.generation, one.digest) == written and not one.troubles}
    return ids.pop() if len(ids) == 1 and len({one.database_id for one in told}) == 1 else ""


def _reports(observed: Observed) -> Iterator[tuple[Pod, Report]]:
    """Of pods that are at the database that the spec names by now, leaving ones excluded: while one takes the place of another, both are
    there."""
    live = observed.live.get(Ref("Deployment", observed.key.namespace, proxy_name(observed.key))) or {}
    wanted = _static_of(observed, ((live.get("spec") or {}).get("template") or {}).get("spec") or {})
    for pod in observed.pods:
        contact = observed.contacts.get(pod["metadata"]["uid"])
        if contact is None or contact.report is None or contact.error or "deletionTimestamp" in pod["metadata"] or not may_work(pod):
            continue
        if _static_of(observed, pod.get("spec") or {}) <= wanted:
            yield pod, contact.report


def _static_of(observed: Observed, spec: Mapping[str, Any]) -> set[str]:
    """The Secret in which the address of the database stands."""
    sources = [source for volume in spec.get("volumes") or [] for source in (volume.get("projected") or {}).get("sources") or []]
    names = {str((source.get("secret") or {}).get("name", "")) for source in sources}
    return {name for name in names if is_static(observed.key, name)}


def _mounted_id(observed: Observed) -> str:
    """What proxies were told to expect. Only out of a Secret that we made."""
    secret = observed.live.get(_config(observed))
    if secret is None or not is_left_over(secret, Ref("S3Orchestrator", *observed.key)):
        return ""
    try:
        return str(json.loads(base64.b64decode(secret["data"][CONFIG_FILE])).get("databaseId") or "")
    # Whatever somebody wrote into it: it is made anew then.
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""


def _config(observed: Observed) -> Ref:
    return Ref("Secret", observed.key.namespace, config_name(observed.key))
