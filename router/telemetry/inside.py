"""What a provider tells of its inside, under the names that everybody knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from router.contract.provider import State
from router.telemetry import metrics
from router.telemetry.metrics import Declared

_GAUGES: Mapping[str, Declared] = {
    "ready": metrics.ENGINE_READY,
    "start_share": metrics.ENGINE_START,
    "load_seconds": metrics.ENGINE_LOAD,
    "rows": metrics.ENGINE_ROWS,
    "rows_most": metrics.ENGINE_ROWS_MOST,
    "speeches": metrics.ENGINE_SPEECHES,
    "speeches_waiting": metrics.ENGINE_WAITING,
    "frames_per_second": metrics.ENGINE_FRAME_RATE,
    "model_resident_bytes": metrics.ENGINE_MODEL_BYTES,
    "voices_bytes": metrics.ENGINE_VOICES_BYTES,
}
_STAGE = "_seconds"
_REGENERATED = "chunks_regenerated_"
_MOST = 64
"""Figures of each kind that are taken from one provider."""
_LONGEST = 120
"""Characters of a reason or a name."""


def told_of_inside(
    provider: str, inside: State
) -> Iterator[tuple[Declared, tuple[str, ...], float]]:
    """The rows of one provider. What it calls by other names than ours goes by its own."""
    for name, value in islice(inside.gauges.items(), _MOST):
        known = _GAUGES.get(name)
        if known is not None:
            yield known, (provider,), value
        else:
            yield metrics.FIGURE, (provider, name[:_LONGEST]), value
    for name, value in islice(inside.counters.items(), _MOST):
        if name == "frames":
            yield metrics.ENGINE_FRAMES, (provider,), value
        elif name.endswith(_STAGE):
            yield metrics.ENGINE_STAGES, (provider, name.removesuffix(_STAGE)[:_LONGEST]), value
        elif not name.startswith(_REGENERATED):  # an event tells of each
            yield metrics.FIGURE_TOTAL, (provider, name[:_LONGEST]), value
    for part, path in islice(inside.paths.items(), _MOST):
        labels = (provider, part[:_LONGEST], path.path[:_LONGEST], path.why[:_LONGEST])
        yield metrics.ENGINE_PATH, labels, 1
