"""Several processes are scraped as one."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from s3o_proxy.domain.model import Usage
from s3o_proxy.telemetry.merge import Dump, added, dump, merged, only_growing
from s3o_proxy.telemetry.metrics import Metrics, restarted

Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scraped(own: Metrics, *others: Dump, generation: int = 7, accept: str = "") -> Values:
    text = own.render_of_all(dump(merged(own.dump(), others)), generation, accept)[0].decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def busy(gets: int, processes: int = 2) -> Metrics:
    metrics = Metrics("1.2.3", clock_s=lambda: 100.0 + gets, processes=processes)
    for number in range(gets):
        metrics.request_started("GET")
        metrics.request_finished("GET", 200, 0.002 if number % 2 else 0.2, 0, 10)
    return metrics


def test_counters_histograms_and_what_is_in_flight_add_up() -> None:
    one, two = busy(3), busy(4)
    one.request_started("PUT")
    two.request_started("PUT")
    two.request_started("PUT")
    two.request_rejected()
    values = scraped(one, two.dump())
    assert values["s3o_requests_total", (("method", "GET"), ("status_code", "200"))] == 7
    assert values["s3o_request_duration_seconds_bucket", (("le", "0.0025"), ("method", "GET"))] == 1 + 2
    assert values["s3o_request_duration_seconds_bucket", (("le", "+Inf"), ("method", "GET"))] == 7
    assert values["s3o_request_duration_seconds_count", (("method", "GET"),)] == 7
    assert values["s3o_inflight_requests", (("method", "PUT"),)] == 3
    assert values["s3o_admission_rejections_total", ()] == 1
    assert (values["s3o_processes", ()], values["s3o_processes_wanted", ()]) == (2, 2)


def test_what_all_read_from_one_ledger_is_what_the_one_that_answers_read() -> None:
    one, two = busy(0), busy(0)
    one.set_usage({"a": Usage("a", used_bytes=50)}, {"a": 100})
    two.set_usage({"a": Usage("a", used_bytes=40), "gone": Usage("gone", used_bytes=1)}, {"a": 100})
    values = scraped(one, two.dump())
    assert values["s3o_quota_bytes_used", (("backend", "a"),)] == 50
    assert values["s3o_quota_bytes_available", (("backend", "a"),)] == 50
    assert ("s3o_quota_bytes_used", (("backend", "gone"),)) not in values


def test_a_worker_that_one_of_them_fails_at_fails_and_succeeded_when_the_last_of_them_did() -> None:
    one, two = busy(5), busy(2)
    one.worker_ran("hold_lease", failures=0, done=1, failed=0)
    two.worker_ran("hold_lease", failures=0, done=1, failed=0)
    two.worker_ran("hold_lease", failures=3, done=0, failed=0)
    two.worker_ran("clean_up", failures=0, done=1, failed=0)
    values = scraped(one, two.dump())
    assert values["s3o_worker_consecutive_failures", (("worker", "hold_lease"),)] == 3
    assert values["s3o_worker_last_success_timestamp_seconds", (("worker", "hold_lease"),)] == 102
    assert values["s3o_worker_last_success_timestamp_seconds", (("worker", "clean_up"),)] == 102
    assert values["s3o_worker_items_total", (("status", "done"), ("worker", "hold_lease"))] == 2


def test_a_worker_that_has_moved_from_one_to_another_succeeded_when_it_did_there() -> None:
    """As after an outage of the database. What the first would tell for ever is the least, and looks like a worker that stands."""
    one, two = busy(0), busy(900)
    one.worker_ran("operate", failures=0, done=1, failed=0)
    one.worker_stands_by("operate")
    two.worker_ran("operate", failures=0, done=1, failed=0)
    assert scraped(one, two.dump())["s3o_worker_last_success_timestamp_seconds", (("worker", "operate"),)] == 1000


def test_the_generation_is_what_they_agreed_on_and_the_build_is_one() -> None:
    one, two = busy(0), busy(0)
    one.config_accepted(3)
    two.config_accepted(5)
    values = scraped(one, two.dump(), generation=5)
    assert values["s3o_config_generation", ()] == 5
    assert [value for (name, _), value in values.items() if name == "s3o_build_info"] == [1]


def test_of_the_dead_what_they_counted_stays_and_nothing_else() -> None:
    dead = busy(6)
    dead.request_started("GET")
    gone = added([added([only_growing(dead.dump()), restarted()]), restarted()])
    values = scraped(busy(1), gone)
    assert values["s3o_requests_total", (("method", "GET"), ("status_code", "200"))] == 7
    assert values["s3o_request_duration_seconds_sum", (("method", "GET"),)] > 0.6
    assert values["s3o_process_restarts_total", ()] == 2
    assert values["s3o_inflight_requests", (("method", "GET"),)] == 0
    assert values["s3o_processes", ()] == 1


def test_openmetrics_is_spoken_too() -> None:
    body, content_type = busy(0).render_of_all(
        dump(merged(busy(1).dump(), [busy(2).dump()])), 1, "application/openmetrics-text; version=1.0.0"
    )
    assert content_type.startswith("application/openmetrics-text")
    assert body.decode().endswith("# EOF\n")
    assert 's3o_requests_total{method="GET",status_code="200"} 3.0' in body.decode()


def test_a_dump_of_a_dump_is_the_same() -> None:
    metrics = busy(2)
    assert added([only_growing(metrics.dump())]) == only_growing(dump(metrics.registry.collect()))
