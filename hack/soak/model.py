"""What a client was promised about its keys, and so what it may find there.

Every key has one writer, who asks one thing at a time. So after any crash a key is what was last acknowledged, or what was asked since
and never answered. Anything else is a lost or an invented byte.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

GONE = ""
"""The digest of a key that is not there."""


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass(slots=True)
class Key:
    """`acknowledged`: digest of what it must be. `unanswered`: what it may be instead, asked and never answered."""

    acknowledged: str = GONE
    unanswered: set[str] = field(default_factory=set)

    def asked(self, outcome: str) -> None:
        self.unanswered.add(outcome)

    def answered(self, outcome: str) -> None:
        self.acknowledged, self.unanswered = outcome, set()

    def refused(self, outcome: str) -> None:
        """It was asked, and certainly not done."""
        self.unanswered.discard(outcome)

    def seen(self, outcome: str) -> None:
        """A read settled which of the possible truths it is."""
        self.answered(outcome)

    @property
    def possible(self) -> set[str]:
        return {self.acknowledged} | self.unanswered

    @property
    def is_certain(self) -> bool:
        return not self.unanswered

    @property
    def is_there(self) -> bool:
        """Certainly."""
        return self.is_certain and self.acknowledged != GONE
