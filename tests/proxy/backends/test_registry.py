"""Backends come, change and go while they are used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest

from s3o_crds.compiled import BackendConfig
from s3o_proxy.backends.memory import MemoryBackend
from s3o_proxy.backends.registry import Backends
from s3o_proxy.domain.errors import BackendUnavailable

SECRETS = {"ns/s/id": "id", "ns/s/key": "key"}


class Opener:
    """Opens backends in memory, and remembers them in order."""

    def __init__(self) -> None:
        self.opened: list[MemoryBackend] = []

    async def __call__(self, config: BackendConfig, secrets: Mapping[str, str]) -> MemoryBackend:
        if config.access_key_id not in secrets:
            raise ValueError(f"secret {config.access_key_id} has no value")
        self.opened.append(MemoryBackend(config.name))
        return self.opened[-1]


@pytest.fixture
def opener() -> Opener:
    return Opener()


@pytest.fixture
async def backends(opener: Opener) -> AsyncIterator[Backends]:
    backends = Backends(lambda _: None, opener)
    yield backends
    await backends.close()
    assert all(backend.closed for backend in opener.opened)


def config(name: str, **changes: object) -> BackendConfig:
    fields: dict[str, object] = {
        "name": name,
        "endpoint": "http://127.0.0.1:1",
        "region": "us-east-1",
        "bucket": "bucket",
        "access_key_id": "ns/s/id",
        "secret_access_key": "ns/s/key",
    }
    return BackendConfig.model_validate(fields | changes)


async def body() -> AsyncIterator[bytes]:
    yield b"content"


async def test_a_name_that_is_not_configured_is_unavailable(backends: Backends) -> None:
    with pytest.raises(BackendUnavailable, match="not configured"):
        backends.get("b1")


async def test_backends_come_and_go(backends: Backends, opener: Opener) -> None:
    await backends.apply([config("b1"), config("b2")], SECRETS)
    assert list(backends.all()) == ["b1", "b2"]
    b1 = backends.get("b1")
    await b1.put("key", body(), 7)
    await backends.apply([config("b2"), config("b3")], SECRETS)
    assert sorted(backends.all()) == ["b2", "b3"]
    with pytest.raises(BackendUnavailable):
        backends.get("b1")
    with pytest.raises(BackendUnavailable):
        await b1.head("key")


async def test_only_what_changed_is_opened_again(backends: Backends, opener: Opener) -> None:
    await backends.apply([config("b1"), config("b2")], SECRETS)
    await backends.apply([config("b1", order=7, quota_bytes=5, accepts_writes=False), config("b2")], SECRETS)
    assert len(opener.opened) == 2
    await backends.apply([config("b1", endpoint="http://127.0.0.1:2"), config("b2")], SECRETS)
    assert [backend.name for backend in opener.opened] == ["b1", "b2", "b1"]


async def test_a_rotated_secret_opens_again_and_what_was_given_out_stays_valid(backends: Backends, opener: Opener) -> None:
    await backends.apply([config("b1")], SECRETS)
    given_out = backends.get("b1")
    await backends.apply([config("b1")], {**SECRETS, "ns/s/key": "rotated"})
    await given_out.put("key", body(), 7)
    assert [list(backend.objects) for backend in opener.opened] == [[], ["key"]]
    assert opener.opened[0].closed


async def test_the_old_client_lives_until_its_calls_have_ended(backends: Backends, opener: Opener) -> None:
    await backends.apply([config("b1")], SECRETS)
    old = opener.opened[0]
    fault = old.stall("put", at="received")
    putting = asyncio.create_task(backends.get("b1").put("key", body(), 7))
    await fault.reached.wait()
    await backends.apply([config("b1", region="eu-west-1")], SECRETS)
    await asyncio.sleep(0)
    assert not old.closed
    fault.release()
    await putting
    await asyncio.sleep(0.01)
    assert old.closed


async def test_a_generation_that_cannot_be_opened_changes_nothing(backends: Backends, opener: Opener) -> None:
    await backends.apply([config("b1")], SECRETS)
    with pytest.raises(ValueError, match="ns/s/other"):
        await backends.apply([config("b2"), config("b3", access_key_id="ns/s/other")], SECRETS)
    assert list(backends.all()) == ["b1"]
    await backends.get("b1").put("key", body(), 7)
    assert [backend.closed for backend in opener.opened] == [False, True], "what was opened in vain is closed"


async def test_close_does_not_wait_for_calls_in_flight(backends: Backends, opener: Opener) -> None:
    await backends.apply([config("b1")], SECRETS)
    fault = opener.opened[0].stall("put", at="received")
    putting = asyncio.create_task(backends.get("b1").put("key", body(), 7))
    await fault.reached.wait()
    await backends.apply([], SECRETS)
    await backends.close()
    assert opener.opened[0].closed
    fault.release()
    await putting
