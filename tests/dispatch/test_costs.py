"""What providers take from us, and what they count: told once for every call that was made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from router.contract.audio import AudioFormat, AudioStream
from router.contract.errors import Broken
from router.contract.record import SpeechMade
from router.contract.speech import Cost, SpeechOrder
from router.testing.scripted import Hang, Raise, Script, Scripted, Tone
from tests.dispatch.stage import Stage, able, asking, opened, stage

TEXT = "It is twenty letters"
DEAR, CHEAP = Cost(per_1k_chars=1.0, currency="USD"), Cost(per_1k_chars=0.1, currency="USD")
AN_HOUR = Cost(per_minute=1.0, currency="EUR")


def costing(cost: Cost, script: Script | None = None) -> Scripted:
    return Scripted(script or Script(), offers=able(cost=cost))


def costs(on: Stage) -> list[tuple[str, float]]:
    """Who took how much, in the order in which it was told."""
    made = [event for event in on.ear.events if isinstance(event, SpeechMade)]
    return [(event.provider, round(event.cost, 6)) for event in made if event.cost]


async def test_a_speech_costs_what_its_provider_says(tmp_path: Path) -> None:
    async with stage(tmp_path, one=costing(DEAR)) as on:
        await on.heard(asking(TEXT))
        assert costs(on) == [("one", 0.02)]


async def test_who_was_asked_as_well_and_let_go_has_cost_too(tmp_path: Path) -> None:
    one, two = costing(DEAR), costing(CHEAP)
    async with stage(tmp_path, {"model": {"hedge": 0.5}}, one=one, two=two) as on:
        for _ in range(20):
            await on.heard(asking(TEXT))
        one.play = Script(entering=(Hang(),))
        before = len(costs(on))
        record = opened()
        async with asyncio.timeout(5):
            await on.heard(asking(TEXT), record)
        assert record.hedged
        assert sorted(costs(on)[before:]) == [("one", 0.02), ("two", 0.002)]


async def test_who_is_left_in_mid_speech_has_cost_all_of_the_text(tmp_path: Path) -> None:
    async with stage(tmp_path, one=costing(DEAR, Script((Tone(1.0), Hang())))) as on:
        async with on.speak(asking(TEXT)) as speech:
            await anext(speech.chunks())
        assert costs(on) == [("one", 0.02)]


async def test_who_is_left_in_mid_speech_and_paid_by_the_minute_has_cost_what_it_made(
    tmp_path: Path,
) -> None:
    async with stage(tmp_path, one=costing(AN_HOUR, Script((Tone(6.0), Hang())))) as on:
        async with on.speak(asking(TEXT)) as speech:
            chunks, heard = speech.chunks(), 0
            while heard < 6 * 48_000:
                heard += len(await anext(chunks))
        assert costs(on) == [("one", 0.1)]


@pytest.mark.parametrize(
    "script", [Script(entering=(Raise(Broken("x")),)), Script((Raise(Broken("x")),))]
)
async def test_who_made_no_sound_has_cost_nothing(script: Script, tmp_path: Path) -> None:
    async with stage(tmp_path, one=costing(DEAR, script), two=costing(CHEAP)) as on:
        await on.heard(asking(TEXT))
        assert costs(on) == [("two", 0.002)]


class Counting(Scripted):
    """A provider whose upstream counts two tokens a letter, and says so at the end."""

    is_silent_on = "\0"
    """An order with this in it is not told of."""

    @asynccontextmanager
    async def synthesize(
        self, order: SpeechOrder, format: AudioFormat
    ) -> AsyncIterator[AudioStream]:
        async with super().synthesize(order, format) as stream:
            if self.is_silent_on not in order.text:
                stream.tokens = 2 * len(order.text)
            yield stream


LONG = "This is one sentence of several. " * 30
IN_PIECES = {"model": {"pieces": "always", "piece_chars": 200}}


async def test_the_tokens_of_all_pieces_are_added_up(tmp_path: Path) -> None:
    one = Counting()
    async with stage(tmp_path, IN_PIECES, one=one) as on:
        record = opened()
        speech, _ = await on.heard(asking(LONG), record)
        assert record.pieces > 2
        assert speech.sound is not None
        assert speech.sound.tokens == sum(2 * len(order.text) for order in one.orders)


async def test_where_one_piece_tells_no_tokens_nobody_knows_them(tmp_path: Path) -> None:
    one = Counting()
    one.is_silent_on = "Quiet"
    async with stage(tmp_path, IN_PIECES, one=one) as on:
        speech, _ = await on.heard(asking(LONG + "Quiet now. " + LONG))
        assert speech.sound is not None
        assert speech.sound.tokens is None


async def test_tokens_of_the_whole_are_reckoned_from_those_of_a_part(tmp_path: Path) -> None:
    one = Counting(lambda order: Script((Tone(1.0),)) if len(one.orders) < 3 else Script((Hang(),)))
    async with stage(tmp_path, IN_PIECES, one=one) as on, on.speak(asking(LONG)) as speech:
        chunks = speech.chunks()
        await anext(chunks)
        async with asyncio.timeout(5):
            await one.until(lambda v: v.accepted == 3)
        assert speech.sound is not None
        assert speech.sound.tokens == pytest.approx(2 * len(LONG), rel=0.05)


async def test_who_goes_on_has_a_share_of_its_own(tmp_path: Path) -> None:
    def plays(order: SpeechOrder) -> Script:
        is_dead = len(one.orders) > 2
        return Script(entering=(Raise(Broken("x")),)) if is_dead else Script((Tone(1.0),))

    one, two = Counting(plays), Counting(lambda _: Script((Tone(2.0),)))
    config = {"model": {**IN_PIECES["model"], "voice_change": "any"}}
    async with stage(tmp_path, config, one=one, two=two) as on:
        speech, _ = await on.heard(asking(LONG))
        assert speech.sound is not None
        shares = {share.provider: share.audio_s for share in speech.sound.shares}
        assert shares["one"] == pytest.approx(2.0, abs=1.0)
        assert shares["two"] == pytest.approx(2.0 * len(two.orders), rel=0.2)
