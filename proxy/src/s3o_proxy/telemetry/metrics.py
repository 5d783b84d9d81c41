"""Every metric of the proxy, and the few verbs by which the other packages record them.

One instance for a process, made by `app`; all of it runs on the event loop. docs/reference/metrics.md describes each metric.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from s3o_proxy.domain.model import Usage
from s3o_proxy.domain.operation import Operation
from s3o_proxy.telemetry.families import Across, Counter, Gauge, Histogram
from s3o_proxy.telemetry.merge import Dump, dump, merged

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_BYTES = tuple(float(4**exponent) for exponent in range(5, 20))
"""1 KiB, 4 KiB, … 256 GiB."""

# A client may send any word as its method; only these become label values, so that nobody can grow the exposition.
_METHODS = {method: (method,) for method in ("GET", "PUT", "HEAD", "POST", "DELETE", "OPTIONS")}
_OTHER_METHOD = ("other",)


def _restarts() -> Counter:
    return Counter("s3o_process_restarts", "Processes that died and were started again")


def restarted() -> Dump:
    """One restart, for the parent of several processes to add: it exposes nothing itself."""
    restarts = _restarts()
    restarts.add()
    return dump([restarts.collect()])


_ACROSS_PROCESSES = {"process_start_time_seconds": Across.LEAST}
"""Of the gauges that prometheus-client adds; all others are summed."""


class _Fixed(Collector):
    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


class BackendCall(Protocol):
    """A call to a backend that ended. `status`: success, or the word for what went wrong. `duration_s`: spent waiting for the backend.
    Bytes are those of bodies."""

    @property
    def operation(self) -> str: ...

    @property
    def backend(self) -> str: ...

    @property
    def status(self) -> str: ...

    @property
    def duration_s(self) -> float: ...

    @property
    def sent_bytes(self) -> int: ...

    @property
    def received_bytes(self) -> int: ...


class Metrics(Collector):
    def __init__(self, version: str, clock_s: Callable[[], float] = time.time, processes: int = 1) -> None:
        """`processes`: how many should answer one scrape."""
        self._clock_s = clock_s
        self._requests = Counter("s3o_requests", "HTTP requests answered", ("method", "status_code"))
        self._request_duration = Histogram(
            "s3o_request_duration_seconds", "From a request's head to the end of its answer", _SECONDS, ("method",)
        )
        self._request_size = Histogram("s3o_request_size_bytes", "Bytes of request bodies, decoded", _BYTES, ("method",))
        self._response_size = Histogram("s3o_response_size_bytes", "Bytes of response bodies", _BYTES, ("method",))
        self._inflight = Gauge("s3o_inflight_requests", "Requests being answered now", ("method",), across=Across.SUM)
        self._admission_rejections = Counter("s3o_admission_rejections", "Requests refused because too many were in flight")

        self._backend_requests = Counter("s3o_backend_requests", "Calls to backends", ("operation", "backend", "status"))
        self._backend_duration = Histogram(
            "s3o_backend_duration_seconds", "Duration of calls to backends", _SECONDS, ("operation", "backend")
        )
        self._backend_sent = Counter("s3o_backend_sent_bytes", "Bytes of bodies sent to backends", ("backend",))
        self._backend_received = Counter("s3o_backend_received_bytes", "Bytes of bodies received from backends", ("backend",))

        self._used = Gauge("s3o_quota_bytes_used", "Bytes of live copies", ("backend",), across=Across.OWN)
        self._orphan = Gauge("s3o_quota_orphan_bytes", "Bytes waiting to be deleted", ("backend",), across=Across.OWN)
        self._reserved = Gauge("s3o_quota_bytes_reserved", "Bytes promised to writes in flight", ("backend",), across=Across.OWN)
        self._limit = Gauge("s3o_quota_bytes_limit", "The quota; absent where there is none", ("backend",), across=Across.OWN)
        self._available = Gauge(
            "s3o_quota_bytes_available",
            "Quota less used, orphan and reserved bytes; absent where there is no quota",
            ("backend",),
            across=Across.OWN,
        )
        self._objects = Gauge("s3o_objects_count", "Objects with a copy on the backend", ("backend",), across=Across.OWN)

        self._uploads = Gauge("s3o_active_multipart_uploads", "Multipart uploads in progress", across=Across.OWN)
        self._intents = Gauge("s3o_pending_intents", "Writes that reserved space and are not committed", across=Across.OWN)
        self._cleanup_depth = Gauge("s3o_cleanup_queue_depth", "Deletions of bytes still to do", across=Across.OWN)
        self._dlq_depth = Gauge("s3o_cleanup_dlq_depth", "Deletions given up; a person decides", across=Across.OWN)
        self._cleanup_processed = Counter("s3o_cleanup_queue_processed", "Deletions tried, by outcome: success, retry", ("status",))

        self._operations = Gauge(
            "s3o_operations", "Operations at work, by state: Pending, Running, Stalled", ("kind", "target", "state"), across=Across.MOST
        )
        self._operation_objects = Gauge(
            "s3o_operation_remaining_objects", "What an operation has left to do", ("kind", "target"), across=Across.MOST
        )
        self._operation_bytes = Gauge("s3o_operation_remaining_bytes", "The bytes of those", ("kind", "target"), across=Across.MOST)
        self._moved_objects = Counter("s3o_moved_objects", "Copies moved by drains and rebalances", ("source", "target"))
        self._moved_bytes = Counter("s3o_moved_bytes", "Bytes of copies moved by drains and rebalances", ("source", "target"))

        self._worker_runs = Counter("s3o_worker_runs", "Runs of background workers, by outcome: success, failure", ("worker", "status"))
        self._worker_items = Counter("s3o_worker_items", "What workers worked on, by outcome: done, failed", ("worker", "status"))
        self._worker_success = Gauge(
            "s3o_worker_last_success_timestamp_seconds", "When the worker last succeeded (Unix time)", ("worker",), across=Across.LEAST
        )
        self._worker_failures = Gauge(
            "s3o_worker_consecutive_failures", "Failed runs since the last success", ("worker",), across=Across.MOST
        )

        self._clock_skew = Gauge("s3o_clock_skew_seconds", "By how much this machine's clock is ahead of the database's", across=Across.OWN)
        self._generation = Gauge("s3o_config_generation", "Generation of the configuration being served", across=Across.LEAST)
        self._refused = Gauge(
            "s3o_config_refused", "1 while the files say something that is refused, and is not served", across=Across.MOST
        )
        self._refusals = Counter("s3o_config_refusals", "Changes of the configuration that were refused")
        self._build = Gauge(
            "s3o_build_info", "Always 1; the labels say which build this is", ("version", "python_version"), across=Across.MOST
        )
        self._build.set(1, (version, platform.python_version()))

        self._processes = Gauge("s3o_processes", "Processes that answered this scrape", across=Across.SUM)
        self._processes.set(1)
        self._wanted = Gauge("s3o_processes_wanted", "Processes that should answer it", across=Across.MOST)
        self._wanted.set(processes)
        self._restarts = _restarts()
        self._lost_lines = Counter("s3o_log_lines_lost", "Log lines that nobody took")

        self._families = [family for family in vars(self).values() if isinstance(family, Counter | Gauge | Histogram)]
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def collect(self) -> Iterable[Metric]:
        return [family.collect() for family in self._families]

    def described(self) -> Iterable[tuple[str, str, tuple[str, ...]]]:
        """Name as exposed, type and labels of every metric; docs/reference/metrics.md is held against it."""
        for family in self._families:
            kind = type(family).__name__.lower()
            yield family.name + ("_total" if kind == "counter" else ""), kind, family.labels

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The exposition and its content type, in the format that the scraper's Accept header asks for."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    async def answer(self, accept: str) -> tuple[bytes, str]:
        """`render`, for whoever may have to wait."""
        return self.render(accept)

    # --- several processes -------------------------------------------------------------------------------------------

    def dump(self) -> Dump:
        """What this process exposes, for another one to merge."""
        across = {family.name: family.across for family in self._families if isinstance(family, Gauge)} | _ACROSS_PROCESSES
        return dump(self.registry.collect(), across)

    def render_of_all(self, all_of_them: Dump, generation: int, accept: str = "") -> tuple[bytes, str]:
        """As `render`, of several processes whose dumps are one already; they serve `generation`."""
        families = merged([], [all_of_them])
        for family in families:
            if family.name == self._generation.name:
                family.samples = [sample._replace(value=generation) for sample in family.samples]
        encode, content_type = choose_encoder(accept)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Fixed(families))
        return encode(registry), content_type

    # --- the log -----------------------------------------------------------------------------------------------------

    def follow_log(self, lost_lines: Callable[[], int]) -> None:
        self._lost_lines.follow(lost_lines)

    # --- requests ----------------------------------------------------------------------------------------------------

    def request_started(self, method: str) -> None:
        self._inflight.add(_METHODS.get(method, _OTHER_METHOD))

    def request_finished(self, method: str, status: int, duration_s: float, received_bytes: int, sent_bytes: int) -> None:
        """Once for every request_started, also when the client went away (`status` is then 499)."""
        label = _METHODS.get(method, _OTHER_METHOD)
        self._inflight.add(label, -1)
        self._requests.add((label[0], str(status)))
        self._request_duration.observe(duration_s, label)
        if received_bytes:
            self._request_size.observe(received_bytes, label)
        if sent_bytes:
            self._response_size.observe(sent_bytes, label)

    def request_rejected(self) -> None:
        self._admission_rejections.add()

    # --- backends ----------------------------------------------------------------------------------------------------

    def backend_called(self, call: BackendCall) -> None:
        """Once for every call, when it ended."""
        self._backend_requests.add((call.operation, call.backend, call.status))
        self._backend_duration.observe(call.duration_s, (call.operation, call.backend))
        if call.sent_bytes:
            self._backend_sent.add((call.backend,), call.sent_bytes)
        if call.received_bytes:
            self._backend_received.add((call.backend,), call.received_bytes)

    # --- the ledger, read every few seconds ----------------------------------------------------------------------------

    def set_usage(self, usage: Mapping[str, Usage], quota_bytes: Mapping[str, int | None]) -> None:
        """`quota_bytes`: of every backend that is configured now; one that is gone from it and from `usage` is exposed no longer."""
        held = [usage.get(name, Usage(name)) for name in {**usage, **quota_bytes}]
        limited = [(of, limit) for of in held if (limit := quota_bytes.get(of.backend)) is not None]
        self._used.replace(((of.backend,), of.used_bytes) for of in held)
        self._orphan.replace(((of.backend,), of.orphan_bytes) for of in held)
        self._reserved.replace(((of.backend,), of.reserved_bytes) for of in held)
        self._objects.replace(((of.backend,), of.objects) for of in held)
        self._limit.replace(((of.backend,), limit) for of, limit in limited)
        self._available.replace(((of.backend,), max(0, limit - of.held_bytes)) for of, limit in limited)

    def set_queue_depths(self, depths: Mapping[str, int]) -> None:
        """As `Metadata.queue_depths` gives them."""
        self._cleanup_depth.set(depths["cleanup_queue"])
        self._dlq_depth.set(depths["cleanup_dlq"])
        self._intents.set(depths["intents"])
        self._uploads.set(depths["uploads"])

    # --- workers -----------------------------------------------------------------------------------------------------

    def worker_ran(self, worker: str, *, failures: int, done: int, failed: int) -> None:
        """After each run: `failures` is how many runs in a row failed, 0 after a good one; `done` and `failed` count its items."""
        self._worker_runs.add((worker, "failure" if failures else "success"))
        self._worker_failures.set(failures, (worker,))
        if not failures:
            self._worker_success.set(self._clock_s(), (worker,))
        self._worker_items.add((worker, "done"), done)
        self._worker_items.add((worker, "failed"), failed)
        if worker == "clean_up":
            self._cleanup_processed.add(("success",), done)
            self._cleanup_processed.add(("retry",), failed)

    def worker_stands_by(self, worker: str) -> None:
        """Another process runs it, and tells how it goes. What it failed at here, and when it last succeeded, would stand here for ever."""
        self._worker_failures.set(0, (worker,))
        self._worker_success.remove((worker,))
        if worker == "operate":
            self.set_operations(())

    def set_clock_skew(self, seconds: float) -> None:
        """Positive where this machine's clock is ahead of the database's."""
        self._clock_skew.set(seconds)

    def set_operations(self, active: Iterable[Operation]) -> None:
        """Those at work now; what ended is no longer exposed."""
        active = list(active)
        self._operations.replace(((each.kind, each.target, each.state), 1) for each in active)
        self._operation_objects.replace(((each.kind, each.target), each.progress.objects_remaining) for each in active)
        self._operation_bytes.replace(((each.kind, each.target), each.progress.bytes_remaining) for each in active)

    def copy_moved(self, source: str, target: str, size_bytes: int) -> None:
        self._moved_objects.add((source, target))
        self._moved_bytes.add((source, target), size_bytes)

    # --- configuration -----------------------------------------------------------------------------------------------

    def config_accepted(self, generation: int) -> None:
        """Also when nothing changed, and what was refused is gone from the files."""
        self._generation.set(generation)
        self._refused.set(0)

    def config_refused(self) -> None:
        self._refusals.add()
        self._refused.set(1)
