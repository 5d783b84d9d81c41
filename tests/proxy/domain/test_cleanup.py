"""When a failed deletion is tried again."""

from __future__ import annotations

from s3o_proxy.domain.cleanup import MAX_ATTEMPTS, next_try_ms


def test_a_minute_doubled_each_time_a_day_at_most() -> None:
    waits = [next_try_ms(1000, attempts) - 1000 for attempts in range(MAX_ATTEMPTS + 5)]
    assert waits[:4] == [60_000, 120_000, 240_000, 480_000]
    assert max(waits) == 24 * 3600 * 1000
    assert waits == sorted(waits)
