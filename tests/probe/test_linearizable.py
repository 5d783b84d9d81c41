"""For one key, committed writes, deletes, conditional writes and reads are linearizable across all proxies, also while proxies die (I4).

`S3O_LINEAR_KILLS` says how often one dies; a few times by default. The checker comes first: it is held against histories that are known.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import time
from collections import defaultdict
from dataclasses import dataclass, field, replace
from math import inf

import aiohttp
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from tests.probe.workload import Unanswered, s3_client
from tests.support.fleet import Fleet, Launch
from tests.support.linear import Call, Kind, Value, is_linearizable, shortest_contradiction
from types_aiobotocore_s3 import S3Client

KILLS = int(os.environ.get("S3O_LINEAR_KILLS", "4"))
SEED = int(os.environ.get("S3O_SEED", "20261121"))
KEYS, CLIENTS = 3, 8


def call(kind: Kind, began_s: float, ended_s: float, value: Value = None, *, expected: Value = None, refused: bool = False) -> Call:
    return Call(kind, value, began_s, ended_s, expected, refused)


# --- the checker -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "history",
    [
        [],
        [call("read", 0, 1)],
        [call("write", 0, 1, "a"), call("read", 2, 3, "a")],
        [call("write", 0, 9, "a"), call("read", 1, 2), call("read", 3, 4, "a")],
        [call("write", 0, 9, "a"), call("write", 1, 8, "b"), call("read", 10, 11, "a")],
        [call("write", 0, 1, "a"), call("delete", 2, 3), call("read", 4, 5)],
        [call("create", 0, 9, "a"), call("create", 0, 9, "b", refused=True), call("read", 10, 11, "a")],
        [call("write", 0, 1, "a"), call("replace", 2, 3, "b", expected="a"), call("replace", 2, 4, "c", expected="a", refused=True)],
        [call("write", 0, inf, "a"), call("read", 1, 2), call("read", 3, 4, "a")],
        [call("write", 0, inf, "a"), call("read", 100, 101)],
        [call("write", 0, inf, "a"), call("create", 1, 2, "b", refused=True)],
        [call("replace", 0, 1, "b", expected="a", refused=True)],
    ],
)
def test_what_could_have_happened_one_after_the_other_is_linearizable(history: list[Call]) -> None:
    assert is_linearizable(history)


@pytest.mark.parametrize(
    ("wrong", "history"),
    [
        ("a read of what nobody wrote", [call("read", 0, 1, "a")]),
        ("a lost write", [call("write", 0, 1, "a"), call("read", 2, 3)]),
        ("a stale read", [call("write", 0, 1, "a"), call("write", 2, 3, "b"), call("read", 4, 5, "a")]),
        ("time that goes back", [call("write", 0, 9, "a"), call("read", 1, 2, "a"), call("read", 3, 4)]),
        ("two winners of a create", [call("create", 0, 9, "a"), call("create", 0, 9, "b")]),
        ("a create refused by nothing", [call("create", 0, 1, "a", refused=True)]),
        ("a lost update", [call("write", 0, 1, "a"), *(call("replace", 2, 9, new, expected="a") for new in ("b", "c"))]),
        ("a replace of what is not there", [call("write", 0, 1, "a"), call("replace", 2, 3, "b", expected="x")]),
        ("what was deleted comes back", [call("write", 0, 1, "a"), call("delete", 2, 3), call("read", 4, 5, "a")]),
        ("a write of unknown outcome that happens twice", [
            call("write", 0, inf, "a"), call("read", 1, 2, "a"), call("write", 3, 4, "b"), call("read", 5, 6, "b"), call("read", 7, 8, "a"),
        ]),
    ],
)  # fmt: skip
def test_what_could_not_is_not(wrong: str, history: list[Call]) -> None:
    assert not is_linearizable(history), wrong
    assert not is_linearizable(shortest_contradiction(history))


@given(
    st.lists(st.tuples(st.sampled_from(["read", "write", "delete", "create"]), st.floats(0, 5), st.floats(0, 5)), max_size=40), st.data()
)
def test_a_register_is_linearizable_and_a_register_that_forgets_is_not(steps: list[tuple[Kind, float, float]], data: st.DataObject) -> None:
    """Each call takes effect at its number, and began and ended up to five steps around it."""
    held: Value = None
    history = []
    for at, (kind, before_s, after_s) in enumerate(steps):
        new, refused = None, False
        if kind == "read":
            new = held
        elif kind != "delete":
            new, refused = f"v{at}", kind == "create" and held is not None
        history.append(call(kind, at - before_s, at + after_s, new, refused=refused))
        held = held if kind == "read" or refused else new
    assert is_linearizable(history)

    reads = [number for number, each in enumerate(history) if each.kind == "read"]
    if reads:
        wrong = data.draw(st.sampled_from(reads))
        history[wrong] = replace(history[wrong], value="never written")
        assert not is_linearizable(history)


# --- the proxies -----------------------------------------------------------------------------------------------------


_NO: dict[Kind, tuple[int, ...]] = {"read": (404,), "create": (412,), "replace": (404, 412)}
"""The answers that say that it is not so."""

_WEIGHTS: dict[Kind, int] = {"read": 8, "write": 4, "create": 2, "replace": 4, "delete": 2}


@dataclass
class History:
    """What clients asked of each key, and what they were told."""

    calls: dict[str, list[Call]] = field(default_factory=lambda: defaultdict(list))
    seen: dict[str, Value] = field(default_factory=dict)
    """What was seen of a key last, by anybody: for conditions that sometimes hold."""

    def note(self, key: str, told: Call) -> None:
        self.calls[key].append(told)
        if told.ended_s < inf and not told.refused:
            self.seen[key] = told.value


class Asker:
    """Asks one thing after the other, over one proxy, until it is cancelled."""

    def __init__(self, number: int, bucket: str, history: History) -> None:
        self._chance = random.Random(f"{SEED}/{number}")
        self._bucket, self._history, self._name = bucket, history, f"client {number}"
        self._made = 0

    async def run(self, client: S3Client) -> None:
        while True:
            key = f"key-{self._chance.randrange(KEYS)}"
            (kind,) = self._chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
            await self._ask(client, key, kind)

    async def _ask(self, client: S3Client, key: str, kind: Kind) -> None:
        self._made += 1
        body = f"{self._name} wrote {self._made}\n".encode() * self._chance.randrange(1, 4000)
        expected = self._history.seen.get(key) or "0" * 32
        value = hashlib.md5(body).hexdigest() if kind in ("write", "create", "replace") else None
        began_s, refused = time.monotonic(), False
        asked = Call(kind, value, began_s, inf, expected if kind == "replace" else None, told_by=self._name)
        try:
            value = await self._send(client, key, kind, body, expected)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status >= 500:
                self._unknown(key, asked)
                return
            if status not in _NO.get(kind, ()):
                raise AssertionError(f"{kind} was refused") from error
            refused = kind != "read"
        except (*Unanswered, asyncio.CancelledError) as error:
            if not isinstance(error, aiohttp.ClientConnectorError):  # Then nobody was asked.
                self._unknown(key, asked)
            raise
        self._history.note(key, replace(asked, value=value if not refused else asked.value, ended_s=time.monotonic(), refused=refused))

    def _unknown(self, key: str, asked: Call) -> None:
        if asked.kind != "read":
            self._history.note(key, asked)

    async def _send(self, client: S3Client, key: str, kind: Kind, body: bytes, expected: str) -> Value:
        bucket = self._bucket
        match kind:
            case "read":
                answer = await client.get_object(Bucket=bucket, Key=key)
                async with answer["Body"] as stream:
                    found = hashlib.md5(await stream.read()).hexdigest()
                assert answer["ETag"] == f'"{found}"', "the bytes are not those of the ETag"
                return found
            case "write":
                written = await client.put_object(Bucket=bucket, Key=key, Body=body)
            case "create":
                written = await client.put_object(Bucket=bucket, Key=key, Body=body, IfNoneMatch="*")
            case "replace":
                written = await client.put_object(Bucket=bucket, Key=key, Body=body, IfMatch=f'"{expected}"')
            case "delete":
                await client.delete_object(Bucket=bucket, Key=key)
                return None
        return written["ETag"].strip('"')


async def _ask_until_stopped(fleet: Fleet, asker: Asker, proxy: int) -> None:
    """A client of this proxy; after each failure it waits a moment, as clients do, and connects anew."""
    async with s3_client(fleet, proxy, read_timeout_s=20) as client:
        while True:
            try:
                await asker.run(client)
            except Unanswered:
                await asyncio.sleep(0.2)


@pytest.mark.slow
@pytest.mark.timeout(240 + 20 * KILLS)
async def test_what_clients_saw_of_a_key_happened_in_one_order(launch: Launch, database_uri: str) -> None:
    fleet = launch(proxies=2, database_uri=database_uri)
    history, chance = History(), random.Random(SEED)
    askers = [asyncio.create_task(_ask_until_stopped(fleet, Asker(number, fleet.bucket, history), number % 2)) for number in range(CLIENTS)]
    try:
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(0.3, 1.5))
            dying = chance.randrange(2)
            fleet.kill(dying)
            await asyncio.to_thread(fleet.restart, dying)
        await asyncio.sleep(1)
    finally:
        for asker in askers:
            asker.cancel()
        await asyncio.wait(askers)
    for asker in askers:
        assert asker.cancelled(), asker.exception()

    for key, calls in history.calls.items():
        kinds = {each.kind for each in calls if each.ended_s < inf}
        assert kinds >= {"read", "write", "create", "replace", "delete"}, f"{key}: {kinds}"
        assert is_linearizable(calls), "\n".join(f"{key}: {each}" for each in shortest_contradiction(calls)[-30:])
    print(f"{sum(map(len, history.calls.values()))} calls, of unknown outcome {_unknown(history)}, {KILLS} kills: linearizable")


def _unknown(history: History) -> int:
    return sum(each.ended_s == inf for calls in history.calls.values() for each in calls)
