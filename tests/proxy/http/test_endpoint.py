"""The story of a request: who is let in, what our own failures look like, what is recorded, and what is not S3's."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tests.support.dictionary import (
    BUCKET,
    TOKEN,
    Dictionary,
    DictionaryEdge,
    code_of,
    dictionary,
    is_alive,
    one_request_over,
    request_head,
    talking,
)
from tests.support.edge import connected, serving

from s3o_crds.compiled import ServerConfig
from s3o_proxy.config.snapshot import Credential
from s3o_proxy.domain.errors import AllBackendsFailed
from s3o_proxy.s3 import operation as ops
from s3o_proxy.s3.body import Body

DATA = bytes(100_000)


@pytest.fixture
def access_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "s3o_proxy.access")


# --- failures of ours ----------------------------------------------------------------------------------------------------------------


class Failing(Dictionary):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    async def perform(self, credential: Credential, operation: ops.Operation, body: Body) -> ops.Result:
        raise self._error


async def test_a_fault_of_ours_is_an_internal_error_and_tells_nothing_of_itself(caplog: pytest.LogCaptureFixture) -> None:
    async with talking(Failing(ZeroDivisionError("the details"))) as (client, _):
        response = await client.ask(request_head("GET", f"/{BUCKET}/key"))
        assert (response.status, code_of(response)) == (500, "InternalError")
        assert b"details" not in response.body
    (record,) = caplog.records
    assert record.exc_info is not None
    assert vars(record)["request_id"] == response.headers["x-amz-request-id"]


async def test_what_backends_said_stands_in_the_log_and_not_in_the_answer(caplog: pytest.LogCaptureFixture) -> None:
    async with talking(Failing(AllBackendsFailed({"b2": "refused"}))) as (client, _):
        response = await client.ask(request_head("PUT", f"/{BUCKET}/key", {"Content-Length": 0}))
        assert (response.status, response.headers["retry-after"]) == (503, "5")
        assert b"b2" not in response.body
    assert "b2: refused" in caplog.text


async def test_a_worker_answers_its_site_and_no_s3() -> None:
    edge = DictionaryEdge(Dictionary(), serves_s3=False)
    async with serving(edge.endpoint, None, edge.readiness) as served, connected(served.port) as client:
        response = await client.ask(request_head("GET", f"/{BUCKET}/key"))
        assert (response.status, code_of(response)) == (503, "ServiceUnavailable")
        assert (await client.ask(request_head("GET", "/health/ready", token=""))).status == 200


# --- admission -----------------------------------------------------------------------------------------------------------------------


class Gated(Dictionary):
    """Every operation waits for the gate."""

    def __init__(self, server: ServerConfig) -> None:
        super().__init__(server)
        self.gate, self.waiting = asyncio.Event(), asyncio.Semaphore(0)

    async def perform(self, credential: Credential, operation: ops.Operation, body: Body) -> ops.Result:
        self.waiting.release()
        await self.gate.wait()
        return await super().perform(credential, operation, body)


async def test_more_requests_than_allowed_are_told_to_slow_down_and_places_come_free_again() -> None:
    application = Gated(ServerConfig(max_concurrent_requests=2))
    async with (
        dictionary(application) as (served, edge),
        connected(served.port) as one,
        connected(served.port) as two,
        connected(served.port) as three,
    ):
        listing = request_head("GET", f"/{BUCKET}?list-type=2")
        for client in (one, two):
            client.send(listing)
            await application.waiting.acquire()
        refused = await three.ask(listing)
        assert (refused.status, code_of(refused), refused.headers["retry-after"]) == (503, "SlowDown", "1")
        # A client that goes away gives its place back.
        two.writer.transport.abort()
        await one_request_over(served)
        three.send(listing)
        await application.waiting.acquire()
        application.gate.set()
        assert [(await one.response()).status, (await three.response()).status] == [200, 200]
        exposition = edge.metrics.render()[0].decode()
        assert 's3o_inflight_requests{method="GET"} 0' in exposition
        assert "s3o_admission_rejections_total 1" in exposition
        assert 's3o_requests_total{method="GET",status_code="499"} 1' in exposition


# --- beside S3 -----------------------------------------------------------------------------------------------------------------------


async def test_health_and_metrics_are_answered_without_proof_on_the_same_connection() -> None:
    async with talking() as (client, edge):
        for path, status in [("/health", 200), ("/health/ready", 200), ("/metrics", 200)]:
            response = await client.ask(request_head("GET", path, token=""))
            assert response.status == status, path
        assert b"s3o_requests_total" in response.body
        head_of_health = request_head("HEAD", "/health", token="")
        client.send(head_of_health)
        assert (await client.response(bodiless=True)).status == 200
        edge.readiness.stop()
        response = await client.ask(request_head("GET", "/health/ready", token=""))
        assert (response.status, json.loads(response.body)) == (503, {"status": "not ready", "reason": "Stopping"})
        assert (await client.ask(request_head("GET", "/health", token=""))).status == 200
        assert await is_alive(client)


@pytest.mark.parametrize(
    "accept", ["application/openmetrics-text; version=x", "application/openmetrics-text;version=1.0.0;escaping=y,;=", ";"]
)
async def test_metrics_are_told_whatever_a_scraper_says_it_accepts(accept: str) -> None:
    async with talking() as (client, _):
        response = await client.ask(request_head("GET", "/metrics", {"Accept": accept}, token=""))
        assert response.status == 200
        assert response.body.endswith(b"# EOF\n") is accept.startswith("application/")


async def test_whoever_scrapes_on_many_connections_at_once_has_the_metrics_rendered_once_or_twice() -> None:
    async with dictionary() as (served, edge), AsyncExitStack() as stack:
        rendered: list[str] = []
        render = edge.metrics.render

        def counted(accept: str = "") -> tuple[bytes, str]:
            rendered.append(accept)
            time.sleep(0.05)  # As of a hundred backends.
            return render(accept)

        edge.metrics.render = counted  # type: ignore[method-assign]  # counted for this test
        clients = [await stack.enter_async_context(connected(served.port)) for _ in range(20)]
        async with asyncio.TaskGroup() as group:
            asking = [group.create_task(each.ask(request_head("GET", "/metrics", token=""))) for each in clients]
        assert {each.result().status for each in asking} == {200}
        assert len(rendered) <= 3


async def test_a_fault_of_the_admin_api_is_answered_and_logged_and_the_connection_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(_: Request) -> Response:
        raise ZeroDivisionError("the details")

    edge = DictionaryEdge(Dictionary(), [Route("/admin/api/status", fail)])
    async with serving(edge.endpoint) as served, connected(served.port) as client:
        response = await client.ask(request_head("GET", "/admin/api/status", token=""))
        assert response.status == 500
        assert b"details" not in response.body
        assert await is_alive(client)
    (record,) = caplog.records
    assert (record.message, record.exc_info is not None) == ("GET /admin/api/status failed", True)


@pytest.mark.parametrize(
    ("method", "path", "token", "code"),
    [
        ("GET", "/health", TOKEN, "AccessDenied"),  # A bucket of this name, of others or of nobody.
        ("PUT", "/metrics", "", "AccessDenied"),
        ("GET", "/health/other", "", "AccessDenied"),
        ("GET", "/metrics/", "", "AccessDenied"),
        ("GET", "/metrics?X-Amz-Signature=0", "", "AuthorizationQueryParametersError"),
    ],
)
async def test_everything_else_is_a_matter_of_s3(method: str, path: str, token: str, code: str) -> None:
    async with talking() as (client, _):
        response = await client.ask(request_head(method, path, {"Content-Length": 0}, token=token))
        assert code_of(response) == code


# --- what is recorded ----------------------------------------------------------------------------------------------------------------


async def test_a_request_leaves_one_line_without_its_secrets(access_lines: None) -> None:
    async with talking() as (client, edge):
        client.send(request_head("PUT", f"/{BUCKET}/key?x-id=PutObject", {"Content-Length": len(DATA)}) + DATA)
        response = await client.response()
        edge.access_log.flush()
        line = json.loads(edge.log.getvalue())
        assert line["message"] == f"PUT /{BUCKET}/key 200"
        assert (line["request_id"], line["credential"]) == (response.headers["x-amz-request-id"], f"{BUCKET}/token")
        assert (line["operation"], line["status"], line["code"]) == ("PutObject", 200, "")
        assert (line["received_bytes"], line["sent_bytes"]) == (len(DATA), 0)
        assert line["peer"].startswith("127.0.0.1:")
        assert TOKEN.encode() not in edge.log.getvalue()
