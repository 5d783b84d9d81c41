"""A backend is tried when it is new, now and then, and sooner while something is wrong; a refusal says what to do about it."""

from __future__ import annotations

import pytest
from tests.support.stories import Stage

from s3o_proxy.config.snapshot import take_snapshot
from s3o_proxy.domain.errors import BackendRejected, BackendThrottled, BackendUnavailable
from s3o_proxy.workers.check_backends import Check, CheckBackends

REFUSED = BackendRejected("first", 403, "InvalidAccessKeyId", "no such key")
AWAY = BackendUnavailable("first", "no connection")


def worker(stage: Stage) -> CheckBackends:
    return CheckBackends(stage, lambda: take_snapshot(stage.config, {}), stage.clock)


async def tried(stage: Stage, checking: CheckBackends, error: Exception | None = None) -> Check | None:
    """What is known of the backend `first` after a period, in which the backend fails so."""
    if error is not None:
        stage.backends["first"].fail("list", error=error)
    stage.now_ms += CheckBackends.period_ms
    await checking.run_once()
    return checking.checks.get("first")


async def test_before_the_first_try_nothing_is_known(stage: Stage) -> None:
    checking = worker(stage)
    assert checking.checks == {}
    await checking.run_once()
    assert checking.checks == {name: Check() for name in stage.backends}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (REFUSED, "CredentialsRefused"),
        (BackendRejected("first", 401, "Unauthorized", ""), "CredentialsRefused"),
        (BackendRejected("first", 403, "RequestTimeTooSkewed", "the clock is wrong"), "Refused"),
        (BackendRejected("first", 404, "NoSuchBucket", ""), "BucketNotFound"),
        (BackendRejected("first", 404, "404", ""), "BucketNotFound"),
        (BackendRejected("first", 301, "PermanentRedirect", "another region"), "Refused"),
        (AWAY, "Unreachable"),
    ],
)
async def test_a_refusal_says_what_is_wrong(stage: Stage, error: Exception, reason: str) -> None:
    assert await tried(stage, worker(stage), error) == Check(reason, str(error))


async def test_what_is_wrong_is_tried_again_soon_and_heals(stage: Stage) -> None:
    checking = worker(stage)
    await tried(stage, checking, REFUSED)
    assert await tried(stage, checking) == Check()


async def test_what_is_well_is_left_alone_for_minutes(stage: Stage) -> None:
    checking = worker(stage)
    await tried(stage, checking)
    stage.backends["first"].fail("list", error=REFUSED)
    stage.now_ms += CheckBackends.fresh_ms - 1
    await checking.run_once()
    assert checking.checks["first"] == Check()
    stage.now_ms += 1
    await checking.run_once()
    assert checking.checks["first"].reason == "CredentialsRefused"


async def test_one_failure_of_the_network_is_none_of_the_backend(stage: Stage) -> None:
    checking = worker(stage)
    await tried(stage, checking)
    stage.now_ms += CheckBackends.fresh_ms
    assert await tried(stage, checking, AWAY) == Check()
    assert await tried(stage, checking, AWAY) == Check("Unreachable", str(AWAY))


async def test_a_busy_backend_says_nothing(stage: Stage) -> None:
    assert await tried(stage, worker(stage), BackendThrottled("first", "503 SlowDown")) is None


async def test_a_backend_that_hangs_is_unreachable(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CheckBackends, "timeout_s", 0.05)
    fault = stage.backends["first"].stall("list")
    checking = worker(stage)
    await checking.run_once()
    assert checking.checks["first"] == Check("Unreachable", "backend first: no answer within 0.05 s")
    fault.release()


async def test_what_was_found_of_another_configuration_does_not_count(stage: Stage) -> None:
    checking = worker(stage)
    await tried(stage, checking)
    changed = stage.config.backends[0].model_copy(update={"bucket": "another"})
    stage.config = stage.config.model_copy(update={"backends": (changed, *stage.config.backends[1:])})
    assert changed.name not in checking.checks
    await checking.run_once()
    assert checking.checks[changed.name] == Check()


async def test_nothing_is_left_behind_by_a_try(stage: Stage) -> None:
    await worker(stage).run_once()
    assert all(not backend.objects for backend in stage.backends.values())
