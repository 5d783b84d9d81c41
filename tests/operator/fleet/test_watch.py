"""Pods are told of a new configuration and asked what they serve; what they say anew is work, and nothing else is."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from tests.operator.fleet.test_client import TOKEN, Handler, hangs, pod, says
from tests.support import resources
from tests.support.manifests import self_signed_certificate

from s3o_operator.fleet.client import AdminClient
from s3o_operator.fleet.watch import FleetWatch, Pace
from s3o_operator.metrics import Metrics
from s3o_operator.observe.cache import Cache
from s3o_operator.plan.contacts import Contact
from s3o_operator.plan.manifests.config import DIGEST, GENERATION
from s3o_operator.plan.observed import Key, Object
from s3o_operator.queue import WorkQueue

KEY = Key("default", "main")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class World:
    """A cache that tests write to, pods that tests answer for, and the watch between them."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.clock, self.cache, self.version = Clock(), Cache(), 0
        self.queue = WorkQueue(self.clock)
        self._stack = stack
        client = AdminClient(Metrics(), timeout_s=1)
        stack.push_async_callback(client.close)
        self.watch = FleetWatch(client, self.cache, self.queue, self.clock, Pace(figures_s=30))
        self.put(resources.orchestrator())
        self.put(_secret("main-admin", {"token": TOKEN}))
        self.write(1)

    def put(self, document: Object) -> None:
        self.version += 1
        name = document["metadata"]["name"]
        own = {"namespace": "default", "uid": f"uid-of-{name}", "resourceVersion": str(self.version)}
        self.cache.put({**document, "metadata": {**document["metadata"], **own}})

    def write(self, generation: int, certificate: str = "") -> None:
        """A configuration of this number, for pods that serve https with `certificate`."""
        tls = {"tls": {"certificate": "default/some/tls.crt", "privateKey": "default/some/tls.key"}} if certificate else {}
        values = {"default/some/tls.crt": certificate}
        files = {"config.json": {"name": "main", "server": tls, "backends": [], "buckets": []}, "secrets.json": values}
        document = _secret("main-config", {name: json.dumps(content) for name, content in files.items()})
        document["metadata"]["annotations"] = {GENERATION: str(generation), DIGEST: f"digest-{generation}"}
        self.put(document)

    async def add_pod(self, name: str, handler: Handler, tls: ssl.SSLContext | None = None) -> None:
        url = await self._stack.enter_async_context(pod(_answering(handler), tls))
        labels = {"app.kubernetes.io/instance": "main", "app.kubernetes.io/component": "proxy"}
        container: Object = {"name": "proxy", "ports": [{"name": "s3", "containerPort": urlsplit(url).port}]}
        container["readinessProbe"] = {"httpGet": {"scheme": "HTTPS" if tls else "HTTP"}}
        conditions = [{"type": "Ready", "status": "True"}]
        document: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}}
        document |= {"spec": {"nodeName": "n", "containers": [container]}}
        self.put(document | {"status": {"phase": "Running", "podIP": "127.0.0.1", "conditions": conditions}})

    def contact(self, name: str) -> Contact:
        return self.watch.contacts(KEY)[f"uid-of-{name}"]

    async def work(self) -> bool:
        """Whether the key was made work since the last time that this was asked."""
        if not len(self.queue):
            return False
        self.queue.done(await self.queue.take())
        return True


class Pod:
    """Serves generation `serves` until it is told to look, and then `mounted`. `asked`: paths, in order."""

    def __init__(self, serves: int = 1) -> None:
        self.serves = self.mounted = serves
        self.objects = 0
        self.asked: list[str] = []

    async def __call__(self, request: web.Request) -> web.Response:
        self.asked.append(request.path.rsplit("/", 1)[1])
        if request.path.endswith("/reload"):
            self.serves = self.mounted
        backend = {"used": self.objects, "orphan": 0, "objects": self.objects, "quota": None, "check": {"reason": ""}}
        return web.json_response({"generation": self.serves, "digest": f"digest-{self.serves}", "backends": {"one": backend}})


def _answering(handler: Handler) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        return await handler(request)

    return answer


def _secret(name: str, values: dict[str, str]) -> Object:
    data = {key: base64.b64encode(text.encode()).decode() for key, text in values.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        yield World(stack)


async def test_before_a_first_plan_every_pod_is_asked(world: World) -> None:
    await world.add_pod("p0", Pod())
    await world.add_pod("p1", says(500, {"error": "a mistake"}))
    await world.watch.meet(KEY)
    first = world.contact("p0").report
    assert first is not None
    assert first.generation == 1
    assert world.contact("p1").report is None
    assert "a mistake" in world.contact("p1").error
    assert not await world.work()


async def test_a_new_configuration_is_told_until_it_is_served(world: World) -> None:
    one = Pod()
    await world.add_pod("p0", one)
    await world.watch.meet(KEY)
    world.watch.look(KEY)
    assert await world.watch.visit(KEY) == Pace().rest_s
    world.write(2)
    assert await world.watch.visit(KEY) == pytest.approx(Pace().soon_s * Pace().growth)
    one.mounted = 2
    assert await world.watch.visit(KEY) == Pace().rest_s
    assert one.asked == ["reload", "status", "reload", "reload"]
    assert await world.work()


async def test_pods_that_serve_a_change_at_once_are_heard_before_it_is_reported(world: World) -> None:
    told, slow = Pod(), Pod()
    await world.add_pod("a", told)
    assert await world.watch.hear(KEY)
    assert not await world.watch.hear(KEY)
    world.write(2)
    told.mounted = 2
    assert await world.watch.hear(KEY)
    report = world.contact("a").report
    assert report is not None
    assert report.generation == 2
    world.write(3)
    assert not await world.watch.hear(KEY)
    await world.add_pod("b", slow)
    assert await world.watch.hear(KEY)


async def test_visits_of_one_fleet_do_not_overtake_each_other(world: World) -> None:
    one = Pod()
    asked, answers = asyncio.Event(), asyncio.Event()

    async def late(request: web.Request) -> web.Response:
        said = await one(request)
        if len(one.asked) == 2:
            asked.set()
            await answers.wait()
        return said

    await world.add_pod("a", late)
    await world.watch.meet(KEY)
    async with asyncio.TaskGroup() as visits:
        visits.create_task(world.watch.visit(KEY))
        await asked.wait()
        world.write(2)
        one.mounted = 2
        visits.create_task(world.watch.visit(KEY))
        answers.set()
    assert one.asked == ["reload", "status", "reload"]
    report = world.contact("a").report
    assert report is not None
    assert report.generation == 2


async def test_visits_that_find_nothing_new_are_no_work(world: World) -> None:
    one = Pod()
    await world.add_pod("p0", one)
    await world.watch.meet(KEY)
    world.watch.look(KEY)
    for _ in range(3):
        await world.watch.visit(KEY)
    assert not await world.work()


async def test_figures_are_news_only_now_and_then(world: World) -> None:
    one = Pod()
    await world.add_pod("p0", one)
    world.watch.look(KEY)
    await world.watch.visit(KEY)
    assert await world.work()
    one.objects = 5
    await world.watch.visit(KEY)
    assert not await world.work()
    world.clock.now = 31
    await world.watch.visit(KEY)
    assert await world.work()
    report = world.contact("p0").report
    assert report is not None
    assert report.backends["one"].objects == 5


async def test_a_pod_that_hangs_holds_up_no_other_and_keeps_what_it_said(world: World) -> None:
    one = Pod()
    await world.add_pod("p0", one)
    await world.add_pod("p1", hangs)
    world.watch.look(KEY)
    await world.watch.visit(KEY)
    assert world.contact("p0").report is not None
    assert "no answer within" in world.contact("p1").error


async def test_what_others_say_is_told_before_one_that_hangs_has_used_up_its_time(world: World) -> None:
    world.watch._pace = Pace(patience_s=0.05)
    await world.add_pod("p0", Pod())
    await world.add_pod("p1", hangs)
    world.watch.look(KEY)
    visit = asyncio.create_task(world.watch.visit(KEY))
    assert await world.queue.take() == KEY
    assert not visit.done()
    assert (world.contact("p0").report is None, world.contact("p1")) == (False, Contact())
    await visit
    assert "no answer" in world.contact("p1").error


async def test_what_a_pod_served_it_serves_while_it_is_silent(world: World) -> None:
    answers: list[Handler] = [says(200, {"generation": 1, "digest": "digest-1"}), says(200, {"generation": "garbage"})]

    async def handler(request: web.Request) -> web.StreamResponse:
        found = await answers[min(len(asked), 1)](request)
        asked.append(request.path)
        return found

    asked: list[str] = []
    await world.add_pod("p0", handler)
    world.watch.look(KEY)
    await world.watch.visit(KEY)
    await world.watch.visit(KEY)
    contact = world.contact("p0")
    assert contact.report is not None
    assert (contact.report.generation, contact.error) == (1, "pod p0: a status without generation and digest")


async def test_of_an_orchestrator_that_is_gone_nobody_is_asked(world: World) -> None:
    one = Pod()
    await world.add_pod("p0", one)
    world.watch.look(KEY)
    await world.watch.visit(KEY)
    orchestrator = next(world.cache.all("S3Orchestrator"))
    world.cache.remove(orchestrator)
    world.watch.look(KEY)
    await world.watch.visit(KEY)
    assert await world.watch.visit(KEY) is None
    assert (len(one.asked), world.watch.contacts(KEY), world.watch.peers(KEY)) == (1, {}, [])


async def test_only_ready_pods_are_peers(world: World) -> None:
    await world.add_pod("p0", Pod())
    assert [peer.name for peer in world.watch.peers(KEY)] == ["p0"]
    there = next(world.cache.all("Pod"))
    world.put(there | {"status": there["status"] | {"conditions": []}})
    assert world.watch.peers(KEY) == []


async def test_a_backend_that_was_not_tried_yet_is_asked_about_soon(world: World) -> None:
    untried = {"used": 0, "orphan": 0, "objects": 0, "quota": None, "check": None}
    await world.add_pod("p0", says(200, {"generation": 1, "digest": "digest-1", "backends": {"one": untried}}))
    world.watch.look(KEY)
    assert await world.watch.visit(KEY) == pytest.approx(Pace().soon_s * Pace().growth)


async def test_over_https_pods_are_known_by_the_certificate_that_they_mount(world: World, tmp_path: Path) -> None:
    """Whoever made it: the spec names no Secret here, as it does not when cert-manager issues the certificate."""
    certificate, private_key = self_signed_certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, private_key)
    await world.add_pod("p0", Pod(), tls)
    world.watch.look(KEY)
    await world.watch.visit(KEY)
    assert "its certificate is not known" in world.contact("p0").error
    world.write(1, certificate.read_text())
    await world.watch.visit(KEY)
    assert (world.contact("p0").report is None, world.contact("p0").error) == (False, "")
    # Renewed: until the pod has seen the new one, it shows the old.
    (tmp_path / "new").mkdir()
    world.write(2, self_signed_certificate(tmp_path / "new")[0].read_text())
    await world.watch.visit(KEY)
    assert world.contact("p0").error == ""
    world.write(3)
    await world.watch.visit(KEY)
    assert world.contact("p0").error == ""
