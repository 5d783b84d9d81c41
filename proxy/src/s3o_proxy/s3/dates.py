"""The forms in which S3 writes time: HTTP dates, ISO 8601 in documents, and the basic ISO 8601 of signatures. All UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH = "(?P<month>" + "|".join(_MONTHS) + ")"
_TIME = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_HTTP_FORMS = (
    re.compile(rf"[A-Z][a-z]{{2}}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} GMT"),  # IMF-fixdate
    re.compile(rf"[A-Z][a-z]+day, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT"),  # RFC 850
    re.compile(rf"[A-Z][a-z]{{2}} {_MONTH} (?P<day>[ 0-9][0-9]) {_TIME} (?P<year>[0-9]{{4}})"),  # asctime
)
_LONGEST = len("Wednesday, 06-Nov-94 08:49:37 GMT")
"""No date is longer. Checked before the memory of parsed dates is asked, which strangers could else fill with long headers."""
_AMZ_DATE = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z")


def parse_http_date(text: str) -> int | None:
    """Milliseconds since the epoch of any of the three forms of RFC 9110 §5.6.7; None for anything else."""
    return _parse_http_date(text) if len(text) <= _LONGEST else None


def parse_amz_date(text: str) -> int | None:
    """Milliseconds since the epoch of `20260320T170945Z`; None for anything else."""
    return _parse_amz_date(text) if len(text) <= _LONGEST else None


@lru_cache(maxsize=4096)
def _parse_http_date(text: str) -> int | None:
    for form in _HTTP_FORMS:
        found = form.fullmatch(text)
        if found is not None:
            year = int(found["year"])
            if len(found["year"]) == 2:
                year += 1900 if year >= 70 else 2000
            month = _MONTHS.index(found["month"]) + 1
            return _epoch_ms(year, month, int(found["day"]), int(found["hour"]), int(found["minute"]), int(found["second"]))
    return None


@lru_cache(maxsize=4096)
def _parse_amz_date(text: str) -> int | None:
    found = _AMZ_DATE.fullmatch(text)
    return _epoch_ms(*map(int, found.groups())) if found else None


def http_date(epoch_ms: int) -> str:
    """`Sun, 06 Nov 1994 08:49:37 GMT`, the second that holds `epoch_ms`."""
    return _http_date(epoch_ms // 1000)


def iso_date(epoch_ms: int) -> str:
    """`2026-03-20T17:09:45.000Z`: whole seconds, so that LIST and Last-Modified never differ."""
    return iso_second(epoch_ms // 1000)


def amz_date(epoch_ms: int) -> str:
    """`20260320T170945Z`."""
    return f"{datetime.fromtimestamp(epoch_ms // 1000, UTC):%Y%m%dT%H%M%SZ}"


@lru_cache(maxsize=4096)
def _http_date(epoch_s: int) -> str:
    at = datetime.fromtimestamp(epoch_s, UTC)
    # Not strftime: its names of days and months follow the locale.
    return f"{_DAYS[at.weekday()]}, {at.day:02} {_MONTHS[at.month - 1]} {at.year:04} {at:%H:%M:%S} GMT"


@lru_cache(maxsize=16384)
def iso_second(epoch_s: int) -> str:
    """`iso_date` of a second. A page may show a thousand that nobody asked for before: all that is looked up of each is its day."""
    day, second = divmod(epoch_s, 86_400)
    return f"{_iso_day(day)}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.000Z"


@lru_cache(maxsize=4096)
def _iso_day(epoch_days: int) -> str:
    return f"{datetime.fromtimestamp(epoch_days * 86_400, UTC):%Y-%m-%d}"


def _epoch_ms(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int | None:
    try:
        return int(datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC).timestamp()) * 1000
    except ValueError:
        return None
