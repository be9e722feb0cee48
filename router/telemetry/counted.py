"""Counters and histograms that are counted by the event loop, as they are declared."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from router.telemetry.metrics import Declared

# Looking a child up by its labels takes longer than counting does (tests/bench/telemetry.py), so
# each is looked up once.


class Count:
    """One counter, with its children."""

    def __init__(self, declared: Declared, registry: CollectorRegistry) -> None:
        self._metric = Counter(declared.name, declared.help, declared.labels, registry=registry)
        self._children: dict[tuple[str, ...], Counter] = {}

    def add(self, amount: float, *labels: str) -> None:
        child = self._children.get(labels)
        if child is None:
            metric = self._metric
            child = self._children[labels] = metric.labels(*labels) if labels else metric
        child.inc(amount)


class Spread:
    """One histogram, with its children."""

    def __init__(self, declared: Declared, registry: CollectorRegistry) -> None:
        self._metric = Histogram(
            declared.name,
            declared.help,
            declared.labels,
            registry=registry,
            buckets=declared.buckets,
        )
        self._children: dict[tuple[str, ...], Histogram] = {}

    def add(self, amount: float, *labels: str) -> None:
        child = self._children.get(labels)
        if child is None:
            metric = self._metric
            child = self._children[labels] = metric.labels(*labels) if labels else metric
        child.observe(amount)


class Level:
    """One gauge without labels that is set where something happens."""

    def __init__(self, declared: Declared, registry: CollectorRegistry) -> None:
        self._metric = Gauge(declared.name, declared.help, registry=registry)

    def set(self, amount: float) -> None:
        self._metric.set(amount)
