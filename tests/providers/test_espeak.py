"""espeak-ng speaks: what is ordered, in the language of the text, all of it."""

from __future__ import annotations

import asyncio
import importlib.util
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import msgspec
import numpy as np
import pytest
import pytest_asyncio

from providers.espeak import KIND, Settings
from router.contract.audio import AudioFormat, Clip
from router.contract.errors import ProviderError, Refused
from router.contract.provider import Provider
from router.testing.watch import lateness
from tests.providers.espeak_at_work import (
    PCM,
    STORY,
    children,
    opened,
    order,
    seconds,
    spoken,
)

CAN_READ_KANJI = importlib.util.find_spec("pyopenjtalk") is not None


@pytest_asyncio.fixture
async def espeak() -> AsyncIterator[Provider]:
    async with opened() as provider:
        yield provider


async def test_it_speaks_the_sentence_in_the_format_it_offers(espeak: Provider) -> None:
    async with espeak.synthesize(order(), AudioFormat("pcm")) as stream:
        chunks = [chunk async for chunk in stream.chunks]
    assert stream.format == PCM
    assert stream.voice == "en-us"
    assert all(chunks)
    samples = np.frombuffer(b"".join(chunks), "<i2")
    assert 1.2 < len(samples) / 22050 < 3
    assert np.abs(samples).max() > 5000


async def test_a_long_text_comes_faster_than_it_is_heard(espeak: Provider) -> None:
    begun = time.monotonic()
    heard = await seconds(espeak, order(STORY))
    assert heard > 150
    assert (time.monotonic() - begun) / heard < 0.05


async def test_the_first_chunk_is_there_on_entering(espeak: Provider) -> None:
    await espeak.health()
    async with espeak.synthesize(order(STORY), PCM) as stream:
        async with asyncio.timeout(0.05):  # entering has waited for it
            first = await anext(stream.chunks)
    assert len(first) < 2 * 22050 // 5


async def test_a_long_text_does_not_hold_up_the_event_loop(espeak: Provider) -> None:
    worst_s = []
    for _ in range(3):  # the collector may come once
        async with lateness() as seen:
            await asyncio.gather(*(spoken(espeak, order(STORY)) for _ in range(4)))
        worst_s.append(seen.worst_s)
    assert min(worst_s) < 0.1  # 10 ms on an idle machine


@pytest.mark.parametrize(
    ("language", "gender", "voice"),
    [
        ("en", None, "en-us"),
        ("en", "male", "en-us"),
        ("en", "female", "en-us+f3"),
        ("en-GB", None, "en"),
        ("en-AU", "female", "en+f3"),
        ("zh", None, "cmn"),
        ("zh-Hant-TW", None, "cmn"),
        ("zh-Hant-HK", None, "yue"),
        ("es-MX", None, "es-419"),
        ("es-ES", None, "es"),
        ("fr-CA", None, "fr"),
        ("fr-CH", None, "fr-ch"),
        ("pt-BR", "female", "pt-br+f3"),
        ("pt-PT", None, "pt"),
        ("no", None, "nb"),
        ("sr-Latn", None, "sr"),
    ],
)
async def test_the_voice_is_that_of_the_text_s_language_and_the_voice_s_gender(
    espeak: Provider, language: str, gender: str | None, voice: str
) -> None:
    wanted = order("2026", language, gender=gender)  # type: ignore[arg-type]  # parametrised
    async with espeak.synthesize(wanted, PCM) as stream:
        assert stream.voice == voice


async def test_a_voice_may_be_named_outright(espeak: Provider) -> None:
    for named, voice in {"de": "de", "en-us+Annie": "en-us+Annie", "+m3": "fr+m3"}.items():
        async with espeak.synthesize(order("Bonjour", "fr", voice=named), PCM) as stream:
            assert stream.voice == voice


@pytest.mark.parametrize("named", ["", "nova", "en-us+nobody", "../../etc/passwd", "en-us+../f3"])
async def test_a_voice_that_is_not_there_is_refused(espeak: Provider, named: str) -> None:
    with pytest.raises(Refused):
        await spoken(espeak, order(voice=named))


async def test_female_voices_are_higher_and_pitch_is_in_semitones(espeak: Provider) -> None:
    text = "My mama ran over many yellow lemon rolls, we were all in a room."

    async def pitch_of(**traits: object) -> float:
        return _pitch(await spoken(espeak, order(text, speed=0.8, **traits)))  # type: ignore[arg-type]

    plain = await pitch_of()
    assert 80 < plain < 125
    assert await pitch_of(gender="female") > 1.6 * plain
    for semitones in (-5, -3, 3, 6, 9):
        shifted = 12 * np.log2(await pitch_of(pitch=semitones) / plain)
        assert shifted == pytest.approx(semitones, abs=2)


def _pitch(pcm: bytes) -> float:
    """The median pitch in hertz of the voiced frames, by autocorrelation."""
    samples = np.frombuffer(pcm, "<i2").astype(float)
    found = []
    for start in range(0, len(samples) - 2400, 400):
        frame = samples[start : start + 2400]
        if frame.std() < 800:
            continue
        correlation = np.fft.irfft(np.abs(np.fft.rfft(frame - frame.mean(), 8192)) ** 2)[50:440]
        peaks = np.flatnonzero(
            (correlation[1:-1] >= correlation[:-2])
            & (correlation[1:-1] >= correlation[2:])
            & (correlation[1:-1] > 0.88 * correlation.max())
        )
        if len(peaks):
            found.append(22050 / (peaks[0] + 51))
    return float(np.median(found))


async def test_speed_shortens_and_lengthens(espeak: Provider) -> None:
    plain = await seconds(espeak, order(STORY[:800]))
    for speed in (0.5, 0.75, 1.5, 2.0):
        assert await seconds(espeak, order(STORY[:800], speed=speed)) * speed == pytest.approx(
            plain, rel=0.06
        )
    fastest = await seconds(espeak, order(STORY[:800], speed=5.7))
    assert plain / fastest > 5
    assert await seconds(espeak, order(STORY[:800], speed=100)) == pytest.approx(fastest, rel=0.05)


@pytest.mark.parametrize("text", ["", "   ", "…", "!?", "\0\x01", "—", "👍", "\ud800"])
async def test_a_text_with_nothing_to_say_is_refused(espeak: Provider, text: str) -> None:
    with pytest.raises(Refused):
        await spoken(espeak, order(text))
    assert not children()


async def test_letters_that_espeak_does_not_know_are_refused_not_answered_with_silence(
    espeak: Provider,
) -> None:
    with pytest.raises(Refused):
        await spoken(espeak, order("ᏂᎦᏓ", "en"))
    assert await seconds(espeak, order()) > 1


@pytest.mark.parametrize(
    "text",
    [
        "Hello\0 there\x01\x7f my friend",
        "\ud800Hello there\udfff my friend",
        "Hello \x0150P there, my friend",
        "Hello\r\n\r\nthere\tmy friend",
    ],
)
async def test_control_characters_are_not_spoken_and_end_nothing(
    espeak: Provider, text: str
) -> None:
    plain = await seconds(espeak, order("Hello there my friend"))
    assert plain * 0.9 < await seconds(espeak, order(text)) < plain + 2.5


async def test_markup_is_read_as_text(espeak: Provider) -> None:
    silent_if_obeyed = '<speak><audio src="/etc/passwd"/></speak>'
    assert await seconds(espeak, order(silent_if_obeyed)) > 1.5
    assert await seconds(espeak, order("[[h@l'oU]] world")) > 1


async def test_no_text_breaks_it(espeak: Provider) -> None:
    dice = random.Random(7)
    ranges = [(0, 0x250), (0x300, 0x1200), (0x2000, 0x3200), (0x4E00, 0xAE00), (0xD7F0, 0x1F700)]
    languages = sorted(espeak.offers()["espeak-ng"].languages or ())
    for _ in range(80):
        text = "".join(chr(dice.randint(*dice.choice(ranges))) for _ in range(dice.randint(1, 60)))
        try:
            assert await seconds(espeak, order(text, dice.choice(languages))) > 0.04
        except Refused:
            continue
    assert len(children()) == 1 + CAN_READ_KANJI


REPEATED = [
    ("en", "banana"),
    ("en", "1234 "),
    ("en", "the quick brown fox "),
    ("ru", "собака"),
    ("hi", "मनुष्य "),
    ("ko", "모든인간은"),
    ("zh", "人人生而自由在尊严和权利"),
    ("yue", "人人生而自由在尊嚴和權利"),
    ("vi", "người "),
    ("ar", "مدرسة"),
    ("ja", "アイウエオ"),
]


@pytest.mark.parametrize(("language", "words"), REPEATED)
async def test_no_word_is_lost_in_a_text_without_breaks(
    espeak: Provider, language: str, words: str
) -> None:
    some = await seconds(espeak, order(words * 10, language))
    many = await seconds(espeak, order(words * 200, language))
    assert many > 0.9 * 20 * some


async def test_kanji_are_read_with_the_ja_extra_and_refused_without(espeak: Provider) -> None:
    kana = await seconds(espeak, order("とうきょうの てんきわ はれです。", "ja"))
    kanji = order("東京の天気は晴れです。", "ja")
    if CAN_READ_KANJI:
        assert "ja" not in espeak.offers()["espeak-ng"].unreadable
        assert await seconds(espeak, kanji) == pytest.approx(kana, rel=0.25)
    else:
        assert espeak.offers()["espeak-ng"].unreadable["ja"] == {"Han"}
        with pytest.raises(Refused):
            await spoken(espeak, kanji)


async def test_without_the_ja_extra_kana_are_read_and_kanji_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    async with opened() as espeak:
        assert espeak.offers()["espeak-ng"].unreadable["ja"] == {"Han"}
        assert await seconds(espeak, order("こんにちは、みなさん。", "ja")) > 1
        with pytest.raises(Refused):
            await spoken(espeak, order("東京です", "ja"))


async def test_what_it_cannot_do_is_refused(espeak: Provider) -> None:
    impossible = [
        order(language="th"),
        order(language="xx-Latn-XX"),
        order("漢字를 읽습니다", "ko"),
        order("a" * 40_001),
        msgspec.structs.replace(order(), model="espeak"),
        msgspec.structs.replace(order(), clip=Clip(b"RIFF", "wav")),
    ]
    for wanted in impossible:
        with pytest.raises(Refused):
            await spoken(espeak, wanted)
    with pytest.raises(Refused):
        async with espeak.synthesize(order(), AudioFormat("mp3")):
            pass


async def test_an_error_never_holds_the_text(espeak: Provider) -> None:
    secret = "Rumpelstiltskin 東京"
    for language in ("th", "ko", "\n"):
        with pytest.raises(ProviderError) as caught:
            await spoken(espeak, order(secret, language))
        assert "Rumpel" not in repr(caught.value)


def test_settings_are_bounded_and_known() -> None:
    for wrong in ({"children": 0}, {"children": 17}, {"voice": "en"}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, Settings)
    assert KIND.name == "espeak"


def test_its_import_loads_nothing_heavy() -> None:
    heavy = "{'espeakng_loader', 'ctypes', 'numpy', 'subprocess', 'providers.espeak.provider'}"
    code = f"import sys, providers.espeak; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
