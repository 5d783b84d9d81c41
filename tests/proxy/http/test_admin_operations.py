"""Operations by the admin API: asked for by JSON, answered as JSON, and every refusal in one sentence."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route
from tests.support.dictionary import Dictionary, DictionaryEdge, is_alive, request_head
from tests.support.edge import WireClient, connected, serving
from tests.support.stories import Stage, backend_config, open_stage

from s3o_proxy.domain.errors import MetadataUnavailable
from s3o_proxy.domain.operation import Flow, Operation, Plan, Progress
from s3o_proxy.http.admin_operations import as_json, as_time, operation_routes
from s3o_proxy.s3.operation import PutObject

DRAIN: dict[str, Any] = {"kind": "Drain", "subject": "uid-1", "token": "t-1", "backend": "first"}


@asynccontextmanager
async def desk_of(stage: Stage) -> AsyncIterator[WireClient]:
    routes: list[Route] = operation_routes(stage.desk, lambda answer: answer)
    edge = DictionaryEdge(Dictionary(), routes)
    async with serving(edge.endpoint, None, edge.readiness) as served, connected(served.port) as client:
        yield client


async def ask(client: WireClient, method: str, path: str, body: object = None) -> tuple[int, Any]:
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    client.send(request_head(method, f"/admin/api/{path}", {"Content-Length": len(data)}, token="") + data)
    response = await client.response()
    return response.status, json.loads(response.body) if response.body else None


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    opened = await open_stage(tmp_path)
    yield opened
    await opened.metadata.close()


async def test_an_operation_is_asked_for_found_listed_and_cancelled(stage: Stage) -> None:
    async with desk_of(stage) as client:
        status, asked = await ask(client, "POST", "operations", DRAIN)
        assert status == 200
        assert {name: asked[name] for name in DRAIN} == DRAIN
        assert (asked["state"], asked["bucket"], asked["createdAt"], asked["startedAt"]) == ("Pending", "", "2027-01-15T08:00:00Z", None)
        assert stage.wakes == 1
        assert await ask(client, "POST", "operations", DRAIN) == (200, asked)
        assert await ask(client, "GET", f"operations/{asked['id']}") == (200, asked)
        assert await ask(client, "GET", "operations?subject=uid-1") == (200, {"operations": [asked]})
        assert await ask(client, "GET", "operations?subject=uid-2") == (200, {"operations": []})
        await stage.operate()
        assert (await ask(client, "GET", f"operations/{asked['id']}"))[1]["state"] == "Succeeded"
        for _ in range(2):
            status, cancelled = await ask(client, "POST", f"operations/{asked['id']}/cancel")
            assert (status, cancelled["state"]) == (200, "Cancelled")
        assert await is_alive(client)


async def test_another_on_the_same_target_conflicts_and_names_the_first(stage: Stage) -> None:
    async with desk_of(stage) as client:
        _, first = await ask(client, "POST", "operations", DRAIN)
        status, answer = await ask(client, "POST", "operations", DRAIN | {"token": "t-2"})
        assert (status, answer["operation"]) == (409, first)
        assert first["id"] in answer["error"]


async def test_who_asks_and_hangs_up_has_asked(stage: Stage) -> None:
    """Reference bug 40: a rebalance ended with the connection of the one who had asked for it."""
    await stage.perform(PutObject("photos", "k"), b"data")
    body = json.dumps(DRAIN).encode()
    async with desk_of(stage) as client:
        client.send(request_head("POST", "/admin/api/operations", {"Content-Length": len(body)}, token="") + body)
        await client.response()
        client.writer.transport.abort()
        await stage.operate()
    (drained,) = await stage.desk.list("uid-1")
    assert drained.state == "Succeeded"
    assert stage.backends["first"].objects == {}


async def test_a_dry_run_plans_and_keeps_nothing(stage: Stage) -> None:
    await stage.perform(PutObject("photos", "k"), b"12345")
    async with desk_of(stage) as client:
        status, answer = await ask(client, "POST", "operations", DRAIN | {"dryRun": True})
        assert status == 200
        assert answer["plan"] == {
            "objects": 1,
            "bytes": 5,
            "calls": 3,
            "fits": True,
            "requiredBytes": 5,
            "availableBytes": None,
            "backends": {
                "first": {"bytesIn": 0, "bytesOut": 5, "calls": 2},
                "second": {"bytesIn": 5, "bytesOut": 0, "calls": 1},
            },
        }
        assert await ask(client, "GET", "operations") == (200, {"operations": []})
    assert await stage.metadata.fences() == frozenset()


@pytest.mark.parametrize(
    ("wish", "plan"),
    [
        ({"kind": "Purge", "bucket": "photos"}, {"objects": 1, "bytes": 5, "calls": 1, "fits": True, "requiredBytes": 0, "backends": {}}),
        ({"kind": "Purge", "backend": "second"}, {"objects": 0, "calls": 0}),
        ({"kind": "Rebalance"}, {"objects": 0, "bytes": 0, "fits": True, "backends": {}}),
    ],
)
async def test_any_kind_can_be_planned(stage: Stage, wish: dict[str, str], plan: dict[str, Any]) -> None:
    await stage.perform(PutObject("photos", "k"), b"12345")
    async with desk_of(stage) as client:
        status, answer = await ask(client, "POST", "operations", {"subject": "uid", "token": "t", "dryRun": True} | wish)
        assert status == 200
        assert {name: answer["plan"][name] for name in plan} == plan


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"{", "the body is no JSON"),
        (b"[]", "the body is no JSON object"),
        (b" " * 100_000, "the body is no JSON"),
        ({}, "kind, subject, token must be given"),
        (DRAIN | {"token": ""}, "token must be given"),
        (DRAIN | {"kind": "Destroy"}, "kind is 'Destroy'; it can be Drain, Rebalance, Purge"),
        (DRAIN | {"backend": None}, "a Drain needs a backend, and no bucket"),
        (DRAIN | {"bucket": "photos"}, "a Drain needs a backend, and no bucket"),
        (DRAIN | {"kind": "Purge", "bucket": "photos"}, "a Purge needs either a backend or a bucket"),
        (DRAIN | {"kind": "Rebalance"}, "a Rebalance is of all backends"),
        (DRAIN | {"force": True}, "unknown field 'force'"),
        (DRAIN | {"token": 5}, "token must be a string"),
        (DRAIN | {"dryRun": "yes"}, "dryRun must be a boolean"),
        (DRAIN | {"subject": "x" * 257}, "subject is longer than 256 characters"),
        (DRAIN | {"subject": "a\0b"}, "subject holds a NUL"),
    ],
)
async def test_nonsense_is_refused_with_one_sentence(stage: Stage, body: object, sentence: str) -> None:
    async with desk_of(stage) as client:
        status, answer = await ask(client, "POST", "operations", body)
        assert status == 400
        assert answer["error"].startswith(sentence)
    assert await stage.metadata.list_operations("", 10) == []


async def test_what_nobody_knows_is_not_found(stage: Stage) -> None:
    async with desk_of(stage) as client:
        for method, path, body in (
            ("POST", "operations", DRAIN | {"backend": "third"}),
            ("GET", "operations/nothing", None),
            ("POST", "operations/nothing/cancel", None),
        ):
            status, answer = await ask(client, method, path, body)
            assert (status, list(answer)) == (404, ["error"]), path


async def test_an_operation_that_was_asked_for_is_found_again_when_its_backend_is_gone(stage: Stage) -> None:
    async with desk_of(stage) as client:
        _, asked = await ask(client, "POST", "operations", DRAIN)
        await stage.configure(backend_config("second"))
        assert await ask(client, "POST", "operations", DRAIN) == (200, asked)


async def test_a_backend_is_forgotten_when_it_is_neither_served_nor_used(stage: Stage) -> None:
    await stage.perform(PutObject("photos", "k"), b"12345")
    async with desk_of(stage) as client:
        status, answer = await ask(client, "DELETE", "backends/first")
        assert (status, answer["error"]) == (409, "backend first stands in the configuration that is served here")
        await stage.configure(backend_config("second"))
        status, answer = await ask(client, "DELETE", "backends/first")
        assert (status, answer["counts"]["copies"]) == (409, 1)
        assert await ask(client, "DELETE", "backends/third") == (204, None)


async def test_while_the_database_is_away_it_says_so(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask_operation(_: Operation) -> Operation:
        raise MetadataUnavailable("database: no connection")

    monkeypatch.setattr(stage.metadata, "ask_operation", ask_operation)
    async with desk_of(stage) as client:
        assert await ask(client, "POST", "operations", DRAIN) == (503, {"error": "database: no connection"})


def test_an_operation_reads_as_the_contract_says() -> None:
    plan = Plan(1, 2, 3, fits=False, required_bytes=4, available_bytes=5, backends={"b": Flow(6, 7, 8)})
    progress = Progress(1, 2, 3, 4, 5, 6, 7, 8, 1_800_000_000_999, 10, 11, 12, "last")
    operation = Operation("id", "Drain", "uid", "t", 1_800_000_000_000, "b", state="Stalled", reason="R", message="m")
    written = as_json(replace(operation, plan=plan, progress=progress))
    assert written["plan"]["backends"] == {"b": {"bytesIn": 6, "bytesOut": 7, "calls": 8}}
    assert written["progress"] == {
        "objectsTotal": 1,
        "objectsMoved": 2,
        "objectsRemaining": 3,
        "objectsFailed": 4,
        "bytesTotal": 5,
        "bytesMoved": 6,
        "bytesRemaining": 7,
        "bytesPerSecond": 8,
        "estimatedCompletionTime": "2027-01-15T08:00:00Z",
        "uploadsRemaining": 10,
        "intentsRemaining": 11,
        "cleanupsRemaining": 12,
        "lastError": "last",
    }
    assert as_json(operation)["plan"] is None


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, None),
        (1_800_000_000_999, "2027-01-15T08:00:00Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59Z"),
        (253_402_300_800_000, None),
        (10**20, None),
    ],
)
def test_a_time_that_nobody_can_write_down_is_none(ms: int, text: str | None) -> None:
    """The end of a drain of terabytes that began with a few bytes a second: the list of all operations was answered 500 for it."""
    assert as_time(ms) == text
