"""Which workers a process runs, by its *role*: all of them, or S3 in one process and the repair in another.

Some belong to every process, whatever its role: its lease, without which its own intents would be reaped under its hands; its view of the
usage, by which it places; and the settling of what it forsook itself, which no other process can know.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from s3o_proxy.workers.report import Worker


class Role(StrEnum):
    """`api` serves S3 and repairs nothing that others can repair; `worker` repairs, and serves health, metrics and the admin API alone."""

    ALL = "all"
    API = "api"
    WORKER = "worker"

    @property
    def serves_s3(self) -> bool:
        return self is not Role.WORKER


def workers_of(role: Role, *, every_process: Sequence[Worker], repair: Sequence[Worker]) -> list[Worker]:
    return [*every_process, *(() if role is Role.API else repair)]
