"""What is stored, as the pods count it, for status: figures for programs, and the same for people.

Figures in a status are exact when they are written, and written anew when what a person reads of them changes: three digits of a count, a
decimal of a size. So a busy store is no stream of writes, and one at rest is none.
"""

from __future__ import annotations

from collections.abc import Iterable

from s3o_operator.plan.contacts import BackendReport, BucketReport, Report, members
from s3o_operator.plan.observed import Object, Observed

_UNITS = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


def counting_report(observed: Observed) -> Report | None:
    """All pods count the same rows: the first that could be asked speaks for all. None: nobody knows now; one that cannot use the database
    may have nothing but zeros to tell."""
    heard = [one.contact.report for one in members(observed.pods, observed.contacts) if one.contact.report and not one.contact.error]
    return next((one for one in heard if not one.troubles), None)


def backend_usage(report: BackendReport, before: Object | None, now: str) -> Object:
    return _usage(report.used, report.objects, report.quota or None, report.orphan, _share(report.used, report.quota), before, now)


def bucket_usage(report: BucketReport, before: Object | None, now: str) -> Object:
    objects = f"{report.objects} object{'' if report.objects == 1 else 's'}"
    return _usage(report.bytes, report.objects, None, None, f"{objects}, {size(report.bytes)}", before, now)


def total_usage(reports: Iterable[BackendReport], before: Object | None, now: str) -> Object:
    """Of all backends. There is a limit only where every one has one."""
    all_of_them = list(reports)
    used, orphan, objects = (sum(getattr(one, name) for one in all_of_them) for name in ("used", "orphan", "objects"))
    limits = [one.quota for one in all_of_them]
    limit = sum(one or 0 for one in limits) if limits and all(limits) else None
    return _usage(used, objects, limit, orphan, _share(used, limit), before, now)


def size(count_bytes: int) -> str:
    """12.4Gi, 20Gi, 100Mi, 512B: one decimal below a hundred, unless it is zero."""
    value, unit = float(count_bytes), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    if not unit:
        return f"{count_bytes}B"
    text = f"{value:.1f}" if value < 100 else f"{value:.0f}"
    return f"{text.removesuffix('.0')}{_UNITS[unit]}"


def _share(used: int, limit: int | None) -> str:
    return f"{size(used)}/{size(limit)} ({used * 100 // limit}%)" if limit else size(used)


def _usage(used: int, objects: int, limit: int | None, orphan: int | None, summary: str, before: Object | None, now: str) -> Object:
    fresh: Object = {"bytesUsed": used, "objectCount": objects, "size": size(used), "summary": summary, "updatedAt": now}
    fresh |= {} if limit is None else {"bytesLimit": limit}
    fresh |= {} if orphan is None else {"orphanBytes": orphan}
    return before if before is not None and _read_by_a_person(before) == _read_by_a_person(fresh) else fresh


def _read_by_a_person(usage: Object) -> tuple[object, ...]:
    orphan = usage.get("orphanBytes")
    summary = str(usage.get("summary"))
    # A count in a summary is exact; what is looked at is how it would be rounded.
    words = summary.split(", ")[-1] if "object" in summary else summary
    return (
        words,
        usage.get("size"),
        _rounded(usage.get("objectCount")),
        usage.get("bytesLimit"),
        orphan if orphan is None else size(orphan),
    )


def _rounded(count: object) -> str:
    return f"{count:.3g}" if isinstance(count, int) else ""
