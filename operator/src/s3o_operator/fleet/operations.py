"""Operations at the proxies: what is known of them, and what is asked for. Any ready pod will do: all of them have one database."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from s3o_operator.fleet.client import AdminClient, Answer, Peer
from s3o_operator.fleet.errors import FleetError
from s3o_operator.plan.actions import CancelOperation, FleetAction, ForgetBackend, StartOperation
from s3o_operator.plan.observed import Key

_REST_S = 60.0


class Operations:
    """`peers`: the ready pods of an orchestrator."""

    def __init__(self, client: AdminClient, peers: Callable[[Key], Sequence[Peer]], now: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._peers = peers
        self._now = now
        self._known: dict[Key, tuple[Answer, ...]] = {}
        self._looked_at: dict[Key, float] = {}

    def is_due(self, key: Key) -> bool:
        """Now and then they are asked for though no resource wants to know: one may go on of a resource that is gone."""
        return self._now() - self._looked_at.get(key, float("-inf")) >= _REST_S

    async def look(self, key: Key) -> None:
        """Ask for all of them. Without an answer nothing is known any more: what was true a while ago decides nothing."""
        self._known.pop(key, None)
        peers = self._peers(key)
        if not peers:
            self._looked_at.pop(key, None)
            return
        self._looked_at[key] = self._now()
        try:
            self._known[key] = tuple(await self._client.list_operations(peers))
        except FleetError:
            return

    def known(self, key: Key) -> tuple[Answer, ...] | None:
        return self._known.get(key)

    def forget(self, key: Key) -> None:
        self._known.pop(key, None)

    async def do(self, key: Key, action: FleetAction) -> None:
        """Raises FleetError. Its answer is known at once."""
        peers = self._peers(key)
        match action:
            case StartOperation():
                wanted = {"kind": action.kind, "subject": action.uid, "token": action.token}
                wanted |= {name: value for name, value in (("backend", action.backend), ("bucket", action.bucket)) if value}
                self._note(key, await self._client.create_operation(peers, wanted))
            case CancelOperation():
                self._note(key, await self._client.cancel_operation(peers, action.id))
            case ForgetBackend():
                await self._client.forget_backend(peers, action.backend)

    def _note(self, key: Key, answer: Answer) -> None:
        others = tuple(one for one in self._known.get(key, ()) if one["id"] != answer["id"])
        self._known[key] = (answer, *others)
