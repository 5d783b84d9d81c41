"""Whether the database still knows a backend by the records that it was first served with: rows that vanish, and are made again, are empty.

`status.records` keeps since when they were there, and in which database: where another one was adopted as a whole, all of them are new. A
backup of the same database in which a backend did not exist yet, or rows that somebody deleted, show here. What is recorded is served
meanwhile, and what is not cannot be told from what never was: so this is said, until somebody acts, and nothing is refused.
"""

from __future__ import annotations

from s3o_crds.meta import GROUP
from s3o_operator.plan.conditions import Verdict
from s3o_operator.plan.contacts import BackendReport
from s3o_operator.plan.identity import expected_id
from s3o_operator.plan.observed import Object, Observed
from s3o_operator.plan.usage import counting_report

ADOPT = f"{GROUP}/adopt-records"
LOST = "RecordsLost"


def records(resource: Object, name: str, observed: Observed) -> Object:
    """What the status keeps: what was noted first, until the database is another one, or the annotation names what is there now."""
    before, database, since = _noted(resource), expected_id(observed), _since(name, observed)
    if not database or not since:
        return before
    adopted = (resource["metadata"].get("annotations") or {}).get(ADOPT) == since
    return before if before.get("databaseId") == database and not adopted else {"databaseId": database, "registeredAt": since}


def records_lost(resource: Object, name: str, observed: Observed) -> Verdict | None:
    """Why the backend is not ready though it can be used. None: nothing of it is missing, as far as anybody knows."""
    kept, since = records(resource, name, observed), _since(name, observed)
    if since is None or not kept or since == kept["registeredAt"]:
        return None
    found = f"only since {since}" if since else "no more"
    accept = f", or accept that they are lost: annotate with {ADOPT}={since}" if since else ""
    message = (
        f"the metadata database knows it {found}, and it was served with records of {kept['registeredAt']}: objects that were stored on it"
        f" before are not found any more. Restore the database from a backup that has them{accept}"
    )
    return Verdict(ready=False, reason=LOST, message=message, stalled=True)


def _noted(resource: Object) -> Object:
    return (resource.get("status") or {}).get("records") or {}


def _since(name: str, observed: Observed) -> str | None:
    """Empty when the database does not know it, None when nobody says so."""
    report = counting_report(observed)
    if report is None or report.database_id != expected_id(observed):
        return None
    return report.backends.get(name, BackendReport()).registered_at
