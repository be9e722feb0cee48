"""What goes wrong between the router and its providers, and what the caller hears of it: nothing,
where another can speak; a clear error or a broken stream, where nobody can."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import pytest
import pytest_asyncio

from router.testing.misbehaving import Request
from router.testing.watch import becomes
from tests.dispatch.indices import heard_words, words
from tests.live.played import check, play, stage
from tests.live.scenarios import ALL, WORDS, Scenario
from tests.support.faults import Fault, drips, stalls
from tests.support.indexed import World
from tests.support.process import Log
from tests.support.scripts import SPEECH, asking
from tests.support.wire import Answer, Line, connected, exchange

pytestmark = pytest.mark.asyncio(loop_scope="module")
LET_GO_S = 2.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def there(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with stage(tmp_path_factory.mktemp("faults")) as there:
        yield there
        errors = [line for line in there.server.log.text.splitlines() if '"level":"error"' in line]
        assert [line for line in errors if "left alone" not in line] == []


@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.name)
async def test_the_caller_gets_what_can_be_had(scenario: Scenario, there: World) -> None:
    check(scenario, await play(scenario, there))


async def test_a_provider_that_flaps_is_never_heard_of(there: World) -> None:
    await there.heal()
    async with there.first.proxy.flapping(0.05, 0.05):
        for _ in range(40):
            answer = await asked(there, "pieces", words(20))
            assert (answer.status, answer.whole) == (200, True)
            assert heard_words(answer.body) == list(range(20))
    assert there.first.asked
    assert there.second.asked


async def test_silence_is_asked_of_nobody(there: World) -> None:
    """Law 2."""
    await there.heal()
    answer = await asked(there, "it", "…")

    assert (answer.status, len(answer.body)) == (200, 14_400)
    assert answer.headers["x-tts-provider"] == "router"
    assert (there.first.asked, there.second.asked) == (0, 0)


@pytest.mark.parametrize(
    "leave", [Line.finish, Line.reset, Line.close], ids=lambda way: way.__name__
)
@pytest.mark.parametrize(
    "fault",
    [stalls(-1), stalls(0), drips(480, 0.02)],
    ids=["before an answer", "before the first sound", "while it speaks"],
)
@pytest.mark.parametrize("model", ["it", "pieces"])
async def test_who_hangs_up_takes_the_provider_with_him(
    model: str, fault: Fault, leave: Callable[[Line], None], there: World
) -> None:
    """Law 4, 5: the provider's connection is closed at once, and nobody else is asked."""
    await there.heal()
    there.first.proxy.fault = fault
    requests = there.first.upstream.requests
    said = _abandoned(there.server.log)
    async with connected(there.url) as line:
        await line.ask(SPEECH, asking(model, input=words(WORDS)))
        await there.first.upstream.request()
        if fault.after is None:
            assert await line.piece(await line.head())
        leave(line)
        assert await becomes(lambda: _has_left(requests), LET_GO_S)

    assert there.second.asked == 0
    await asyncio.to_thread(there.server.log.until, lambda log: _abandoned(log) > said)


async def asked(there: World, model: str, text: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await exchange(there.url, SPEECH, asking(model, input=text), headers=named)


def _abandoned(log: Log) -> int:
    return sum(record["outcome"] == "abandoned" for record in log.records)


def _has_left(requests: Sequence[Request]) -> bool:
    """Whether the newest request's connection was closed."""
    return requests[-1].gone.is_set()
