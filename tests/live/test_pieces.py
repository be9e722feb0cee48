"""A long text over HTTP, piece by piece: one container, and every word once, whoever dies."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from router.contract.audio import ENCODINGS, Encoding
from tests.audio.ffmpeg import heard as decoded
from tests.audio.ffmpeg import raw
from tests.dispatch.indices import heard_words, words
from tests.live.scenarios import CONFIG, MODELS
from tests.support.faults import Fault, cuts, resets, stalls
from tests.support.indexed import FIRST, RATE, SECOND, WORD_BYTES, World, route, speaks_words, world
from tests.support.scripts import SPEECH, asking
from tests.support.sse import events, told_audio
from tests.support.wire import Answer, connected, exchange

pytestmark = pytest.mark.asyncio(loop_scope="module")
WORDS = 150
LIMIT = 90
SHORT = {"models": {"short-1": {"formats": ["pcm"], "sample_rate": RATE, "max_chars": LIMIT}}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def there(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    models = {"pieces": MODELS["pieces"], "long": route(FIRST, SECOND, max_input=100_000)}
    config = {**CONFIG, "models": models}
    folder = tmp_path_factory.mktemp("pieces")
    async with world(folder, config, of_each={SECOND: SHORT}) as there:
        yield there


@pytest.fixture
async def well(there: World) -> World:
    await there.heal()
    return there


async def told(there: World, model: str = "pieces", count: int = WORDS, **fields: Any) -> Answer:
    answer = await exchange(there.url, SPEECH, asking(model, input=words(count), **fields))
    assert answer.status == 200
    return answer


def dying(dice: random.Random, part: float) -> Any:
    """Answers that die somewhere, in so many of a hundred."""

    def choose(_number: int) -> Fault:
        if dice.random() > part:
            return Fault()
        after = dice.choice((-1, 0, dice.randrange(6_000)))
        return dice.choice((cuts, cuts, cuts, resets, resets, resets, stalls))(after)

    return choose


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_pieces_are_one_container(encoding: Encoding, well: World, tmp_path: Path) -> None:
    """As long as the same words, and the pauses between them."""
    plain = await told(well, response_format="pcm")
    answer = await told(well, response_format=encoding, stream=True)

    assert answer.whole
    known = [raw(RATE, 1)] if encoding == "pcm" else []
    [sound] = decoded([answer.body], tmp_path, *known)
    assert sound.frames / sound.rate == pytest.approx(len(plain.body) / 2 / RATE, abs=0.15)
    assert len(plain.body) > WORDS * WORD_BYTES


@pytest.mark.parametrize("encoding", ["mp3", "wav", "pcm"])
@pytest.mark.parametrize("form", ["audio", "sse"])
async def test_a_death_is_not_heard_in_any_format(
    encoding: Encoding, form: str, well: World, tmp_path: Path
) -> None:
    plain = await told(well, response_format="pcm")
    before = well.first.proxy.answers
    well.first.proxy.chooses = lambda number: cuts(500) if number == before + 4 else Fault()
    answer = await told(well, response_format=encoding, stream=True, stream_format=form)

    assert answer.whole
    if form == "sse":
        assert events(answer.body)[-1]["type"] == "speech.audio.done"
    body = told_audio(answer.body) if form == "sse" else answer.body
    known = [raw(RATE, 1)] if encoding == "pcm" else []
    [sound] = decoded([body], tmp_path, *known)
    # Each piece ends in a pause of its own length, whoever speaks it: nothing is lost or twice.
    assert sound.frames / sound.rate == pytest.approx(len(plain.body) / 2 / RATE, abs=0.15)


@pytest.mark.parametrize("form", ["audio", "sse"])
@pytest.mark.parametrize("seed", range(6))
async def test_every_word_is_heard_once_wherever_a_provider_dies(
    seed: int, form: str, well: World
) -> None:
    well.first.proxy.chooses = dying(random.Random(seed), 0.4)
    answer = await told(well, stream_format=form)

    body = told_audio(answer.body) if form == "sse" else answer.body
    assert answer.whole
    assert heard_words(body) == list(range(WORDS))


async def test_who_has_taken_over_speaks_to_the_end(well: World) -> None:
    seen = well.first.proxy.answers
    well.first.proxy.chooses = lambda number: cuts(500) if number == seen + 3 else Fault()
    await told(well)

    assert well.first.asked == 3
    assert well.second.asked > 3


async def test_the_first_piece_is_short_and_sent_while_the_next_is_made(well: World) -> None:
    well.first.behaves = speaks_words(every_s=0.05)
    async with connected(well.url) as line:
        await line.ask(SPEECH, asking("pieces", input=words(WORDS)))
        head = await line.head()
        assert await line.piece(head)
        asked = [request.json()["input"] for request in well.first.upstream.requests]
        assert len(asked) < 4
        assert len(asked[0]) <= 60
        assert (await line.rest(head)).whole


async def test_a_text_longer_than_a_provider_takes_is_cut_for_it(well: World) -> None:
    """Without any setting: nobody on the route takes less than the shortest limit."""
    answer = await told(well, "long", 1_000)

    assert heard_words(answer.body) == list(range(1_000))
    sent = [request.json()["input"] for request in well.first.upstream.requests]
    assert len(sent) > 1_000 * 4 / LIMIT / 2
    assert max(map(len, sent)) <= LIMIT
