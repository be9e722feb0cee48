"""All metrics of one process as the text that Prometheus reads."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec
from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from router.telemetry.counting import Counting
from router.telemetry.sampled import Sample, families


class Text(msgspec.Struct, frozen=True):
    """One answer to a scrape."""

    media_type: str
    body: bytes


class Exposition:
    """What is counted, and how it is told."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.counting = Counting(self._registry)
        self._turn = asyncio.Lock()

    async def text(self, sample: Sample, accept: str) -> Text:
        """Everything, in the format that `accept` asks for: Prometheus' own or OpenMetrics.

        It is written in a thread, one at a time: a few thousand series take some 20 ms.
        """
        encode, media_type = choose_encoder(accept)
        async with self._turn:
            body = await asyncio.to_thread(encode, _Scrape(self._registry, sample))
        return Text(media_type, body)


class _Scrape(Collector):
    """What is counted with what was sampled, for one answer."""

    def __init__(self, registry: CollectorRegistry, sample: Sample) -> None:
        self._registry = registry
        self._sample = sample

    def collect(self) -> Iterable[Metric]:
        for family in self._registry.collect():
            # When a series began is told by its process: it would double their number.
            family.samples = [s for s in family.samples if not s.name.endswith("_created")]
            yield family
        yield from families(self._sample)
