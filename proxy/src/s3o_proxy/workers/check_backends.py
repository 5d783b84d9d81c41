"""Tries every backend: whether it answers, takes our credentials, and has the bucket. For people to see; requests find out by themselves.

A backend is tried when it is new or was changed, again after a few minutes, and sooner while something is wrong. The try is a listing of a
prefix under which nothing lies: it needs what reading needs, moves no bytes, and its refusal says why.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from s3o_crds.compiled import BackendConfig
from s3o_proxy.backends.port import BackendSet
from s3o_proxy.config.snapshot import Snapshot
from s3o_proxy.domain.errors import BackendError, BackendRejected, BackendThrottled
from s3o_proxy.domain.frozen import frozen
from s3o_proxy.workers.report import Report

log = logging.getLogger(__name__)

_NOWHERE = "~s3o-check/"
_CREDENTIALS_STATUSES = frozenset({401, 403})
_NOT_OF_CREDENTIALS = frozenset({"RequestTimeTooSkewed"})


@frozen
class Check:
    """`reason`: empty when the backend can be used; CredentialsRefused, BucketNotFound, Refused (whatever else it says), Unreachable; or
    BucketElsewhere (`agree_on_buckets`)."""

    reason: str = ""
    message: str = ""


class CheckBackends:
    """`checks` is what is known of the backends as they are configured now; one that was not tried yet is not in it."""

    name = "check_backends"
    singleton = False
    period_ms = 15_000
    fresh_ms = 300_000
    """How long a good result is believed."""
    timeout_s = 10.0

    def __init__(self, backends: BackendSet, snapshot: Callable[[], Snapshot], clock: Callable[[], int]) -> None:
        self._backends, self._snapshot, self._clock = backends, snapshot, clock
        self._results: dict[str, _Result] = {}

    @property
    def checks(self) -> Mapping[str, Check]:
        wanted = _configured(self._snapshot())
        return {name: result.check for name, result in self._results.items() if wanted.get(name) == result.config}

    async def run_once(self) -> Report:
        wanted = _configured(self._snapshot())
        self._results = {name: result for name, result in self._results.items() if wanted.get(name) == result.config}
        due = [name for name in wanted if name not in self._results or self._is_due(self._results[name])]
        async with asyncio.TaskGroup() as tasks:
            for name in due:
                tasks.create_task(self._try(name, wanted[name]))
        bad = sum(1 for result in self._results.values() if result.check.reason)
        return Report(done=len(due), failed=bad)

    def _is_due(self, result: _Result) -> bool:
        return bool(result.check.reason) or result.failures > 0 or self._clock() - result.at_ms >= self.fresh_ms

    async def _try(self, name: str, config: object) -> None:
        check = await self._check(name)
        before = self._results.get(name)
        if check is None:
            return
        failures = (before.failures if before else 0) + 1 if check.reason == "Unreachable" else 0
        # One failure of a network is none of the backend: what was good stays so until it fails twice.
        if before is not None and failures == 1 and not before.check.reason:
            check = before.check
        if check.reason and (before is None or before.check.reason != check.reason):
            log.warning("backend cannot be used: %s", check.message, extra={"backend": name, "reason": check.reason})
        self._results[name] = _Result(config, check, self._clock(), failures)

    async def _check(self, name: str) -> Check | None:
        """None: it answers, and has no time for us."""
        try:
            async with asyncio.timeout(self.timeout_s):
                async for _ in self._backends.get(name).list(_NOWHERE):
                    break
        except TimeoutError:
            return Check("Unreachable", f"backend {name}: no answer within {self.timeout_s:g} s")
        except BackendRejected as error:
            return Check(_reason(error), str(error))
        except BackendThrottled:
            return None
        except BackendError as error:
            return Check("Unreachable", str(error))
        return Check()


@frozen
class _Result:
    """`config`: what was tried. `failures`: consecutive tries that nobody answered."""

    config: object
    check: Check
    at_ms: int
    failures: int


def _reason(error: BackendRejected) -> str:
    if error.code == "NoSuchBucket" or error.status == 404:
        return "BucketNotFound"
    if error.status in _CREDENTIALS_STATUSES and error.code not in _NOT_OF_CREDENTIALS:
        return "CredentialsRefused"
    return "Refused"


def _configured(snapshot: Snapshot) -> dict[str, object]:
    """By name: all by which a backend is reached."""
    return {backend.name: _reached_by(backend, snapshot.secrets) for backend in snapshot.backends}


def _reached_by(config: BackendConfig, secrets: Mapping[str, str]) -> object:
    parts = (config.endpoint, config.region, config.bucket, config.force_path_style)
    return parts, tuple(secrets.get(name) for name in (config.access_key_id, config.secret_access_key, config.ca))
