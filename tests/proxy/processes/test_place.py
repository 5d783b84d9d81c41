"""What a member is given when it starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.config_files import write_sample

from s3o_proxy.config.loader import load
from s3o_proxy.processes.place import Place, read_place, role_of, why_one_process
from s3o_proxy.workers.roster import Role


def test_a_place_is_read_as_it_is_written() -> None:
    place = Place(1, 4, 7, 8, 9)
    assert read_place(str(place)) == place


@pytest.mark.parametrize("text", ["", "1", "1/2", "1/2:3", "1/2:3:4:x", "1:2:3:4"])
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(ValueError):
        read_place(text)


def test_the_first_repairs_and_the_others_leave_it_to_that_one() -> None:
    places = [Place(number, 3, 7, 8, 9) for number in range(3)]
    assert [role_of(place, Role.ALL) for place in places] == [Role.ALL, Role.API, Role.API]
    assert [role_of(place, Role.API) for place in places] == [Role.API] * 3
    assert role_of(None, Role.ALL) is Role.ALL


def test_several_workers_and_several_on_a_file_are_refused(tmp_path: Path) -> None:
    write_sample(tmp_path)
    snapshot = load(tmp_path, {"S3O_TEST_PHOTOS": "x"}).snapshot
    assert [reason.split(" ")[1:3] for reason in why_one_process(snapshot, Role.WORKER)] == [["an", "SQLite"], ["of", "several"]]
