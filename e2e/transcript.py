"""A transcript in a page: what is typed after a `$`, and what is printed then. And how two printings are compared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    command: str
    printed: tuple[str, ...]


def steps(page: str) -> list[Step]:
    """Of every block of the page that is marked as a console's, from top to bottom."""
    found: list[Step] = []
    for block in re.findall(r"^```console\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Step(line[2:], ()))
            else:
                found[-1] = Step(found[-1].command, (*found[-1].printed, line))
    return found


_VARIES = (
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?Z?", "TIME"),
    (r"\b(?:\d+d)?(?:\d+h)?(?:\d+m)?\d+s\b", "AGE"),
    (r"\b[0-9a-f]{8,10}-[a-z0-9]{5}\b", "POD"),
    # What a backend holds is reported in its own time: it may be there yet, or not.
    (r"\S+/\S+ \(\d+%\)", ""),
    (r"(?<![\w/])\d+(?:\.\d+)?(?:[KMGT]i)?B?(?![\w/])", ""),
    (r"\.\./", ""),
)


def shape(line: str) -> str:
    """The line without what differs each time: ages, times, numbers, and the widths of columns."""
    for pattern, word in _VARIES:
        line = re.sub(pattern, word, line)
    return " ".join(line.split())


def rewritten(page: str, printed: Mapping[str, str]) -> str:
    """The page with what was printed by each command in the place of what it shows, less the steps that show only a part."""
    for step in steps(page):
        if step.command in printed and "..." not in step.printed:
            before = "\n".join([f"$ {step.command}", *step.printed])
            after = "\n".join(line.rstrip() for line in [f"$ {step.command}", *printed[step.command].rstrip().splitlines()])
            page = page.replace(before, after, 1)
    return page


def differences(expected: tuple[str, ...], printed: str) -> list[str]:
    """What the page shows and nothing like it was printed, and the other way round. `...` in the page stands for any lines."""
    wanted = [shape(line) for line in expected if line.strip()]
    found = [shape(line) for line in printed.splitlines() if line.strip()]
    missing = [f"not printed: {line}" for line in wanted if line != "..." and line not in found]
    return missing if "..." in wanted else [*missing, *(f"not in the page: {line}" for line in found if line not in wanted)]
