"""The admin API: for whoever holds the token, and for nobody when there is none; never in the way of a bucket's keys."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Never

import pytest
from tests.support.dictionary import BUCKET, Dictionary, DictionaryEdge, code_of, is_alive, request_head
from tests.support.edge import WireClient, connected, serving

from s3o_crds.compiled import BackendConfig, BucketConfig, FleetConfig, ServerConfig
from s3o_proxy.config.snapshot import Snapshot, take_snapshot
from s3o_proxy.domain.model import BucketUsage, Usage
from s3o_proxy.http.admin import Status, admin_routes, status_of
from s3o_proxy.workers.check_backends import Check

ADMIN = "admin-token"
BEARER = {"Authorization": f"Bearer {ADMIN}"}


def snapshot_of(generation: int) -> Snapshot:
    keys = {"access_key_id": "ns/keys/id", "secret_access_key": "ns/keys/key"}
    backends = tuple(
        BackendConfig(name=name, endpoint="http://localhost", region="r", bucket="b", quota_bytes=quota, **keys)
        for name, quota in (("one", 1000), ("two", None))
    )
    config = FleetConfig(
        name="main",
        generation=generation,
        digest=f"digest-{generation}",
        backends=backends,
        buckets=(BucketConfig(name="photos"), BucketConfig(name="new")),
    )
    return take_snapshot(config, {"ns/keys/id": "id", "ns/keys/key": "key"})


@dataclass
class Process:
    """One that serves what it is told at its second look."""

    instance: str = "instance"
    snapshot: Snapshot = field(default_factory=lambda: snapshot_of(1))
    database_id: str = "5f0c"
    config_refusal: tuple[str, ...] = ("the change was half written",)
    usage: dict[str, Usage] = field(default_factory=lambda: {"one": Usage("one", 5, 3, 2, 4)})
    registrations: dict[str, int] = field(default_factory=lambda: {"one": 1_795_000_000_123})
    queue_depths: dict[str, int] = field(default_factory=lambda: {"intents": 2})
    bucket_usage: dict[str, BucketUsage] = field(
        default_factory=lambda: {name: BucketUsage(name, 3, 5) for name in ("photos", "of before")}
    )
    checks: dict[str, Check] = field(default_factory=lambda: {"one": Check("Unreachable", "no answer")})
    hangs: bool = False

    async def why_not_ready(self) -> list[str]:
        await asyncio.sleep(60 if self.hangs else 0)
        return ["the database is away"]

    async def reload(self) -> Status:
        self.snapshot, self.config_refusal = snapshot_of(2), ()
        return await status_of(self)


class NoDesk:
    """Nobody asks for operations here."""

    def __getattr__(self, verb: str) -> Never:
        raise AssertionError(verb)


@asynccontextmanager
async def administered(
    token: str = ADMIN, application: Dictionary | None = None, process: Process | None = None
) -> AsyncIterator[WireClient]:
    process = process or Process()
    edge = DictionaryEdge(application or Dictionary(), admin_routes(lambda: status_of(process), process.reload, NoDesk(), token))
    async with serving(edge.endpoint, None, edge.readiness) as served, connected(served.port) as client:
        yield client


async def test_the_status_says_what_is_served_and_what_it_holds() -> None:
    async with administered() as client:
        response = await client.ask(request_head("GET", "/admin/api/status", BEARER, token=""))
        assert response.status == 200
        assert json.loads(response.body) == {
            "instance": "instance",
            "generation": 1,
            "digest": "digest-1",
            "databaseId": "5f0c",
            "configRefusal": ["the change was half written"],
            "backends": {
                "one": {
                    "used": 5,
                    "orphan": 3,
                    "reserved": 2,
                    "objects": 4,
                    "quota": 1000,
                    "registeredAt": "2026-11-18T11:06:40.123Z",
                    "check": {"reason": "Unreachable", "message": "no answer"},
                },
                "two": {"used": 0, "orphan": 0, "reserved": 0, "objects": 0, "quota": None, "registeredAt": None, "check": None},
            },
            "buckets": {"photos": {"objects": 3, "bytes": 5}},
            "troubles": ["the database is away"],
            "queueDepths": {"intents": 2},
        }


async def test_a_database_that_hangs_is_a_trouble_and_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s3o_proxy.http.admin._PATIENCE_S", 0.05)
    async with administered(process=Process(hangs=True)) as client:
        response = await client.ask(request_head("GET", "/admin/api/status", BEARER, token=""))
        assert json.loads(response.body)["troubles"] == ["the database did not answer within 0.05 s"]


async def test_a_reload_looks_at_the_configuration_before_it_answers() -> None:
    async with administered() as client:
        response = await client.ask(request_head("POST", "/admin/api/reload", BEARER, token=""))
        assert (response.status, json.loads(response.body)["generation"], json.loads(response.body)["configRefusal"]) == (200, 2, [])
        assert (await client.ask(request_head("GET", "/admin/api/reload", BEARER, token=""))).status == 405
        assert await is_alive(client)


@pytest.mark.parametrize("authorization", ["", f"Bearer {ADMIN}x", f"bearer {ADMIN}", "Bearer ", "Bearer é"])
async def test_without_the_token_nothing_is_told(authorization: str) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    async with administered() as client:
        for method, path in (("GET", "/admin/api/status"), ("POST", "/admin/api/reload")):
            response = await client.ask(request_head(method, path, headers, token=""))
            assert (response.status, response.headers.get("www-authenticate")) == (401, 'Bearer realm="s3-orchestrator"')
            assert b"digest" not in response.body


async def test_a_path_that_is_no_ascii_does_not_come_as_far_as_here(caplog: pytest.LogCaptureFixture) -> None:
    async with administered() as client:
        client.send("GET /admin/api/é HTTP/1.1\r\nHost: localhost\r\n\r\n".encode("latin-1"))
        assert (await client.response()).status == 400
    assert caplog.records == []


async def test_without_a_token_in_the_environment_there_is_no_admin_api() -> None:
    async with administered(token="") as client:
        for headers in ({}, BEARER, {"Authorization": "Bearer "}):
            assert (await client.ask(request_head("GET", "/admin/api/status", headers, token=""))).status == 404


async def test_a_key_of_that_name_in_a_bucket_that_the_host_names_is_an_object() -> None:
    application = Dictionary(ServerConfig(virtual_host_domain="s3.example.com"))
    async with administered(application=application) as client:
        host = {"Host": f"{BUCKET}.s3.example.com", "Content-Length": 5}
        client.send(request_head("PUT", "/admin/api/status", host) + b"bytes")
        assert (await client.response()).status == 200
    assert list(application.objects) == ["admin/api/status"]


async def test_with_a_proof_of_s3_the_path_is_a_matter_of_s3() -> None:
    async with administered() as client:
        assert code_of(await client.ask(request_head("GET", "/admin/api/status"))) == "AccessDenied"
