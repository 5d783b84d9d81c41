"""Which workers run where: an API process must keep what only it can do for itself."""

from __future__ import annotations

import pytest

from s3o_proxy.workers.report import Report
from s3o_proxy.workers.roster import Role, workers_of


class Named:
    period_ms = 1
    singleton = False

    def __init__(self, name: str) -> None:
        self.name = name

    async def run_once(self) -> Report:
        return Report()


@pytest.mark.parametrize(("role", "names"), [(Role.ALL, ["own", "repair"]), (Role.API, ["own"]), (Role.WORKER, ["own", "repair"])])
def test_every_process_keeps_its_own_and_only_an_api_repairs_nothing(role: Role, names: list[str]) -> None:
    assert [worker.name for worker in workers_of(role, every_process=[Named("own")], repair=[Named("repair")])] == names


def test_a_worker_alone_serves_no_s3() -> None:
    assert [role for role in Role if not role.serves_s3] == [Role.WORKER]
