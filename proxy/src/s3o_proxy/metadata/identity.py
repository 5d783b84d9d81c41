"""Which database this is: an id that is made with the schema, and that every copy and every backup of the database keeps.

Whoever was told which one to expect works with no other. An empty one would say of every object that it does not exist, while backends hold
its bytes: a client that mirrors would delete its own copy, and new objects would be written beside the lost ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from s3o_proxy.domain.errors import DatabaseReplaced


@dataclass(slots=True)
class Identity:
    """`expected`: empty where any database will do. `found`: the id of the one that answered last; empty while none did."""

    expected: str = ""
    found: str = ""

    def take(self, found: str) -> None:
        """What the database has just said. Raises DatabaseReplaced."""
        self.found = found
        self.require()

    def require(self) -> None:
        """Raises DatabaseReplaced. Without a word from the database nothing is refused: each connection asks before it is used."""
        if self.expected and self.found not in ("", self.expected):
            raise DatabaseReplaced(self.expected, self.found)
