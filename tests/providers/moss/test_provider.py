"""The local engine as the router meets it, over a small model."""

from __future__ import annotations

import asyncio
import shutil
import threading
import wave
from pathlib import Path

import msgspec
import numpy as np
import pytest

from providers.moss_tts_nano import KIND
from providers.moss_tts_nano.engine.engine import Engine
from providers.moss_tts_nano.prove import PARTS
from providers.moss_tts_nano.provider import Moss
from router.contract.errors import Busy, NotReady, ProviderError, Refused
from router.contract.provider import HasState, Provider, ServingPath
from router.contract.record import AssetsProgress, Event, OffersChanged, SpeechDoubted
from router.testing.subject import decoded
from router.testing.watch import becomes
from tests.providers.moss.conftest import MossDirectory
from tests.providers.moss.opening import (
    FORMAT,
    MODEL,
    clip_of,
    opened,
    order,
    ready,
    said,
    until_ready,
    voice_sample,
)
from tests.support.tiny_moss import TTS_FOLDER

LONG = " ".join(f"This is sentence number {n} of a long text." for n in range(24))


async def test_it_speaks_in_pcm_of_the_models_own_rate(tiny_moss: Path, tmp_path: Path) -> None:
    async with ready(tiny_moss, tmp_path) as provider:
        sound = await said(provider, order())

    samples = np.frombuffer(sound, dtype="<i2").reshape(-1, 2)
    assert len(samples) % 3840 == 0
    assert len(samples) > 0
    assert np.abs(samples).max() > 0


async def test_a_seed_says_the_same_again_alone_and_in_company(
    tiny_moss: Path, tmp_path: Path
) -> None:
    async with ready(tiny_moss, tmp_path, guards={"most_frames": 30}, tries=1) as provider:
        alone = await said(provider, order(options={"seed": 7}))
        others = [order(LONG, voice="demo-29", options={}), order(options={"seed": 8})]
        company = [asyncio.create_task(said(provider, other)) for other in others]
        together = await said(provider, order(options={"seed": 7}))
        rest = await asyncio.gather(*company)

    assert _alike(alone, together)
    assert not _alike(rest[1], alone)


async def test_without_a_seed_each_time_is_another(tiny_moss: Path, tmp_path: Path) -> None:
    async with ready(tiny_moss, tmp_path) as provider:
        twice = [await said(provider, order(options={})) for _ in range(2)]

    assert not _alike(*twice)


async def test_the_configs_seed_holds_where_an_order_has_none(
    tiny_moss: Path, tmp_path: Path
) -> None:
    async with ready(tiny_moss, tmp_path, seed=5) as provider:
        twice = [await said(provider, order(options={})) for _ in range(2)]
        own = await said(provider, order(options={"seed": 6}))

    assert _alike(*twice)
    assert not _alike(twice[0], own)


@pytest.mark.parametrize("mode", ["fixed", "full", "greedy"])
async def test_a_long_text_is_spoken_in_every_mode(
    mode: str, tiny_moss: Path, tmp_path: Path
) -> None:
    async with ready(tiny_moss, tmp_path, sample_mode=mode, guards={"most_frames": 20}) as provider:
        sound = await said(provider, order(LONG))

    assert len(sound) > 3840 * 4


async def test_temperature_and_top_p_are_taken_in_full_mode_alone(
    tiny_moss: Path, tmp_path: Path
) -> None:
    async with ready(tiny_moss, tmp_path) as provider:
        assert provider.offers()[MODEL].options == {"seed"}
    async with ready(tiny_moss, tmp_path, sample_mode="full") as provider:
        assert provider.offers()[MODEL].options == {"seed", "temperature", "top_p"}
        cool, warm, again = [
            await said(provider, order(options={"seed": 3, "temperature": heat}))
            for heat in (0.1, 1.8, 0.1)
        ]

    assert _alike(cool, again)
    assert not _alike(cool, warm)


@pytest.mark.parametrize(
    "options", [{"temperature": 9}, {"temperature": 0}, {"top_p": 1.5}, {"seed": "x"}]
)
async def test_an_option_out_of_range_is_refused(
    options: dict[str, object], tiny_moss: Path, tmp_path: Path
) -> None:
    async with ready(tiny_moss, tmp_path, sample_mode="full") as provider:
        with pytest.raises(Refused, match="option"):
            await said(provider, order(options=options))


async def test_the_prompt_of_a_known_voice_and_of_a_sample_is_another(
    tiny_moss: Path, tmp_path: Path
) -> None:
    clip = clip_of(voice_sample(3))
    async with ready(tiny_moss, tmp_path) as provider:
        known = await said(provider, order())
        cold = await said(provider, order(clip=clip))
        warm = await said(provider, order(clip=clip))

    assert _alike(cold, warm)
    assert not _alike(cold, known)


async def test_a_sample_that_is_silent_is_refused_before_anything_is_accepted(
    tiny_moss: Path, tmp_path: Path
) -> None:
    clip = clip_of(np.zeros((2, 96_000), dtype=np.float32))
    async with ready(tiny_moss, tmp_path) as provider:
        with pytest.raises(Refused, match="silent"):
            await said(provider, order(clip=clip))


async def test_speeches_beyond_the_rows_and_the_queue_are_turned_away(
    tiny_moss: Path, tmp_path: Path
) -> None:
    short = {"rows": 1, "waiting": 1, "guards": {"most_frames": 5}}
    async with ready(tiny_moss, tmp_path, **short) as provider:
        results = await asyncio.gather(
            *(said(provider, order(LONG)) for _ in range(6)), return_exceptions=True
        )
        spoken = [one for one in results if isinstance(one, bytes)]
        refused = [one for one in results if isinstance(one, Busy)]
        assert len(spoken) + len(refused) == 6
        assert refused
        assert all(one.retry_after for one in refused)
        assert await said(provider, order())


async def test_a_listener_who_leaves_frees_his_rows(tiny_moss: Path, tmp_path: Path) -> None:
    async with ready(tiny_moss, tmp_path) as provider:
        engine = _engine(provider)
        for _ in range(5):
            async with provider.synthesize(order(LONG), FORMAT) as stream:
                await anext(aiter(stream.chunks))
        assert await becomes(lambda: engine.rows == 0, 2)
        assert engine.under_way == 0


async def test_a_listener_who_does_not_read_holds_nobody_up(
    tiny_moss: Path, tmp_path: Path
) -> None:
    async with (
        ready(tiny_moss, tmp_path, rows=2) as provider,
        provider.synthesize(order(LONG), FORMAT),
    ):
        for _ in range(3):
            assert await said(provider, order())


async def test_what_went_wrong_with_a_chunk_is_an_event(tiny_moss: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    settings = {"graphs": "shipped", "guards": {"most_frames": 3}, "tries": 1}
    async with opened(tiny_moss, tmp_path, events, **settings) as provider:
        await said(provider, order())

    doubts = [event for event in events if isinstance(event, SpeechDoubted)]
    assert [(one.provider, one.finding, one.certain) for one in doubts] == [
        ("moss", "too_short", False)
    ]


async def test_a_format_model_or_text_that_it_cannot_do_is_refused(
    tiny_moss: Path, tmp_path: Path
) -> None:
    async with ready(tiny_moss, tmp_path) as provider:
        for wrong in (
            msgspec.structs.replace(order(), model="another"),
            order("x" * 100_001),
            order("☃ …"),
        ):
            with pytest.raises(Refused):
                await said(provider, wrong)
        other = msgspec.structs.replace(FORMAT, sample_rate=24_000)
        with pytest.raises(Refused):
            async with provider.synthesize(order(), other):
                pass


async def test_every_voice_on_offer_speaks(tiny_moss: Path, tmp_path: Path) -> None:
    async with ready(tiny_moss, tmp_path, guards={"most_frames": 3}) as provider:
        voices = await provider.voices()
        assert {"alloy", "nova", "demo-29", "Ava", "en-taylor"} <= {voice.id for voice in voices}
        assert not {"Trump", "Xiaoyu"} & {voice.id for voice in voices}
        for voice in voices[::7]:
            assert await said(provider, order("Yes, of course.", voice=voice.id))


async def test_a_broken_model_directory_is_told_in_a_line(tmp_path: Path) -> None:
    async with opened(tmp_path / "nowhere", tmp_path / "cache") as provider:
        assert provider.offers() == {}
        with pytest.raises(NotReady, match="nowhere") as raised:
            await provider.health()
        assert "\n" not in str(raised.value)
        with pytest.raises(NotReady):
            await said(provider, order())
        with pytest.raises(ProviderError):
            await provider.voices()


async def test_a_damaged_graph_is_told_in_a_line(tiny_moss: Path, tmp_path: Path) -> None:
    damaged = shutil.copytree(tiny_moss, tmp_path / "model")
    (damaged / TTS_FOLDER / "moss_tts_prefill.onnx").write_bytes(b"not a graph")
    async with opened(damaged, tmp_path / "cache", graphs="shipped") as provider:
        with pytest.raises(NotReady, match="prefill") as raised:
            await provider.health()
    assert "\n" not in str(raised.value)


async def test_the_first_start_builds_and_proves_and_says_so(
    moss_directory: MossDirectory, tmp_path: Path
) -> None:
    events: list[Event] = []
    directory, cache = moss_directory(), tmp_path / "cache"
    async with opened(directory, cache, events, graphs="auto") as provider:
        assert provider.offers() == {}
        with pytest.raises(NotReady, match="graphs"):
            await provider.health()
        await until_ready(provider)
        fast = await said(provider, order())
        assert isinstance(provider, HasState)
        assert provider.state().paths == dict.fromkeys(PARTS, ServingPath("exact"))
    assert isinstance(events[-1], OffersChanged)
    stages = {event.stage for event in events if isinstance(event, AssetsProgress)}
    assert {"building", "proving"} <= stages

    async with opened(directory, cache, events := [], graphs="auto") as provider:
        await provider.health()  # at once: nothing is built again
        assert _alike(await said(provider, order()), fast)
    assert not {"building", "proving"} & {getattr(event, "stage", "") for event in events}

    async with ready(directory, tmp_path / "other") as provider:
        shipped = await said(provider, order())
    assert _alike(shipped, fast, steps=20)


@pytest.mark.parametrize("wait_s", [0.0, 0.3, 1.0, 2.0])
async def test_a_start_that_is_cut_off_ends_soon_and_leaves_no_thread(
    wait_s: float, moss_directory: MossDirectory, tmp_path: Path
) -> None:
    async with opened(moss_directory(), tmp_path, graphs="auto"):
        await asyncio.sleep(wait_s)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("moss")]


async def test_closing_in_the_middle_of_speech_leaves_no_thread(
    tiny_moss: Path, tmp_path: Path
) -> None:
    async with ready(tiny_moss, tmp_path) as provider:
        talking = [asyncio.create_task(said(provider, order(LONG))) for _ in range(3)]
        await asyncio.sleep(0.1)
    ends = await asyncio.gather(*talking, return_exceptions=True)

    assert all(isinstance(end, bytes | NotReady) for end in ends)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("moss")]


@pytest.mark.parametrize(
    "wrong", [{"rows": 0}, {"precision": "int4"}, {"guards": {"most": 1}}, {"temperature": 3}]
)
def test_a_wrong_setting_is_found_at_start(wrong: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        decoded(KIND, wrong)


def test_every_part_has_a_name_for_the_proof() -> None:
    assert set(PARTS) == {
        "language_model",
        "fixed_frames",
        "greedy_frames",
        "decoder",
        "encoder",
    }


def _alike(one: bytes, other: bytes, *, steps: int = 2) -> bool:
    """The same sound; how it was cut into pieces moves the last bit of a sample."""
    if len(one) != len(other):
        return False
    far = np.frombuffer(one, "<i2").astype(int) - np.frombuffer(other, "<i2")
    return bool(np.abs(far).max() <= steps)


def _engine(provider: Provider) -> Engine:
    assert isinstance(provider, Moss)
    assert provider._start.model is not None
    return provider._start.model.engine


async def test_a_recording_of_ones_own_speaks_for_the_welcome_voice(
    tiny_moss: Path, tmp_path: Path
) -> None:
    clip = tmp_path / "me.wav"
    _write_wav(clip, 48_000)
    async with ready(tiny_moss, tmp_path, welcome_clip=str(clip)) as provider:
        own = await said(provider, order(voice="alloy"))
        ava = await said(provider, order(voice="Ava"))
    async with ready(tiny_moss, tmp_path) as provider:
        without = await said(provider, order(voice="alloy"))

    assert _alike(without, ava)
    assert not _alike(own, ava)


async def test_a_recording_that_cannot_be_used_is_told_in_a_line(
    tiny_moss: Path, tmp_path: Path
) -> None:
    clip = tmp_path / "me.wav"
    _write_wav(clip, 44_100)
    async with opened(tiny_moss, tmp_path, graphs="shipped", welcome_clip=str(clip)) as provider:
        with pytest.raises(NotReady, match="48000 Hz"):
            await provider.health()


async def test_without_a_network_it_says_so_and_tries_again(tmp_path: Path) -> None:
    nobody = "http://127.0.0.1:9"
    model, cache = tmp_path / "model", tmp_path / "cache"
    async with opened(model, cache, pull="auto", endpoint=nobody) as provider:
        assert isinstance(provider, Moss)
        assert await becomes(lambda: "next try" in provider._start.told, 20)
        with pytest.raises(NotReady, match=nobody):
            await provider.health()


def _write_wav(path: Path, rate: int) -> None:
    samples = (voice_sample(3)[0] * 32767).clip(-32767, 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
