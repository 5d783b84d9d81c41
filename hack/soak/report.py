"""The table in the end: what was done, what came of it, and what must not have happened."""

from __future__ import annotations

from hack.soak.run import Result
from hack.soak.tally import Finding, Outcome

_KINDS_WIDTH = 14


def table(result: Result) -> str:
    tally, plan = result.tally, result.plan
    kinds = sorted({kind for kind, _ in tally.outcomes})
    rows = [[kind, *(str(tally.outcomes[kind, outcome]) for outcome in Outcome)] for kind in kinds]
    rows.append(["all", *(str(tally.total(outcome)) for outcome in Outcome)])
    lines = [_row(["operations", *Outcome]), *map(_row, rows), ""]
    lines += [f"{name:<44}{value}" for name, value in _figures(result)]
    if tally.told:
        lines += ["", "findings, the first of them:", *tally.told]
    for when, differences in result.audits.items():
        if differences:
            lines += ["", f"the audit, {when}:", *differences[:100]]
    lines += ["", f"{'HOLDS' if result.holds else 'BROKEN'}: seed {plan.seed}, {tally.done} operations, {result.kills} kills"]
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    first, *others = cells
    return f"{first:<{_KINDS_WIDTH}}" + "".join(f"{cell:>12}" for cell in others)


def _figures(result: Result) -> list[tuple[str, str]]:
    tally = result.tally
    unknown = tally.total(Outcome.UNANSWERED) + tally.total(Outcome.FAILED)
    highest = ", ".join(f"{name} {held:,}" for name, held in result.highest_bytes.items())
    return [
        ("operations per second", f"{tally.done / max(result.load_s, 0.001):.0f}"),
        ("bytes written, read", f"{tally.bytes_written:,}, {tally.bytes_read:,}"),
        ("kills", str(result.kills)),
        ("start until ready, median and longest", f"{result.median_start_s:.1f} s, {max(result.starts_s, default=0.0):.1f} s"),
        ("longest time in which nobody was answered", f"{tally.longest_silence_s:.1f} s"),
        ("operations of unknown outcome", str(unknown)),
        ("refused: no space", str(tally.total(Outcome.REFUSED))),
        ("quota of each backend, bytes", f"{result.plan.quota_bytes:,}"),
        ("most that a backend held, bytes", f"{highest} ({result.looks} looks)"),
        ("objects read back in the end", str(result.objects)),
        *((f"{finding}", str(tally.findings[finding])) for finding in Finding),
        *((f"audit {when}", f"{len(found)} differences" if found else "clean") for when, found in result.audits.items()),
        ("wall time", f"{result.wall_s:.0f} s, of it load {result.load_s:.0f} s"),
    ]
