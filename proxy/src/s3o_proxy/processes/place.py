"""What a member is given when it starts: which one of how many it is, and the descriptors that it shares."""

from __future__ import annotations

import socket

from s3o_proxy.config.snapshot import Snapshot
from s3o_proxy.domain.frozen import frozen
from s3o_proxy.workers.roster import Role


@frozen
class Place:
    """`number` counts from 0; `listener`, `line` and `tally` are file descriptors that the member inherits."""

    number: int
    of: int
    listener: int
    line: int
    tally: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}:{self.listener}:{self.line}:{self.tally}"

    @property
    def descriptors(self) -> tuple[int, ...]:
        return self.listener, self.line, self.tally

    def open_listener(self) -> socket.socket:
        return socket.socket(fileno=self.listener)

    def open_line(self) -> socket.socket:
        return socket.socket(fileno=self.line)


def read_place(text: str) -> Place:
    """What `str` of a Place says. Raises ValueError."""
    which, listener, line, tally = text.split(":")
    number, of = which.split("/")
    return Place(int(number), int(of), int(listener), int(line), int(tally))


def role_of(place: Place | None, role: Role) -> Role:
    """Of a member, where all of them have `role`: the first repairs, and the others leave it to that one."""
    return Role.API if place is not None and place.number > 0 and role is Role.ALL else role


def why_one_process(snapshot: Snapshot, role: Role) -> list[str]:
    """Why several processes cannot serve this, one sentence each."""
    reasons = []
    if snapshot.config.database.driver == "SQLite":
        reasons.append("--processes: an SQLite database has one process; take PostgreSQL (spec.database.driver: Postgres), or one process")
    if role is Role.WORKER:
        reasons.append("--processes: of several processes one repairs, so a worker has nothing for the others to do")
    return reasons
