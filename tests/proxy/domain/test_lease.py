"""What a process knows of its own lease."""

from __future__ import annotations

import pytest

from s3o_proxy.domain.errors import MetadataUnavailable
from s3o_proxy.domain.lease import LEASE_MS, OwnLease


class Clock:
    now = 1_000

    def __call__(self) -> int:
        return self.now


def test_it_lasts_from_the_moment_in_which_it_was_asked_for() -> None:
    clock = Clock()
    lease = OwnLease(clock)
    assert (lease.steady_ms(), lease.lasts_since(1_000)) == (0, False)
    with pytest.raises(MetadataUnavailable):
        lease.require()
    asked = lease.now()
    clock.now += 500  # the ledger takes its time
    lease.renewed(asked)
    assert (lease.steady_ms(), lease.lasts_since(1_000)) == (500, True)
    clock.now = asked + LEASE_MS - 1
    lease.require()
    clock.now += 1
    assert lease.steady_ms() == 0
    with pytest.raises(MetadataUnavailable, match="could not be renewed"):
        lease.require()


def test_renewed_in_time_it_is_one_lease() -> None:
    clock = Clock()
    lease = OwnLease(clock)
    for _ in range(10):
        lease.renewed(lease.now())
        clock.now += LEASE_MS // 2
    assert lease.steady_ms() == 5 * LEASE_MS


def test_a_gap_begins_another() -> None:
    clock = Clock()
    lease = OwnLease(clock)
    lease.renewed(lease.now())
    before = clock.now
    clock.now += LEASE_MS
    lease.renewed(lease.now())
    clock.now += 7
    assert (lease.steady_ms(), lease.lasts_since(before), lease.lasts_since(before + LEASE_MS)) == (7, False, True)


def test_renewed_late_it_lasts_and_says_nothing_of_others() -> None:
    """Who asked a little before us, and comes back a little after us, has lost his."""
    clock = Clock()
    lease = OwnLease(clock)
    lease.renewed(lease.now())
    clock.now += LEASE_MS // 2 + 1
    lease.renewed(lease.now())
    assert lease.lasts_since(1_000)
    assert lease.steady_ms() == 0
