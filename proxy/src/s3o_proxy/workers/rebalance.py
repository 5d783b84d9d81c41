"""Moves objects from backends that hold more than their share to those that hold less: one run, ended when the plan is carried out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from s3o_proxy.domain.drain import why_stalled
from s3o_proxy.domain.model import Copy, StoredObject
from s3o_proxy.domain.moving import Moved
from s3o_proxy.domain.operation import Operation, Plan
from s3o_proxy.domain.rebalance import Share, plan_rebalance, shares, takers
from s3o_proxy.workers.convoy import Convoy
from s3o_proxy.workers.journal import Journal
from s3o_proxy.workers.means import Means


async def plan_of_rebalance(means: Means) -> Plan:
    found, usage = await _shares(means), await means.metadata.usage()
    return plan_rebalance(found, usage)


async def _shares(means: Means) -> dict[str, Share]:
    placing, metadata = means.placing(), means.metadata
    return shares(placing.candidates, await metadata.fences(), await metadata.usage(), placing.strategy)


class Rebalance:
    """One run. One that was interrupted goes on with what is uneven then: what it moved is where it belongs already."""

    def __init__(self, means: Means, operation: Operation) -> None:
        self._means = means
        self._journal = Journal(means.metadata, operation, means.clock)
        self._shares: dict[str, Share] = {}

    async def run(self) -> Operation:
        """Returns the operation as it was noted last. Raises Ended, MetadataError."""
        journal = self._journal
        if journal.operation.plan is None:
            await journal.start(await plan_of_rebalance(self._means))
        self._shares = await _shares(self._means)
        moved, error, reason = 0, "", ""
        for giver in [name for name, share in self._shares.items() if share.give]:
            convoy = Convoy(self._means, journal, giver, self._move, self._figures)
            await convoy.run(partial(self._goes_on, self._shares[giver]))
            moved += convoy.outcomes["moved"]
            error, reason = convoy.error or error, why_stalled(convoy.outcomes) or reason
        if reason and not moved:
            await journal.state("Stalled", reason, error, {**await self._figures(), "last_error": error})
        else:
            await journal.state("Succeeded", figures={"objects_remaining": 0, "bytes_remaining": 0, "last_error": error})
        return journal.operation

    async def _goes_on(self, giver: Share) -> bool:
        return giver.give > 0 and any(share.take > 0 for share in self._shares.values())

    async def _move(self, found: StoredObject, copy: Copy) -> Moved | None:
        size, giver = found.size_bytes, self._shares[copy.backend]
        ranked = takers(found, self._shares, self._means.placing().strategy)
        if not size or size > giver.give or not ranked:
            return None
        # Before anything is awaited: what moves beside it must not give and take the same bytes again.
        giver.give -= size
        taker = self._shares[ranked[0].name]
        taker.take -= size
        moved = await self._means.move(found, copy, ranked[:1])
        if moved.outcome != "moved":
            giver.give += size
            # One that had no room has none for the next of this size either: what others wrote there since was not in the plan.
            taker.take += 0 if moved.outcome == "no_room" else size
        return moved if moved.outcome != "no_room" else None

    async def _figures(self) -> Mapping[str, Any]:
        plan, progress = self._journal.operation.plan, self._journal.progress
        planned, objects = (plan.bytes, plan.objects) if plan else (0, 0)
        return {
            "objects_total": max(objects, progress.objects_moved),
            "objects_remaining": max(0, objects - progress.objects_moved),
            "bytes_total": max(planned, progress.bytes_moved),
            "bytes_remaining": max(0, planned - progress.bytes_moved),
        }
