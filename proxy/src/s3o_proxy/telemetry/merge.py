"""The metrics of several processes as those of one.

A *dump* is what one process exposes, as JSON can hold it. Counters and histograms add up. What a gauge of several is, it says itself
(`Across`): its sum, its highest or lowest value, or, for what all read from the one ledger, what the answering process read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from prometheus_client.metrics_core import Metric

from s3o_proxy.telemetry.families import Across

Dump = list[dict[str, Any]]
"""A family each: name, help, type, and its samples: name, labels, value; and the rule of a gauge that is not summed (`across`)."""

_Key = tuple[str, tuple[tuple[str, str], ...]]

_FOLDS: dict[Across, Callable[[float, float], float]] = {Across.SUM: lambda a, b: a + b, Across.MOST: max, Across.LEAST: min}


def dump(families: Iterable[Metric], across: Mapping[str, Across] = MappingProxyType({})) -> Dump:
    """`across`: of every gauge that is not summed, by its name."""
    return [
        {
            "name": family.name,
            "help": family.documentation,
            "type": family.type,
            "samples": [[sample.name, sample.labels, sample.value] for sample in family.samples],
            "across": across.get(family.name, Across.SUM).name,
        }
        for family in families
    ]


def only_growing(dumped: Dump) -> Dump:
    """Counters and histograms: what must not fall when a process is gone, or a scraper takes it for a new beginning of all of them."""
    return [family for family in dumped if family["type"] in {"counter", "histogram"}]


def added(dumps: Sequence[Dump]) -> Dump:
    """Several as one, of families that add up."""
    return dump(merged([], dumps))


def merged(own: Dump, others: Sequence[Dump]) -> list[Metric]:
    """`own`: of the process that answers."""
    families: dict[str, dict[str, Any]] = {}
    values: dict[str, dict[_Key, float]] = {}
    for dumped in (own, *others):
        for family in dumped:
            name = family["name"]
            families.setdefault(name, family)
            into = values.setdefault(name, {})
            rule = Across[family["across"]]
            if rule is not Across.OWN:
                _fold(into, family, _FOLDS[rule])
            elif dumped is own:
                _fold(into, family, max)
    return [_metric(family, values[name]) for name, family in families.items()]


def _fold(into: dict[_Key, float], family: Mapping[str, Any], fold: Callable[[float, float], float]) -> None:
    for name, labels, value in family["samples"]:
        key = (name, tuple(labels.items()))
        into[key] = fold(into[key], value) if key in into else value


def _metric(family: Mapping[str, Any], values: Mapping[_Key, float]) -> Metric:
    metric = Metric(family["name"], family["help"], family["type"])
    for (name, labels), value in values.items():
        metric.add_sample(name, dict(labels), value)
    return metric
