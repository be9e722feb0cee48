"""What the engine tells of its inside: one line for people, figures for graphs."""

from __future__ import annotations

from collections.abc import Mapping

from providers.moss_tts_nano.engine.engine import Engine
from providers.moss_tts_nano.engine.tally import STAGES
from providers.moss_tts_nano.settings import Precision
from providers.moss_tts_nano.starting import Start
from router.contract.provider import ServingPath, State

_IN_PRECISION = ("language_model", "fixed_frames", "greedy_frames")
"""Parts whose graphs are built in the precision of the settings; the codec's are always exact."""
_SHORT_CHARS = 80
"""Of a reason, in the line for people; all of it is in the facts."""


def state_of(start: Start, regenerated: Mapping[str, int]) -> State:
    """How an instance is now; `regenerated`: chunks that were made again, by what was found."""
    ready = start.model is not None
    engine = start.model.engine if start.model is not None else None
    return State(
        line=_line(engine, start.paths) if engine is not None else start.told,
        gauges={
            "ready": float(ready),
            "start_share": 1.0 if ready else start.share,
            "rows": float(engine.rows if engine else 0),
            "rows_most": float(engine.seats if engine else 0),
            "speeches": float(engine.under_way if engine else 0),
            "speeches_waiting": float(engine.waiting if engine else 0),
            "frames_per_second": engine.frames_per_s if engine else 0.0,
            "voices_bytes": float(engine.prefix_bytes if engine else 0),
            "model_resident_bytes": float(start.model_bytes),
            "load_seconds": start.load_s,
        },
        counters={
            "frames": float(engine.frames if engine else 0),
            **_stages(engine),
            **{f"chunks_regenerated_{name}": float(n) for name, n in regenerated.items()},
        },
        facts={part: _path(why) for part, why in start.paths.items()},
        paths={part: _serving(part, why, start.precision) for part, why in start.paths.items()},
    )


def _stages(engine: Engine | None) -> dict[str, float]:
    seconds = engine.tally.seconds if engine is not None else dict.fromkeys(STAGES, 0.0)
    return {f"{stage}_seconds": seconds[stage] for stage in STAGES}


def _line(engine: Engine, paths: Mapping[str, str]) -> str:
    if engine.died_of is not None:
        return f"the engine has died of {type(engine.died_of).__name__}: restart the router."
    shipped = {part: why for part, why in paths.items() if why}
    told = [
        f"{engine.rows} of {engine.seats} rows speak, {engine.waiting} speeches wait",
        f"{engine.frames_per_s:.0f} frames/s",
    ]
    if not shipped:
        told.append("all graphs are the faster ones")
    elif len(set(shipped.values())) == 1 and len(shipped) == len(paths):
        told.append(f"all graphs are the shipped ones ({_cut(next(iter(shipped.values())))})")
    else:
        told += [f"shipped graph for {part} ({_cut(why)})" for part, why in shipped.items()]
    return "; ".join(told) + "."


def _serving(part: str, why: str, precision: Precision) -> ServingPath:
    if why:
        return ServingPath("reference", _cut(why))
    return ServingPath(precision if part in _IN_PRECISION else "exact")


def _path(why: str) -> str:
    return f"shipped: {why}" if why else "faster"


def _cut(why: str) -> str:
    return why if len(why) <= _SHORT_CHARS else f"{why[: _SHORT_CHARS - 1]}…"
