"""The table: medians of the rounds, ours beside nginx."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hack.bench.cases import GIB, MIB, Case
from hack.bench.load import Window

_MISSING = "-"
_COLUMNS = (
    *("operation", "CPU per", "ours", "±", "database", "nginx", "ours/nginx"),
    *("busy", "rate", "nginx", "p50, p99 ms", "nginx", "RSS MiB", "nginx"),
)


@dataclass(frozen=True)
class Figures:
    """One case at one server, medians over its windows.

    `server` and `database` are microseconds of processor time per operation, or seconds per GiB where the objects are large;
    `database` is None where the server has none beside it. `spread` is (highest - lowest) / median of `server`. `busy` is the share of the
    time in which the server had work: below 1, something else limits the rate.
    """

    server: float
    database: float | None
    spread: float
    busy: float
    per_second: float
    p50_seconds: float
    p99_seconds: float
    resident_bytes: int
    costs: Mapping[str, float]
    """The unit of `server`, by the name of whoever was watched."""


def figures(case: Case, windows: Sequence[Window]) -> Figures:
    """Medians, and the highest resident memory. `windows` has one at least, each with an operation at least."""
    unit = case.size_bytes / GIB * 1e9 if case.large else 1e3
    costs = {name: [window.cpu_ns[name] / window.operations / unit for window in windows] for name in windows[0].cpu_ns}
    server = statistics.median(costs["server"])
    return Figures(
        server=server,
        database=statistics.median(costs["database"]) if "database" in costs else None,
        spread=(max(costs["server"]) - min(costs["server"])) / server,
        busy=statistics.median(window.cpu_ns["server"] / window.seconds / 1e9 for window in windows),
        per_second=statistics.median(window.operations / window.seconds for window in windows),
        p50_seconds=statistics.median(window.p50_seconds for window in windows),
        p99_seconds=statistics.median(window.p99_seconds for window in windows),
        costs={name: statistics.median(each) for name, each in costs.items()},
        resident_bytes=max(window.resident_bytes for window in windows),
    )


def row(case: Case, ours: Figures | None, nginx: Figures | None) -> tuple[str, ...]:
    """The cells of one line; a dash where nothing was measured."""
    return (
        case.title,
        "GiB, s" if case.large else "op, µs",
        _cost(case, ours.server if ours else None),
        f"{ours.spread / 2:.0%}" if ours else _MISSING,
        _cost(case, ours.database if ours else None),
        _cost(case, nginx.server if nginx else None),
        f"{ours.server / nginx.server:.1f}" if ours and nginx else _MISSING,
        f"{ours.busy:.0%}" if ours else _MISSING,
        _rate(case, ours),
        _rate(case, nginx),
        _latency(ours),
        _latency(nginx),
        _resident(ours),
        _resident(nginx),
    )


def _cost(case: Case, value: float | None) -> str:
    if value is None:
        return _MISSING
    return f"{value:.2f}" if case.large else f"{value:.1f}"


def _rate(case: Case, side: Figures | None) -> str:
    if side is None:
        return _MISSING
    return f"{side.per_second * case.size_bytes / MIB:,.0f} MiB/s" if case.large else f"{side.per_second:,.0f}/s"


def _latency(side: Figures | None) -> str:
    return f"{side.p50_seconds * 1e3:.1f}, {side.p99_seconds * 1e3:.1f}" if side else _MISSING


def _resident(side: Figures | None) -> str:
    return f"{side.resident_bytes / MIB:.0f}" if side else _MISSING


def table(rows: Sequence[tuple[str, ...]], columns: Sequence[str] = _COLUMNS) -> str:
    """Aligned text, also valid Markdown."""
    lines = [tuple(columns), *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(columns))]
    rule = "|".join(["", *("-" * (width + 1) + (":" if column else "-") for column, width in enumerate(widths)), ""])
    text = ["| " + " | ".join(_cell(line, column, widths) for column in range(len(columns))) + " |" for line in lines]
    return "\n".join([text[0], rule, *text[1:]])


def _cell(line: tuple[str, ...], column: int, widths: Sequence[int]) -> str:
    return line[column].ljust(widths[column]) if column == 0 else line[column].rjust(widths[column])
