"""Which backends may take an object that moves, and what became of a move."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from s3o_proxy.domain.errors import NoSpace
from s3o_proxy.domain.frozen import frozen
from s3o_proxy.domain.model import StoredObject, Usage
from s3o_proxy.domain.placement import Candidate, Strategy, rank

MAX_SINGLE_PUT_BYTES = 5 * 1024**3
"""The largest object that S3 takes in one piece (AWS: "in a single operation … up to 5 GB"); a larger one moves by parts."""

Outcome = Literal["moved", "superseded", "no_room", "too_large", "nowhere", "unreachable", "gone", "corrupt", "failed"]
"""superseded: an overwrite or a delete came first, nothing is left to do. nowhere: every backend that takes writes holds a copy.
unreachable: a backend that was needed did not answer; gone: it answered that the bytes are not there; corrupt: it answered with others
than those of the object; failed: it refused, or stored something else than it was given."""


@frozen
class Moved:
    outcome: Outcome
    target: str = ""
    error: str = ""


def targets(
    found: StoredObject, candidates: Sequence[Candidate], closed: Collection[str], usage: Mapping[str, Usage], strategy: Strategy
) -> list[Candidate] | Moved:
    """The backends to try, best first: none that is `closed`, none that holds a copy (two copies on one backend are lost together)."""
    held = {copy.backend for copy in found.copies}
    eligible = [candidate for candidate in candidates if candidate.accepts_writes and candidate.name not in closed]
    others = [candidate for candidate in eligible if candidate.name not in held]
    if not eligible:
        return Moved("no_room", error="no other backend accepts writes")
    if not others:
        return Moved("nowhere", error="every backend that accepts writes holds a copy already")
    try:
        return rank(others, usage, strategy, found.size_bytes)
    except NoSpace as error:
        return Moved("too_large", error=str(error))
