"""What happens to the routers while Prometheus watches: health, illness, loss, and an end."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NamedTuple

from tests.grafana.hooks import Hooks
from tests.grafana.promql import SHORT
from tests.grafana.server import Prometheus, comes
from tests.grafana.world import FEW, KEY, World
from tests.live.moss import READY_S
from tests.support.scripts import SPEECH
from tests.support.wire import Answer, connected, exchange

TALKS = 12
"""Speeches of the good voice in health, after the first one."""
MUTED, CUT, HASTY, LATE, SLOW = 14, 6, 8, 40, 3
"""Requests in illness of each kind, after the first of each."""
DEAD = 8
"""Requests that nobody can speak, each time: more than it takes until nobody is asked any more."""
JOBS = "/v1/audio/speech/jobs"
_SHORT = "This is sentence {number:04}, with a middle and an end."
_LONG = "One more sentence that is long enough to be a piece of its own. " * 4
CHARACTERS = len(_SHORT.format(number=0))


class Told(NamedTuple):
    """What can be asked afterwards, and the times of which it can be asked."""

    watch: Prometheus
    first: float
    """Each kind of speech was asked for once, in health."""
    healthy: float
    ill: float
    lost: float
    gone: float
    records: list[dict[str, Any]]
    """What the router has logged of each request, in its order."""


class Callers:
    """Those who ask for speech; no text is said twice."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._numbers = itertools.count()

    async def say(self, model: str, *, key: str = KEY, **more: Any) -> Answer:
        text = _SHORT.format(number=next(self._numbers))
        body = {"model": model, "input": text, "voice": "alloy", "response_format": "pcm", **more}
        return await exchange(self._url, SPEECH, body, headers={"X-API-Key": key})

    async def all_say(self, model: str, times: int) -> None:
        """So many, at once."""
        await asyncio.gather(*[self.say(model) for _ in range(times)])

    async def under(self, key: str, name: str) -> None:
        """The same twice, under one Idempotency-Key."""
        for _ in range(2):
            headers: Mapping[str, str] = {"X-API-Key": KEY, "Idempotency-Key": key}
            body = {"model": name, "input": key, "voice": "alloy", "response_format": "pcm"}
            assert (await exchange(self._url, SPEECH, body, headers=headers)).status == 200


async def told(world: World) -> Told:
    """All of it, from the beginning to the end."""
    watch, callers = world.watch, Callers(world.router.url)
    with Hooks() as hooks:
        assert await comes(lambda: _speaks(world, "moss"), READY_S)
        await _health(world, callers, hooks, talks=1)
        first = await watch.seen(2)
        await _health(world, callers, hooks, talks=TALKS)
        healthy = await watch.seen(2)
        await _ill(world, callers, hooks, share=0)
        await watch.seen(2)
        await _ill(world, callers, hooks, share=1)
        async with _queue(world):
            ill = await watch.seen(2)
    lost = await _loss(world, callers)
    await asyncio.to_thread(world.other.stop)
    gone = await watch.seen(1)
    return Told(watch, first, healthy, ill, lost, gone, world.router.log.records)


async def _health(world: World, callers: Callers, hooks: Hooks, *, talks: int) -> None:
    """Everything goes well, but for two requests that are at fault."""
    await callers.all_say("talk", talks)
    await callers.all_say("dear", 2)
    await callers.say("moss", voice="en-news")
    both = [callers.say("together", input=f"Both at once: {talks}.") for _ in range(2)]
    await asyncio.gather(*both)
    for _ in range(2):
        await callers.say("together", input=f"Both, one after the other: {talks}.")
    await callers.under(f"Under a key: {talks}.", "talk-again")
    for _ in range(2):
        await callers.say("dear", key=FEW)
    assert (await callers.say("talk", response_format="midi")).status == 400
    await _job(world, hooks.taken)


async def _ill(world: World, callers: Callers, hooks: Hooks, *, share: int) -> None:
    """Each kind of trouble once, or with `share` 1 as often as the alerts want to see it."""

    def often(times: int) -> int:
        return times if share else 1

    await asyncio.gather(
        callers.all_say("late", often(LATE)),
        callers.all_say("slow", often(SLOW)),
        callers.all_say("cut", often(CUT)),
        callers.all_say("hasty", often(HASTY)),
        callers.all_say("dead", DEAD),
        callers.all_say("mute-then-good", often(MUTED)),
        callers.say("long", input=_LONG),
        _job(world, hooks.gone),
    )


@asynccontextmanager
async def _queue(world: World) -> AsyncIterator[None]:
    """Somebody speaks for ever and somebody else waits for it, for as long as alerts look back;
    and a job waits where nobody works."""
    await _posted(world.other.url, JOBS, {"model": "hasty", "input": "Later.", "voice": "alloy"})
    body = {"model": "narrow", "voice": "alloy", "response_format": "pcm"}
    async with connected(world.router.url) as one, connected(world.router.url) as other:
        for number, line in enumerate((one, other)):
            asked = {**body, "input": f"{number} for ever."}
            await line.ask(SPEECH, asked, headers={"X-API-Key": KEY})
        stands = f'min_over_time(tts_slots_waiting{{provider="narrow"}}[{SHORT}]) > 0'
        waits = f'min_over_time(tts_jobs{{state="queued"}}[{SHORT}]) > 0'
        for seen in (stands, waits):
            assert await comes(partial(_is_so, world, seen), 20), seen
        yield


async def _job(world: World, webhook: str) -> None:
    """Hand one in, and wait for its end."""
    body = {"model": "later", "input": "For later.", "voice": "alloy", "webhook_url": webhook}
    job = await _posted(world.router.url, JOBS, body)
    there, headers = f"{JOBS}/{job['id']}", {"X-API-Key": KEY}

    async def is_over() -> bool:
        found = (await exchange(world.router.url, there, headers=headers)).json
        return bool(found["status"] == "completed")

    assert await comes(is_over, 20)


async def _loss(world: World, callers: Callers) -> float:
    """The ledger's store goes, then that of the limits; and the config has a mistake."""
    world.postgres.stop(signal.SIGQUIT)
    await callers.say("talk")
    world.redis.kill()
    await callers.say("talk")
    world.config.write_text("models: 7", "utf-8")
    os.kill(world.router.pid, signal.SIGHUP)
    for lost in ("tts_books_lost == 1", "tts_limits_lost == 1", "tts_config_reload_success == 0"):
        assert await comes(partial(_is_so, world, lost), 20), lost
    return await world.watch.seen(2)


async def _speaks(world: World, provider: str) -> bool:
    found = (await exchange(world.router.url, "/health/ready")).json["providers"]
    return bool(found[provider]["state"] == "on")


async def _is_so(world: World, expr: str) -> bool:
    return bool(await world.watch.values(expr))


async def _posted(url: str, path: str, body: Any) -> Any:
    answer = await exchange(url, path, body, headers={"X-API-Key": KEY})
    assert answer.status == 202, answer.body
    return answer.json
