"""The scripted provider does what its script says, and counts it."""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pluggy
import pytest

from router.contract import hookspecs
from router.contract.audio import AudioFormat, Encoding, container_of
from router.contract.errors import Broken, Busy, ProviderError, Refused
from router.contract.provider import Host, Kind, Provider
from router.contract.speech import Capabilities, SpeechOrder, VoiceChoice
from router.testing import scripted
from router.testing.hearing import hear, mistake_in, wav_header
from router.testing.scripted import (
    Bytes,
    Hang,
    Pause,
    Players,
    Raise,
    Script,
    Scripted,
    ScriptedSettings,
    Tone,
    Until,
    in_turn,
)

PCM = AudioFormat("pcm", 24_000, 1)
WAV = AudioFormat("wav", 24_000, 1)
ORDER = SpeechOrder(
    model="tone-1", text="A short sentence.", voice=VoiceChoice("tone"), language="en"
)


def having(*formats: AudioFormat) -> dict[str, Capabilities]:
    return {"tone-1": Capabilities(formats=formats)}


async def body_of(provider: Provider, format: AudioFormat = PCM) -> bytes:
    return (await hear(provider, ORDER, format, 5)).body


@asynccontextmanager
async def configured(tmp_path: Path, **settings: Any) -> AsyncIterator[Scripted]:
    kind = kinds_of(scripted)["scripted"]
    host = Host("test", tmp_path, tmp_path, publish=lambda _event: None)
    async with kind.open(msgspec.convert(settings, ScriptedSettings), host) as provider:
        assert isinstance(provider, Scripted)
        yield provider


def kinds_of(plugin: object) -> dict[str, Kind]:
    plugins = pluggy.PluginManager(hookspecs.PROJECT)
    plugins.add_hookspecs(hookspecs)
    plugins.register(plugin)
    plugins.check_pending()
    answers = plugins.hook.tts_provider_kinds()
    return {kind.name: kind for answer in answers for kind in answer}


@pytest.mark.parametrize("rate", [8000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
async def test_a_tone_has_the_asked_length_in_every_shape(rate: int, channels: int) -> None:
    pcm, wav = AudioFormat("pcm", rate, channels), AudioFormat("wav", rate, channels)
    provider = Scripted(Script(speaking=(Tone(0.5),)), offers=having(pcm, wav), ragged=True)

    plain, filed = await hear(provider, ORDER, pcm, 5), await hear(provider, ORDER, wav, 5)

    assert len(plain.body) == rate // 2 * channels * 2
    assert not mistake_in(plain, pcm)
    assert not mistake_in(filed, wav)
    assert filed.body[44:] == plain.body
    assert struct.unpack_from("<I", filed.body, 40) == (len(plain.body),)
    assert len(filed.chunks[0]) == 44, "the header is a chunk of its own"


async def test_the_tone_is_a_tone_and_the_same_each_time() -> None:
    provider = Scripted(Script(speaking=(Tone(1.0),)))

    body = await body_of(provider)
    samples = struct.unpack(f"<{len(body) // 2}h", body)
    crossings = sum(a < 0 <= b for a, b in pairwise(samples))

    assert abs(crossings - 440) <= 1
    assert max(samples) == 8000
    assert body == await body_of(provider)


async def test_other_encodings_give_their_body_whole() -> None:
    mp3 = AudioFormat("mp3")
    bodies: dict[Encoding, bytes] = {"mp3": b"ID3" + bytes(range(250)) * 40}
    provider = Scripted(Script(speaking=(Tone(1.0),)), offers=having(mp3), bodies=bodies)

    heard = await hear(provider, ORDER, mp3, 5)

    assert heard.body == bodies["mp3"]
    assert len(heard.chunks) == 25


async def test_bytes_are_given_as_they_are() -> None:
    provider = Scripted(Script(speaking=(Bytes(b"one"), Bytes(b"two"))))
    assert (await hear(provider, ORDER, WAV, 5)).chunks == [b"one", b"two"]


async def test_entering_waits_for_the_test() -> None:
    gate = asyncio.Event()
    provider = Scripted(Script(entering=(Until(gate), Pause(0))))

    speech = asyncio.create_task(body_of(provider))
    await provider.until(lambda voice: voice.entered == 1)
    assert (provider.accepted, provider.open) == (0, 1)
    gate.set()
    await provider.until(lambda voice: voice.accepted == 1)
    assert await speech

    assert (provider.left, provider.open, [*provider.orders]) == (1, 0, [ORDER])


async def test_errors_come_out_on_entering_and_in_mid_stream() -> None:
    provider = Scripted(
        in_turn(
            Script(entering=(Raise(Busy("full", retry_after=3)),)),
            Script(speaking=(Tone(0.1), Raise(Broken("cut")))),
            Script(speaking=(Raise(RuntimeError("a bug")),)),
            Script(speaking=()),
        )
    )

    with pytest.raises(Busy) as busy:
        await body_of(provider)
    assert busy.value.retry_after == 3
    assert (provider.accepted, provider.chunks) == (0, 0)
    with pytest.raises(Broken):
        await body_of(provider)
    assert provider.chunks == 3
    with pytest.raises(RuntimeError):
        await body_of(provider)
    assert await body_of(provider) == b""
    assert await body_of(provider) == b"", "the last script serves all that follow"
    assert provider.open == 0


async def test_a_cancellation_is_counted_as_left() -> None:
    provider = Scripted(Script(speaking=(Tone(0.1), Hang())))
    speech = asyncio.create_task(body_of(provider))
    await provider.until(lambda voice: voice.chunks == 3)

    speech.cancel()
    await asyncio.wait({speech})

    assert (provider.entered, provider.left) == (1, 1)


async def test_an_endless_tone_never_waits_and_can_be_left() -> None:
    provider = Scripted(Script(speaking=(Tone(math.inf),)))
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counter = asyncio.create_task(count_turns())
    async with provider.synthesize(ORDER, WAV) as stream:
        heard = 0
        async for chunk in stream.chunks:
            heard += len(chunk)
            if heard > 1_000_000:
                break
        assert turns == 0, "the loop had a turn"
    counter.cancel()
    await asyncio.wait({counter})

    assert provider.left == 1


async def test_an_endless_wav_says_the_largest_size() -> None:
    provider = Scripted(Script(speaking=(Tone(math.inf),)))
    async with provider.synthesize(ORDER, WAV) as stream:
        header = await anext(stream.chunks)
    assert container_of(header) == "wav"
    assert struct.unpack_from("<I", header, 4) == struct.unpack_from("<I", header, 40)
    assert wav_header(header) is not None
    assert struct.unpack_from("<I", header, 40) == (0xFFFF_FFFF,)


async def test_pace_is_wall_time_per_audio_time() -> None:
    provider = Scripted(Script(speaking=(Tone(0.4, pace=0.5),)))
    loop = asyncio.get_running_loop()
    began = loop.time()
    await body_of(provider)
    # The last of ten chunks is given after nine tenths of the time.
    assert loop.time() - began >= 0.9 * 0.4 * 0.5


async def test_side_by_side_speeches_are_counted() -> None:
    gate = asyncio.Event()
    provider = Scripted(Script(entering=(Until(gate),)))
    speeches = [asyncio.create_task(body_of(provider)) for _ in range(5)]
    await provider.until(lambda voice: voice.open == 5)
    gate.set()
    await asyncio.gather(*speeches)
    assert (provider.most_open, provider.open) == (5, 0)


async def test_leaving_may_take_its_time() -> None:
    gate = asyncio.Event()
    provider = Scripted(Script(leaving=(Until(gate),)))
    speech = asyncio.create_task(body_of(provider))
    await provider.until(lambda voice: voice.chunks == 25)
    assert provider.left == 0
    gate.set()
    assert len(await speech) == 48_000


async def test_what_is_not_on_offer_and_what_cannot_be_spoken_is_refused() -> None:
    provider = Scripted()
    with pytest.raises(Refused):
        await body_of(provider, AudioFormat("mp3"))
    with pytest.raises(Refused):
        await hear(provider, msgspec.structs.replace(ORDER, text=" … !"), PCM, 5)
    assert provider.open == 0


async def test_a_test_can_register_its_own_players(tmp_path: Path) -> None:
    first, second = Scripted(), Scripted()
    kinds = kinds_of(Players(first=first, second=second))
    host = Host("test", tmp_path, tmp_path, publish=lambda _event: None)
    async with kinds["second"].open(msgspec.convert({}, kinds["second"].settings), host) as got:
        assert got is second


async def test_settings_make_the_length_from_the_text_and_the_speed(tmp_path: Path) -> None:
    settings = {"seconds_per_char": 0.1, "speed": [0.5, 2.0]}
    async with configured(tmp_path, **settings) as provider:
        fast = msgspec.structs.replace(ORDER, text="12345", speed=2.0)
        assert len((await hear(provider, fast, PCM, 5)).body) == 12_000


async def test_settings_make_a_silent_speech(tmp_path: Path) -> None:
    async with configured(tmp_path, silent=True) as provider:
        assert await body_of(provider, PCM) == b""
        assert len(await body_of(provider, WAV)) == 44


async def test_settings_make_failures(tmp_path: Path) -> None:
    async with configured(tmp_path, fail="busy", retry_after_s=7) as provider:
        with pytest.raises(Busy) as busy:
            await body_of(provider)
        assert busy.value.retry_after == 7
        with pytest.raises(Busy):
            await provider.health()
    async with configured(tmp_path, fail="broken", fail_after_s=0.2) as provider:
        await provider.health()
        with pytest.raises(Broken):
            await body_of(provider)
        assert provider.chunks == 5
    async with configured(tmp_path, fail="bug") as provider:
        with pytest.raises(RuntimeError):
            await body_of(provider)


@pytest.mark.parametrize("reason", [*scripted.FAILURES, "disconnected"])
async def test_every_failure_has_its_word(tmp_path: Path, reason: str) -> None:
    if reason not in scripted.FAILURES:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"fail": reason}, ScriptedSettings)
        return
    async with configured(tmp_path, fail=reason) as provider:
        with pytest.raises(ProviderError) as failure:
            await body_of(provider)
    assert failure.value.reason == reason


async def test_settings_make_it_hang(tmp_path: Path) -> None:
    async with configured(tmp_path, hang_after_s=0.08) as provider:
        speech = asyncio.create_task(body_of(provider))
        await provider.until(lambda voice: voice.chunks == 2)
        assert not speech.done()
        speech.cancel()
        await asyncio.wait({speech})


async def test_settings_take_bodies_from_files(tmp_path: Path) -> None:
    song = tmp_path / "song.mp3"
    song.write_bytes(b"ID3" + b"x" * 2000)
    settings = {"formats": [{"encoding": "mp3"}], "files": {"mp3": str(song)}}
    async with configured(tmp_path, **settings) as provider:
        assert await body_of(provider, AudioFormat("mp3")) == song.read_bytes()
    with pytest.raises(msgspec.ValidationError, match="mp3 is offered and has no file"):
        msgspec.convert({"formats": [{"encoding": "mp3"}]}, ScriptedSettings)


async def test_settings_say_what_it_can(tmp_path: Path) -> None:
    settings = {
        "models": ["a", "b"],
        "languages": ["en"],
        "cloning": True,
        "options": ["emotion"],
        "voices": ["one", {"id": "two", "gender": "female"}],
        "max_chars": 9,
    }
    async with configured(tmp_path, **settings) as provider:
        offers = provider.offers()
        assert list(offers) == ["a", "b"]
        assert offers["a"].languages == frozenset({"en"})
        assert offers["b"].max_chars == 9
        assert [voice.gender for voice in await provider.voices()] == [None, "female"]
