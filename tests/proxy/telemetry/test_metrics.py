"""What is recorded is what a scraper reads."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from s3o_proxy.backends.guarded import Call
from s3o_proxy.domain.model import Usage
from s3o_proxy.domain.operation import Operation, Progress
from s3o_proxy.telemetry.metrics import Metrics


def scraped(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = metrics.render()[0].decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_request_is_in_flight_until_it_is_finished() -> None:
    metrics = Metrics("1.2.3")
    metrics.request_started("GET")
    assert scraped(metrics)["s3o_inflight_requests", (("method", "GET"),)] == 1
    metrics.request_finished("GET", 206, 0.004, 0, 4096)
    values = scraped(metrics)
    assert values["s3o_inflight_requests", (("method", "GET"),)] == 0
    assert values["s3o_requests_total", (("method", "GET"), ("status_code", "206"))] == 1


def test_histogram_buckets_are_cumulative_and_include_their_upper_bound() -> None:
    metrics = Metrics("1.2.3")
    for duration_s in (0.0005, 0.001, 0.0011, 1000):
        metrics.request_started("PUT")
        metrics.request_finished("PUT", 200, duration_s, 10, 0)
    values = scraped(metrics)
    counts = {labels: value for (name, labels), value in values.items() if name == "s3o_request_duration_seconds_bucket"}
    assert counts[("le", "0.001"), ("method", "PUT")] == 2
    assert counts[("le", "0.0025"), ("method", "PUT")] == 3
    assert counts[("le", "300.0"), ("method", "PUT")] == 3
    assert counts[("le", "+Inf"), ("method", "PUT")] == 4
    assert values["s3o_request_duration_seconds_count", (("method", "PUT"),)] == 4
    assert values["s3o_request_size_bytes_sum", (("method", "PUT"),)] == 40
    assert ("s3o_response_size_bytes_count", (("method", "PUT"),)) not in values, "an empty body is no size"


def test_a_client_cannot_grow_the_exposition_with_invented_methods() -> None:
    metrics = Metrics("1.2.3")
    for method in ("BREW", "PROPFIND", "X" * 500):
        metrics.request_started(method)
        metrics.request_finished(method, 405, 0.001, 0, 0)
    values = scraped(metrics)
    assert values["s3o_requests_total", (("method", "other"), ("status_code", "405"))] == 3
    assert {dict(labels)["method"] for name, labels in values if name == "s3o_requests_total"} == {"other"}


def test_available_is_the_quota_less_all_that_is_held_and_never_negative() -> None:
    metrics = Metrics("1.2.3")
    usage = {"a": Usage("a", used_bytes=50, orphan_bytes=20, reserved_bytes=10, objects=3), "full": Usage("full", used_bytes=90)}
    metrics.set_usage(usage, {"a": 100, "full": 80, "unlimited": None, "fresh": 7})
    values = scraped(metrics)
    assert values["s3o_quota_bytes_available", (("backend", "a"),)] == 20
    assert values["s3o_quota_bytes_available", (("backend", "full"),)] == 0, "a quota lowered below what is held leaves nothing"
    assert values["s3o_quota_bytes_available", (("backend", "fresh"),)] == 7
    assert values["s3o_quota_bytes_used", (("backend", "unlimited"),)] == 0
    assert ("s3o_quota_bytes_limit", (("backend", "unlimited"),)) not in values
    assert values["s3o_objects_count", (("backend", "a"),)] == 3
    assert values["s3o_quota_orphan_bytes", (("backend", "a"),)] == 20
    assert values["s3o_quota_bytes_reserved", (("backend", "a"),)] == 10


def test_a_removed_backend_is_exposed_no_longer() -> None:
    metrics = Metrics("1.2.3")
    metrics.set_usage({"gone": Usage("gone", used_bytes=1)}, {"gone": 5})
    metrics.set_usage({}, {"kept": 5})
    assert {labels for name, labels in scraped(metrics) if name.startswith("s3o_quota")} == {(("backend", "kept"),)}


def test_a_worker_shows_its_last_success_and_how_often_it_failed_since() -> None:
    times = iter([1_700_000_000.5, 1_700_000_060.0])
    metrics = Metrics("1.2.3", clock_s=lambda: next(times))
    metrics.worker_ran("clean_up", failures=0, done=5, failed=2)
    metrics.worker_ran("clean_up", failures=1, done=0, failed=0)
    metrics.worker_ran("clean_up", failures=2, done=0, failed=0)
    label = (("worker", "clean_up"),)
    values = scraped(metrics)
    assert values["s3o_worker_consecutive_failures", label] == 2
    assert values["s3o_worker_last_success_timestamp_seconds", label] == 1_700_000_000.5
    assert values["s3o_worker_runs_total", (("status", "failure"), *label)] == 2
    assert values["s3o_worker_runs_total", (("status", "success"), *label)] == 1
    assert values["s3o_worker_items_total", (("status", "done"), *label)] == 5
    assert values["s3o_worker_items_total", (("status", "failed"), *label)] == 2
    metrics.worker_ran("clean_up", failures=0, done=0, failed=0)
    assert scraped(metrics)["s3o_worker_consecutive_failures", label] == 0
    assert scraped(metrics)["s3o_worker_last_success_timestamp_seconds", label] == 1_700_000_060


def test_of_a_worker_that_another_process_has_taken_over_nothing_is_told_that_only_a_run_here_could_take_back() -> None:
    """It failed while the database was away; the other process was the first to come back."""
    metrics = Metrics("1.2.3")
    for failures in (1, 2, 3, 4, 5):
        metrics.worker_ran("operate", failures=failures, done=0, failed=0)
    metrics.set_operations([Operation("o", "Drain", "uid", "t", 0, "east", state="Stalled")])
    metrics.worker_stands_by("operate")
    values = scraped(metrics)
    assert values["s3o_worker_consecutive_failures", (("worker", "operate"),)] == 0
    assert not [name for name, _ in values if name.startswith("s3o_operation")]


def test_what_the_cleanup_worker_did_shows_as_the_queue_s_progress() -> None:
    metrics = Metrics("1.2.3")
    metrics.worker_ran("clean_up", failures=0, done=5, failed=2)
    metrics.worker_ran("reap_intents", failures=0, done=9, failed=9)
    values = scraped(metrics)
    assert values["s3o_cleanup_queue_processed_total", (("status", "success"),)] == 5
    assert values["s3o_cleanup_queue_processed_total", (("status", "retry"),)] == 2


def test_everything_else_lands_under_its_own_name() -> None:
    metrics = Metrics("1.2.3")
    metrics.backend_called(Call("PutObject", "oci", "success", 0.2, sent_bytes=7, received_bytes=0))
    metrics.backend_called(Call("GetObject", "oci", "timeout", 0.3, sent_bytes=0, received_bytes=9))
    metrics.set_queue_depths({"cleanup_queue": 4, "cleanup_dlq": 3, "intents": 2, "uploads": 1})
    metrics.request_rejected()
    metrics.config_accepted(7)
    metrics.config_refused()
    values = scraped(metrics)
    assert values["s3o_backend_requests_total", (("backend", "oci"), ("operation", "PutObject"), ("status", "success"))] == 1
    assert values["s3o_backend_duration_seconds_sum", (("backend", "oci"), ("operation", "PutObject"))] == 0.2
    assert values["s3o_backend_sent_bytes_total", (("backend", "oci"),)] == 7
    assert values["s3o_backend_received_bytes_total", (("backend", "oci"),)] == 9
    assert values["s3o_cleanup_queue_depth", ()] == 4
    assert values["s3o_cleanup_dlq_depth", ()] == 3
    assert values["s3o_pending_intents", ()] == 2
    assert values["s3o_active_multipart_uploads", ()] == 1
    assert values["s3o_admission_rejections_total", ()] == 1
    assert values["s3o_config_generation", ()] == 7
    assert values["s3o_config_refusals_total", ()] == 1
    assert values["s3o_config_refused", ()] == 1
    assert any(name == "s3o_build_info" and dict(labels)["version"] == "1.2.3" for name, labels in values)
    assert ("process_resident_memory_bytes", ()) in values


def test_the_scraper_chooses_the_format() -> None:
    metrics = Metrics("1.2.3")
    body, content_type = metrics.render("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
    assert metrics.render()[1].startswith("text/plain")


def test_operations_are_exposed_while_they_are_at_work() -> None:
    metrics = Metrics("test")
    drain = Operation("o", "Drain", "uid", "t", 0, "east", state="Stalled", progress=Progress(objects_remaining=3, bytes_remaining=40))
    metrics.set_operations([drain])
    metrics.copy_moved("east", "west", 10)
    text = metrics.render()[0].decode()
    assert 's3o_operations{kind="Drain",state="Stalled",target="east"} 1.0' in text
    assert 's3o_operation_remaining_objects{kind="Drain",target="east"} 3.0' in text
    assert 's3o_operation_remaining_bytes{kind="Drain",target="east"} 40.0' in text
    assert 's3o_moved_bytes_total{source="east",target="west"} 10.0' in text
    metrics.set_operations([])
    assert "s3o_operations{" not in metrics.render()[0].decode()
