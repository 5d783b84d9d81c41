"""What is understood of a pod's answer, and that its silence is never taken for one."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from tests.support.manifests import self_signed_certificate

from s3o_operator.fleet.client import AdminClient, Peer
from s3o_operator.fleet.errors import Busy, NotFound, NotLetIn, Refused, Unreachable
from s3o_operator.metrics import Metrics

TOKEN = "token-of-the-pods"
OPERATION = {"id": "7", "kind": "Drain", "subject": "uid", "token": "t", "state": "Running"}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def pod(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """The URL of something that answers every request by `handler`."""
    runner = web.AppRunner(web.Application(), access_log=None, shutdown_timeout=0, handler_cancellation=True)
    runner.app.router.add_route("*", "/{path:.*}", handler)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener, ssl_context=tls).start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def client() -> AsyncIterator[AdminClient]:
    made = AdminClient(Metrics(), timeout_s=1.5)
    yield made
    await made.close()


def says(status: int, answer: object) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        return web.json_response(answer, status=status)

    return handler


async def hangs(_: web.Request) -> web.Response:
    await asyncio.sleep(60)
    return web.Response()


def peer(url: str, name: str = "one", fingerprints: tuple[bytes, ...] = ()) -> Peer:
    return Peer(name, url, TOKEN, fingerprints)


async def test_the_token_is_sent_and_the_answer_is_returned(client: AdminClient) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response({"who": request.headers["authorization"], "what": f"{request.method} {request.path}"})

    async with pod(handler) as url:
        assert await client.reload(peer(url)) == {"who": f"Bearer {TOKEN}", "what": "POST /admin/api/reload"}


@pytest.mark.parametrize(
    ("status", "answer", "kind"),
    [
        (400, {"error": "no such kind"}, Refused),
        (401, {"error": "a valid bearer token is needed"}, NotLetIn),
        (404, {"error": "no such operation"}, NotFound),
        (404, "<Error><Code>NoSuchBucket</Code></Error>", Unreachable),
        (404, {"Code": "NoSuchBucket"}, Unreachable),
        (500, {"error": "the database is away"}, Unreachable),
        (503, "", Unreachable),
        (302, {}, Unreachable),
        (200, "no object", Unreachable),
    ],
)
async def test_an_answer_is_what_the_admin_api_said_and_nothing_else_is(
    status: int, answer: object, kind: type[Exception], client: AdminClient
) -> None:
    async with pod(says(status, answer)) as url:
        with pytest.raises(kind, match="pod one: GET /admin/api/status") as refused:
            await client.status(peer(url))
    assert type(refused.value) is kind


async def test_a_conflict_brings_what_is_in_the_way(client: AdminClient) -> None:
    async with pod(says(409, {"error": "another drain is active", "operation": {"id": "7"}})) as url:
        with pytest.raises(Busy) as busy:
            await client.create_operation([peer(url)], {"kind": "Drain"})
    assert busy.value.answer["operation"] == {"id": "7"}


async def test_a_pod_that_hangs_or_is_gone_is_passed_over(client: AdminClient) -> None:
    async with pod(hangs) as hung, pod(says(200, {"hello": "you"})) as other, pod(says(200, OPERATION)) as well:
        peers = [peer(hung, "hung"), peer("http://127.0.0.1:1", "gone"), peer(other, "other"), peer(well, "well")]
        assert await client.find_operation(peers, "7") == OPERATION
        with pytest.raises(Unreachable, match=r"pod hung: .*no answer within 1.5 s; pod gone: .*no operation"):
            await client.find_operation(peers[:3], "7")


async def test_only_what_a_pod_denies_is_absent(client: AdminClient) -> None:
    async with pod(says(404, {"error": "no such operation"})) as url:
        assert await client.find_operation([peer(url)], "7") is None
    with pytest.raises(Unreachable, match="no pod is ready"):
        await client.find_operation([], "7")


async def test_what_a_backend_still_holds_is_told_and_a_forgotten_one_is_fine(client: AdminClient) -> None:
    async with pod(says(409, {"error": "3 copies are left", "copies": 3})) as url:
        with pytest.raises(Busy, match="3 copies are left"):
            await client.forget_backend([peer(url)], "b2")
    async with pod(says(404, {"error": "no such backend"})) as url:
        await client.forget_backend([peer(url)], "b2")

    async def forgets(_: web.Request) -> web.Response:
        return web.Response(status=204)

    async with pod(forgets) as url:
        await client.forget_backend([peer(url)], "b2")


async def test_a_list_that_is_none_is_no_empty_list(client: AdminClient) -> None:
    async with pod(says(200, {"operations": None})) as url:
        with pytest.raises(Unreachable, match="without a list of operations"):
            await client.list_operations([peer(url)], "uid")


async def test_an_answer_without_an_end_is_given_up(client: AdminClient) -> None:
    async def floods(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 2**20)

    async with pod(floods) as url:
        with pytest.raises(Unreachable, match=r"more than 16777216 bytes|no answer within"):
            await client.status(peer(url))


async def test_over_https_the_token_goes_only_to_who_shows_the_certificate(client: AdminClient, tmp_path: Path) -> None:
    certificate, private_key = self_signed_certificate(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, private_key)
    right = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.read_text())).digest()
    asked: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.headers["authorization"])
        return web.json_response({"generation": 1})

    async with pod(handler, tls) as url:
        for wrong in ((), (bytes(32),), (bytes(32), bytes(range(32)))):
            with pytest.raises(Unreachable, match="certificate"):
                await client.status(peer(url, fingerprints=wrong))
        assert asked == []
        # While a certificate is renewed, pods show the old one until they have seen the new one.
        assert await client.status(peer(url, fingerprints=(bytes(32), right))) == {"generation": 1}
