"""Long texts piece by piece: every word once and in order, whoever dies on the way."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from router.contract.audio import AudioFormat
from router.contract.errors import Broken, SpeechError, Unreachable
from router.contract.record import SpeechResumed
from router.contract.speech import SpeechOrder, Voice
from router.testing.scripted import Bytes, Raise, Script, Scripted
from tests.audio.ffmpeg import heard as decoded
from tests.dispatch.indices import heard_words, spoken_words, words
from tests.dispatch.stage import CLIP, PCM, Stage, able, asking, opened, stage

PIECES: dict[str, Any] = {
    "model": {"pieces": "always", "piece_chars": 80, "max_input": 100_000},
    "outlook": {"least": 1000},
    "timeouts": {"retry_pause_s": 0.001},
}
"""Providers die all the time here: no breaker is to hide it."""


def counting(dice: random.Random | None = None, part: float = 0.3) -> Scripted:
    """A provider that speaks the index of each word, and dies in some speeches after some of it."""

    def play(order: SpeechOrder) -> Script:
        sound = spoken_words(order.text)
        if dice is None or dice.random() > part:
            return Script((Bytes(sound),))
        if dice.random() < 0.2:
            return Script(entering=(Raise(Unreachable("x")),))
        return Script(
            (Bytes(sound[: 2 * dice.randrange(1, len(sound) // 2 + 1)]), Raise(Broken("x")))
        )

    return Scripted(play, offers=able(formats=(PCM,)))


async def told(on: Stage, text: str, **changed: Any) -> list[int]:
    _, body = await on.heard(asking(text, **changed))
    return heard_words(body)


async def test_a_long_text_is_heard_whole_and_in_order(tmp_path: Path) -> None:
    async with stage(tmp_path, PIECES, one=counting()) as on:
        record = opened()
        _, body = await on.heard(asking(words(300)), record)
        assert heard_words(body) == list(range(300))
        assert record.pieces > 10
        assert all(len(order.text) <= 80 for order in on.players["one"].orders)


@pytest.mark.parametrize("seed", range(12))
async def test_every_word_is_heard_once_whoever_dies(seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)
    one, two = counting(dice, part=0.6), counting()
    async with stage(tmp_path, PIECES, one=one, two=two) as on:
        record = opened()
        _, body = await on.heard(asking(words(150)), record)
        assert heard_words(body) == list(range(150))
        resumed = [event for event in on.ear.events if isinstance(event, SpeechResumed)]
        assert len(resumed) == record.resumed
        assert on.held == 0


async def test_a_piece_that_both_fail_is_tried_by_both_again(tmp_path: Path) -> None:
    fails = iter([False, True, False])
    one, two = counting(), counting()

    def sometimes(order: SpeechOrder) -> Script:
        dies = next(fails, False)
        sound = Bytes(spoken_words(order.text))
        return Script((sound, Raise(Broken("x")))) if dies else Script((sound,))

    one.play = sometimes
    two.play = Script(entering=(Raise(Broken("x")),))
    async with stage(tmp_path, PIECES, one=one, two=two) as on:
        assert await told(on, words(60)) == list(range(60))


async def test_one_speaker_is_kept_as_long_as_it_lives(tmp_path: Path) -> None:
    """After a death the other speaks to the end, although the first could again."""
    once = iter([False, True])

    def dies_in_its_second(order: SpeechOrder) -> Script:
        dies = next(once, False)
        acts = (Bytes(spoken_words(order.text)),)
        return Script((*acts, Raise(Broken("x")))) if dies else Script(acts)

    one = Scripted(dies_in_its_second, offers=able(formats=(PCM,)))
    two = counting()
    async with stage(tmp_path, PIECES, one=one, two=two) as on:
        record = opened()
        _, body = await on.heard(asking(words(150)), record)
        assert heard_words(body) == list(range(150))
        assert (one.entered, record.resumed) == (2, 1)
        assert two.entered == record.pieces - 1


@pytest.mark.parametrize("encoding", ["mp3", "opus", "aac", "flac", "wav"])
async def test_the_pieces_are_one_container(encoding: Any, tmp_path: Path) -> None:
    async with stage(tmp_path, PIECES, one=counting(), two=counting()) as on:
        wanted = AudioFormat(encoding)
        speech, body = await on.heard(asking(words(60), format=wanted, stream=True))
        assert speech.complete
        [sound] = decoded([body], tmp_path)
        assert sound.container == {"opus": "ogg"}.get(encoding, encoding)
        assert sound.frames / sound.rate == pytest.approx(speech.seconds, abs=0.15)


async def test_a_text_longer_than_a_provider_takes_is_cut_for_it(tmp_path: Path) -> None:
    config = {**PIECES, "model": {"max_input": 10_000}}
    one = Scripted(
        lambda order: Script((Bytes(spoken_words(order.text)),)),
        offers=able(formats=(PCM,), max_chars=50),
    )
    async with stage(tmp_path, config, one=one) as on:
        assert await told(on, words(40)) == list(range(40))
        assert all(len(order.text) <= 50 for order in one.orders)


# ---- who may go on


def dying_later(voices: tuple[Voice, ...]) -> Scripted:
    """It speaks its first piece and dies in every later one."""
    seen: list[str] = []

    def play(order: SpeechOrder) -> Script:
        seen.append(order.text)
        acts = (Bytes(spoken_words(order.text)),)
        return Script(acts) if len(seen) == 1 else Script((*acts, Raise(Broken("x"))))

    return Scripted(play, offers=able(formats=(PCM,), cloning=True), voices=voices)


def speaking_as(*voices: Voice) -> Scripted:
    return Scripted(
        lambda order: Script((Bytes(spoken_words(order.text)),)),
        offers=able(formats=(PCM,), cloning=True),
        voices=voices,
    )


WOMAN = Voice(id="alloy", gender="female", languages=("en",))
MAN = Voice(id="alloy", gender="male", languages=("en",))


@pytest.mark.parametrize(
    ("change", "other", "clip", "goes_on"),
    [
        ("any", MAN, None, True),
        ("same-language-and-gender", MAN, None, False),
        ("same-language-and-gender", WOMAN, None, True),
        ("same-voice", WOMAN, None, False),
        ("any", WOMAN, CLIP, False),
    ],
)
async def test_who_may_go_on_is_a_matter_of_policy(
    change: str, other: Voice, clip: Any, goes_on: bool, tmp_path: Path
) -> None:
    config = {**PIECES, "model": {**PIECES["model"], "voice_change": change}}
    one, two = dying_later((WOMAN,)), speaking_as(other)
    async with stage(tmp_path, config, one=one, two=two) as on:
        if goes_on:
            assert await told(on, words(60), clip=clip) == list(range(60))
            return
        record = opened()
        with pytest.raises(SpeechError):
            await on.heard(asking(words(60), clip=clip), record)
        assert record.outcome == "broken"
        assert two.entered == 0


async def test_nothing_held_means_that_a_death_in_a_piece_breaks_off(tmp_path: Path) -> None:
    config = {**PIECES, "model": {**PIECES["model"], "hold": "none"}}
    async with stage(tmp_path, config, one=dying_later((WOMAN,)), two=counting()) as on:
        with pytest.raises(SpeechError):
            await on.heard(asking(words(60)))


async def test_dots_alone_are_a_pause_and_asked_of_nobody(tmp_path: Path) -> None:
    one = counting()
    async with stage(tmp_path, PIECES, one=one) as on:
        text = "…\n\n" + words(10) + "\n\n***\n\n" + words(10)
        heard = await told(on, text)
        assert heard == [*range(10), *range(10)]
        assert all(any(map(str.isalnum, order.text)) for order in one.orders)


def test_the_test_itself_hears_what_is_missing_or_twice() -> None:
    sound = spoken_words(words(10))
    step = len(sound) // 10
    assert heard_words(sound) == list(range(10))
    assert heard_words(sound[step:]) == list(range(1, 10))
    assert heard_words(sound[: 5 * step] + sound[4 * step :]) == [0, 1, 2, 3, 4, 4, *range(5, 10)]
    with pytest.raises((AssertionError, ValueError)):
        heard_words(sound[:-100])
