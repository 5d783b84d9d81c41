"""When a failed deletion is tried again."""

from __future__ import annotations

from typing import get_args

from s3o_proxy.domain.cleanup import MAX_ATTEMPTS, Leftover, LeftUpload, may_leave_upload, next_try_ms


def test_a_minute_doubled_each_time_a_day_at_most() -> None:
    waits = [next_try_ms(1000, attempts) - 1000 for attempts in range(MAX_ATTEMPTS + 5)]
    assert waits[:4] == [60_000, 120_000, 240_000, 480_000]
    assert max(waits) == 24 * 3600 * 1000
    assert waits == sorted(waits)


def test_an_upload_is_looked_for_wherever_there_may_be_one() -> None:
    def looked_for(reason: str, size_bytes: int = 5) -> bool:
        return may_leave_upload(reason, size_bytes, max_put_bytes=10)

    assert not [reason for reason in get_args(Leftover) if looked_for(reason, 1000)]
    assert [reason for reason in get_args(LeftUpload) if looked_for(reason)] == list(get_args(LeftUpload))
    assert (looked_for("reaped", 10), looked_for("reaped", 11)) == (False, True)
    # A word of another version, before it or after it.
    assert looked_for("whatever")
