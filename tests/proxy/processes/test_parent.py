"""The parent: what its members ask of all, and when it gives up."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from s3o_proxy.http.listen import listen
from s3o_proxy.processes import parent as module
from s3o_proxy.processes.member import METRICS
from s3o_proxy.processes.parent import GaveUp, Parent, run_parent
from s3o_proxy.processes.tally import slots_bytes

MEMBER = """
import asyncio, json, os, sys
from pathlib import Path
from s3o_proxy.processes.member import membership
from s3o_proxy.processes.place import read_place

folder = Path(sys.argv[1])

async def main():
    place = read_place(sys.argv[2])

    async def name():
        return place.number

    async def metrics():
        samples = [["n_total", {}, 10 + place.number]]
        return {"families": [{"name": "n", "help": "h", "type": "counter", "samples": samples, "across": "SUM"}]}

    async with membership(place) as member:
        early = await member.everyone("name")
        await member.join({"name": name, "metrics": metrics})
        while True:
            heard = {question: await member.everyone(question) for question in ("name", "metrics")}
            told = {question: [list(each.answers), each.beside] for question, each in heard.items()}
            (folder / f"{place.number}.new").write_text(json.dumps({"pid": os.getpid(), "early": list(early.answers), **told}))
            (folder / f"{place.number}.new").rename(folder / f"{place.number}.json")
            await asyncio.sleep(0.02)

asyncio.run(main())
"""


@asynccontextmanager
async def running(folder: Path, processes: int) -> AsyncIterator[Parent]:
    with tempfile.TemporaryFile() as shared, listen("127.0.0.1:0") as listener:
        shared.truncate(slots_bytes(processes))
        parent = Parent(lambda place: [sys.executable, "-c", MEMBER, str(folder), str(place)], processes, listener, shared)
        ended = asyncio.create_task(parent.run())
        yield parent
        parent.stop()
        assert await asyncio.wait_for(ended, 20) == 0


async def told(folder: Path, number: int, holds: str) -> dict[str, object]:
    """What this member heard, as soon as `holds` of it (an expression over `name`, `metrics`, `pid`)."""
    async with asyncio.timeout(20):
        while True:
            path = folder / f"{number}.json"
            if path.exists():
                heard: dict[str, object] = json.loads(path.read_text())
                if eval(holds, dict(heard)):
                    return heard
            await asyncio.sleep(0.02)


def counts_of(heard: dict[str, object]) -> dict[str, float]:
    return {family["name"]: family["samples"][0][2] for family in heard[METRICS][1]}  # type: ignore[index]  # a list


async def test_each_hears_what_all_answer(tmp_path: Path) -> None:
    async with running(tmp_path, 3):
        for number in range(3):
            heard = await told(tmp_path, number, "name[0] == [0, 1, 2]")
            assert heard["early"][number] is None  # type: ignore[index]  # a list: nobody is asked before it joined
            assert heard["name"][1] is None  # type: ignore[index]  # the parent has nothing to say but for metrics


async def test_what_all_count_is_told_as_one_count_and_no_longer_line_with_each_member(tmp_path: Path) -> None:
    async with running(tmp_path, 3):
        heard = await told(tmp_path, 1, "metrics[0] == [{}, {}, {}]")
        assert counts_of(heard) == {"n": 10 + 11 + 12}


async def test_what_the_dead_counted_is_told_with_it(tmp_path: Path) -> None:
    async with running(tmp_path, 2):
        first = await told(tmp_path, 1, "name[0] == [0, 1]")
        os.kill(int(str(first["pid"])), signal.SIGKILL)
        heard = await told(tmp_path, 0, "metrics[0] == [{}, {}] and len(metrics[1]) == 2")
        assert counts_of(heard) == {"n": 10 + 11 + 11, "s3o_process_restarts": 1}


def test_it_gives_up_on_one_that_dies_at_once_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE_S", 0.01)
    with pytest.raises(GaveUp, match="process 0 ended with 3, 5 times in a row within 10 s of its start; the log says why"):
        run_parent(lambda _place: [sys.executable, "-S", "-c", "raise SystemExit(3)"], 1, listen("127.0.0.1:0"))
