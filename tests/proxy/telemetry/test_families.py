"""The three kinds of metric, as prometheus-client exposes them."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from s3o_proxy.telemetry.families import Across, Counter, Gauge, Histogram


class One(Collector):
    def __init__(self, family: Counter | Gauge | Histogram) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        return [self._family.collect()]


def exposed(family: Counter | Gauge | Histogram) -> list[str]:
    registry = CollectorRegistry()
    registry.register(One(family))
    return [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]


def test_a_counter_without_labels_is_there_from_the_start_and_one_with_labels_when_it_counted() -> None:
    assert exposed(Counter("plain", "h")) == ["plain_total 0.0"]
    counter = Counter("labelled", "h", ("a", "b"))
    assert exposed(counter) == []
    counter.add(("1", "2"))
    counter.add(("1", "2"), 2)
    assert exposed(counter) == ['labelled_total{a="1",b="2"} 3.0']


def test_a_gauge_goes_up_and_down_is_set_and_forgets_what_it_is_not_told_again() -> None:
    gauge = Gauge("level", "h", ("a",), across=Across.SUM)
    gauge.add(("x",), 5)
    gauge.add(("x",), -2)
    gauge.set(7, ("y",))
    assert exposed(gauge) == ['level{a="x"} 3.0', 'level{a="y"} 7.0']
    gauge.replace([(("z",), 1)])
    assert exposed(gauge) == ['level{a="z"} 1.0']


def test_a_histogram_counts_every_value_in_all_buckets_that_reach_it() -> None:
    histogram = Histogram("spread", "h", (1, 10), ("a",))
    for value in (0.5, 1, 2, 50):
        histogram.observe(value, ("x",))
    assert exposed(histogram) == [
        'spread_bucket{a="x",le="1.0"} 2.0',
        'spread_bucket{a="x",le="10.0"} 3.0',
        'spread_bucket{a="x",le="+Inf"} 4.0',
        'spread_count{a="x"} 4.0',
        'spread_sum{a="x"} 53.5',
    ]


def test_a_label_s_value_is_escaped() -> None:
    counter = Counter("c", "h", ("a",))
    counter.add(('quote " back \\ line \n',))
    assert exposed(counter) == ['c_total{a="quote \\" back \\\\ line \\n"} 1.0']


def test_a_counter_that_follows_another_count_is_as_high_as_that_one() -> None:
    counter, lines = Counter("lines", "h"), [0]
    counter.follow(lambda: lines[0])
    assert exposed(counter) == ["lines_total 0.0"]
    lines[0] = 7
    assert exposed(counter) == ["lines_total 7.0"]
