"""What is known of operations is what a pod said last; silence is not knowing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from s3o_operator.fleet.client import AdminClient, Answer, Peer
from s3o_operator.fleet.errors import Unreachable
from s3o_operator.fleet.operations import Operations
from s3o_operator.metrics import Metrics
from s3o_operator.plan.actions import CancelOperation, ForgetBackend, StartOperation
from s3o_operator.plan.observed import Key, Ref

KEY = Key("default", "main")
REF = Ref("StorageBackend", "default", "one")
PEER = Peer("pod", "http://127.0.0.1:1", "token")


class Heard(AdminClient):
    """A pod that says what a test wants; the calls themselves are tested in test_client.py."""

    def __init__(self) -> None:
        super().__init__(Metrics())
        self.silent = False
        self.there: list[Answer] = []
        self.forgotten: list[str] = []

    async def list_operations(self, peers: Sequence[Peer], subject: str = "") -> list[Answer]:
        self._speak()
        return list(self.there)

    async def create_operation(self, peers: Sequence[Peer], operation: Mapping[str, Any]) -> Answer:
        self._speak()
        return {"id": "op", "state": "Pending", **operation}

    async def cancel_operation(self, peers: Sequence[Peer], operation_id: str) -> Answer:
        self._speak()
        return {"id": operation_id, "state": "Cancelled"}

    async def forget_backend(self, peers: Sequence[Peer], name: str) -> None:
        self._speak()
        self.forgotten.append(name)

    def _speak(self) -> None:
        if self.silent:
            raise Unreachable("no answer")


async def test_silence_is_not_knowing() -> None:
    heard = Heard()
    operations = Operations(heard, lambda key: [PEER])
    assert operations.known(KEY) is None
    await operations.look(KEY)
    assert operations.known(KEY) == ()
    heard.silent = True
    await operations.look(KEY)
    assert operations.known(KEY) is None


async def test_they_are_asked_for_once_a_minute_though_nobody_wants_to_know() -> None:
    seconds, peers = [0.0], [PEER]
    operations = Operations(Heard(), lambda key: peers, lambda: seconds[0])
    assert operations.is_due(KEY)
    await operations.look(KEY)
    seconds[0] = 59
    assert not operations.is_due(KEY)
    seconds[0] = 60
    assert operations.is_due(KEY)
    await operations.look(KEY)
    peers.clear()
    await operations.look(KEY)
    assert operations.is_due(KEY)


async def test_without_pods_nobody_is_asked() -> None:
    operations = Operations(Heard(), lambda key: [])
    await operations.look(KEY)
    assert operations.known(KEY) is None


async def test_an_answer_is_known_at_once() -> None:
    operations = Operations(Heard(), lambda key: [PEER])
    await operations.look(KEY)
    await operations.do(KEY, StartOperation(REF, "u1", "Drain", "t1", backend="one"))
    assert operations.known(KEY) == ({"id": "op", "state": "Pending", "kind": "Drain", "subject": "u1", "token": "t1", "backend": "one"},)
    await operations.do(KEY, CancelOperation(REF, "u1", "op", "Drain"))
    assert [one["state"] for one in operations.known(KEY) or ()] == ["Cancelled"]


async def test_what_cannot_be_done_is_an_error() -> None:
    heard = Heard()
    operations = Operations(heard, lambda key: [PEER])
    await operations.do(KEY, ForgetBackend(REF, "u1", "one"))
    assert heard.forgotten == ["one"]
    heard.silent = True
    with pytest.raises(Unreachable):
        await operations.do(KEY, ForgetBackend(REF, "u1", "one"))
