"""What a dead, a hanging and a slow first provider cost: time to first audio against the second
alone, side by side in one run.

    python -m tests.bench.failover [--rounds 40]

The bound that it checks, over the second provider alone, medians of one run:

- dead (connections refused, or closed behind the head): nothing but the attempt, `DEAD_S`;
- hanging: the first's own limit for its first sound (`first_audio_s`), plus `DEAD_S`;
- slow, and in time: its own time, since it speaks; with a hedge the p95 of its usual first sound,
  and `HEDGE_S` for the second's start;
- any of them, once the breaker has opened: `RESTING_S`.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from tests.dispatch.indices import words
from tests.support.faults import HEALTHY, Fault, cuts, latency, resets, stalls
from tests.support.indexed import UNPROBED, Scene, provider, route, scene
from tests.support.process import serving
from tests.support.scripts import SPEECH, UNJUDGED, asking
from tests.support.wire import connected

ROUNDS = 40
FIRST_AUDIO_S = 0.5
SECOND_S = 0.05
"""The second provider's own time to its first sound."""
SLOW_S = 0.3
DEAD_S = 0.025
HEDGE_S = 0.05
RESTING_S = 0.01
_WARM = 25
"""Requests after which a first sound is known to be late."""
_PLIGHTS: Mapping[str, Fault | None] = {
    "refused": None,
    "closed": cuts(0),
    "reset": resets(0),
    "hanging": stalls(-1),
    "slow": latency(SLOW_S),
    "hedged": latency(SLOW_S),
}
_ALONE = "alone"


class Case(msgspec.Struct, frozen=True):
    """A model, whether the breaker may open, and how much it may add to the second alone."""

    name: str
    model: str
    rests: bool
    bound_s: float


CASES = (
    Case("connections refused", "refused", False, DEAD_S),
    Case("closed behind the head", "closed", False, DEAD_S),
    Case("reset behind the head", "reset", False, DEAD_S),
    Case("hanging", "hanging", False, FIRST_AUDIO_S + DEAD_S),
    Case("slow, in time", "slow", False, SLOW_S - SECOND_S + DEAD_S),
    Case("slow, hedged", "hedged", False, HEDGE_S + DEAD_S),
    Case("refused, known to be dead", "refused", True, RESTING_S),
    Case("hanging, known to hang", "hanging", True, RESTING_S),
)


@asynccontextmanager
async def routers(folder: Path) -> AsyncIterator[tuple[str, str, Mapping[str, Scene]]]:
    """Two routers with the same providers: one whose breakers never open, one whose breakers do."""
    async with AsyncExitStack() as stack:
        scenes = {name: await stack.enter_async_context(scene()) for name in (*_PLIGHTS, "second")}
        scenes["second"].proxy.fault = latency(SECOND_S)
        entries = {name: provider(one, name) for name, one in scenes.items()}
        models = {name: route(name, "second") for name in _PLIGHTS}
        models["hedged"]["hedge"] = 0.5
        models[_ALONE] = route("second")
        urls = []
        for name, outlook in (
            ("never", UNPROBED),
            ("opens", {"cool_s": 600, "cool_most_s": 600, "probe": "off"}),
        ):
            config = {
                "integrity": UNJUDGED,
                "providers": entries,
                "models": models,
                "outlook": outlook,
                "timeouts": {"first_audio_s": FIRST_AUDIO_S, "retry_pause_s": 0},
            }
            urls.append(await _serving(stack, config, folder / name))
        yield urls[0], urls[1], scenes


async def _serving(stack: AsyncExitStack, config: Mapping[str, Any], own: Path) -> str:
    await asyncio.to_thread(own.mkdir)
    process = ExitStack()
    stack.push_async_callback(asyncio.to_thread, process.close)
    server = await asyncio.to_thread(process.enter_context, serving(config, own))
    return server.url


async def first_audio_s(url: str, model: str) -> float:
    """Seconds from the request's first byte to the first byte of audio."""
    async with connected(url) as line:
        began = time.perf_counter()
        await line.ask(SPEECH, asking(model, input=words(20)))
        head = await line.head()
        assert head.status == 200, (model, head)
        assert await line.piece(head)
        return time.perf_counter() - began


async def measured(rounds: int, folder: Path) -> dict[str, list[tuple[float, float]]]:
    """Of each case, in each round: its time, and that of the second alone right before it."""
    found: dict[str, list[tuple[float, float]]] = {case.name: [] for case in CASES}
    async with routers(folder) as (never, opens, scenes):
        for url in (never, opens):
            for _ in range(_WARM):
                await first_audio_s(url, _ALONE)
        for _ in range(_WARM):  # what is usual of it, before it becomes slow
            await first_audio_s(never, "hedged")
        await _fall_ill(scenes)
        for _ in range(_WARM):
            for case in CASES:
                if case.rests:
                    await first_audio_s(opens, case.model)
        for _ in range(rounds):
            for case in CASES:
                if case.model == "hedged":
                    await _keep_usual(never, scenes)
                url = opens if case.rests else never
                alone = await first_audio_s(url, _ALONE)
                found[case.name].append((await first_audio_s(url, case.model), alone))
    return found


async def _fall_ill(scenes: Mapping[str, Scene]) -> None:
    for name, fault in _PLIGHTS.items():
        if fault is None:
            await scenes[name].proxy.refuse()
        else:
            scenes[name].proxy.fault = fault


async def _keep_usual(url: str, scenes: Mapping[str, Scene]) -> None:
    """Nine of ten are in time: so the slow one is the exception, as a hedge supposes."""
    scenes["hedged"].proxy.fault = HEALTHY
    for _ in range(3):
        await first_audio_s(url, "hedged")
    scenes["hedged"].proxy.fault = latency(SLOW_S)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measured(rounds, Path(folder)))
    print(f"time to first audio in ms, medians of {rounds} rounds; p95 in brackets")
    print("| first provider | second alone | with fallback | added | bound | held |")
    print("|---|---|---|---|---|---|")
    held = True
    for case in CASES:
        times = [took for took, _ in found[case.name]]
        alone = statistics.median(alone for _, alone in found[case.name])
        added = statistics.median(took - alone for took, alone in found[case.name])
        p95 = sorted(times)[int(0.95 * (len(times) - 1))]
        with_it = f"{statistics.median(times) * 1e3:.1f} ({p95 * 1e3:.1f})"
        ends = f"{added * 1e3:.1f} | {case.bound_s * 1e3:.0f} | {added <= case.bound_s}"
        print(f"| {case.name} | {alone * 1e3:.1f} | {with_it} | {ends} |")
        held = held and added <= case.bound_s
    if not held:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
