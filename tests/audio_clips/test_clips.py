"""What becomes of a voice sample: its samples, or a refusal in plain words."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio

from router.audio.clip import ClipDecoder
from router.contract.audio import Clip, container_of
from router.contract.errors import BadClip
from router.testing.watch import lateness
from tests.audio_clips.hostile import Body, noise
from tests.audio_clips.sounds import RECIPES, Samples, encoded, film, silence, voice, with_cover
from tests.soak.hostile_clips import real_clips

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def decoder() -> AsyncIterator[ClipDecoder]:
    async with ClipDecoder(children=1) as decoder:
        yield decoder


async def decoded(decoder: ClipDecoder, file: bytes) -> Clip:
    container = container_of(file[:12])
    assert container
    return await decoder.decode(Clip(file, container))


async def refusal(decoder: ClipDecoder, file: bytes) -> str:
    with pytest.raises(BadClip) as caught:
        await decoded(decoder, file)
    return caught.value.message


def likeness(one: Samples, other: Samples) -> float:
    """The correlation of two mono signals at the delay where they are most alike."""
    size = len(one) + len(other)
    product = np.fft.rfft(one, size) * np.conj(np.fft.rfft(other, size))
    together = float(np.fft.irfft(product, size).max())
    return together / float(np.linalg.norm(one) * np.linalg.norm(other))


KINDS_AND_RATES = [
    (kind, rate)
    for kind in RECIPES
    for rate in (16_000, 44_100, 48_000)
    if (kind, rate) != ("ogg of Opus", 44_100)  # a rate that Opus has not
]


@pytest.mark.parametrize(("kind", "rate"), KINDS_AND_RATES)
async def test_every_container_becomes_48_khz_stereo(
    decoder: ClipDecoder, kind: str, rate: int
) -> None:
    clip = await decoded(decoder, encoded(voice(2.5, rate), kind, rate))
    assert clip.seconds == pytest.approx(2.5, abs=0.15)  # ADTS says nothing of its padding
    assert clip.seconds
    assert clip.samples.shape == (2, round(clip.seconds * 48_000))
    assert clip.samples.dtype == np.float32
    np.testing.assert_allclose(clip.samples[0], clip.samples[1], atol=0.02)
    assert likeness(clip.samples[0], voice(2.5)[0]) > 0.95
    assert np.abs(clip.samples).max() == pytest.approx(0.5, abs=0.1)


async def test_pcm_at_48_khz_is_not_touched(decoder: ClipDecoder) -> None:
    source = voice(2, channels=2)
    source[1] *= -0.5
    clip = await decoded(decoder, encoded(source, "wav of floats"))
    np.testing.assert_array_equal(clip.samples, source)


async def test_resampling_loses_no_tail(decoder: ClipDecoder) -> None:
    clip = await decoded(decoder, encoded(voice(2.01, 22_050), "wav", 22_050))
    assert clip.samples.shape[1] == pytest.approx(2.01 * 48_000, abs=2)


async def test_six_channels_are_mixed(decoder: ClipDecoder) -> None:
    clip = await decoded(decoder, encoded(voice(2, channels=6), "flac"))
    assert likeness(clip.samples[0], voice(2)[0]) > 0.99


@pytest.mark.parametrize("kind", ["mp3", "flac"])
async def test_a_cover_picture_is_ignored(decoder: ClipDecoder, kind: str) -> None:
    clip = await decoded(decoder, with_cover(encoded(voice(2), kind)))
    assert clip.seconds == pytest.approx(2, abs=0.06)


async def test_tags_that_are_not_utf8_are_no_reason_to_refuse(decoder: ClipDecoder) -> None:
    title = b"\x03Caf\xe9 \xff\xfe"
    frame = b"TIT2" + len(title).to_bytes(4, "big") + b"\0\0" + title
    head = b"ID3\x03\0\0\0\0\0" + bytes([len(frame)])
    assert (await decoded(decoder, head + frame + encoded(voice(2), "mp3"))).seconds


async def test_a_long_clip_is_taken_as_it_is(decoder: ClipDecoder) -> None:
    clip = await decoded(decoder, encoded(voice(119.9, 16_000), "flac", 16_000))
    assert clip.seconds == pytest.approx(119.9, abs=0.01)


async def test_a_longer_one_is_refused(decoder: ClipDecoder) -> None:
    said = await refusal(decoder, encoded(voice(121, 16_000), "flac", 16_000))
    assert said == "The voice sample is longer than 120 s, which is the most that is read."


async def test_silence_is_refused(decoder: ClipDecoder) -> None:
    said = "The voice sample is silent."
    assert await refusal(decoder, encoded(silence(3), "flac")) == said
    assert await refusal(decoder, encoded(noise(3, 1e-4), "flac")) == said


async def test_less_than_a_second_of_speech_is_refused(decoder: ClipDecoder) -> None:
    said = await refusal(decoder, encoded(voice(0.5), "flac"))
    assert said == "The voice sample has 0.50 s of sound. At least 1 s is needed."


async def test_pauses_and_the_noise_of_a_room_are_not_speech(decoder: ClipDecoder) -> None:
    short = np.concatenate([silence(2), voice(0.7), silence(2)], axis=1) + noise(4.7, 5e-4)
    said = await refusal(decoder, encoded(short, "flac"))
    assert said.startswith("The voice sample has 0.7")


async def test_quiet_speech_is_speech(decoder: ClipDecoder) -> None:
    assert (await decoded(decoder, encoded(voice(2, peak=0.02), "flac"))).seconds == 2


@pytest.mark.parametrize("kind", ["flac", "mp3"])
async def test_what_was_recorded_too_loud_is_told(decoder: ClipDecoder, kind: str) -> None:
    cut = np.clip(voice(2, peak=4), -1, 1)
    assert (await decoded(decoder, encoded(cut, kind))).clips
    assert not (await decoded(decoder, encoded(voice(2, peak=0.98), kind))).clips


async def test_a_film_without_sound_has_no_audio(decoder: ClipDecoder) -> None:
    assert await refusal(decoder, film()) == "There is no audio in the voice sample."


async def test_rates_and_channels_have_bounds(decoder: ClipDecoder) -> None:
    good = encoded(voice(2), "wav")
    slow = good[:24] + (100).to_bytes(4, "little") + good[28:]
    assert await refusal(decoder, slow) == (
        "The voice sample has 100 samples a second, not 4000 to 192000."
    )
    many = good[:22] + (16).to_bytes(2, "little") + good[24:32] + b"\x20\0" + good[34:]
    assert await refusal(decoder, many) == "The voice sample has 16 channels, not 1 to 8."


async def test_a_file_that_is_no_sound_is_refused_in_plain_words(decoder: ClipDecoder) -> None:
    said = "The voice sample cannot be decoded. Send an mp3, wav, flac, m4a or ogg file."
    assert await refusal(decoder, b"OggS" + bytes(4000)) == said
    assert await refusal(decoder, b"fLaC") == said


async def test_a_file_that_is_too_large_is_refused_unread() -> None:
    async with ClipDecoder() as decoder:
        with pytest.raises(BadClip, match="larger than 16 MiB"):
            await decoder.decode(Clip(bytes((16 << 20) + 1), "wav"))
        assert not decoder.children


@pytest.mark.parametrize("body", real_clips() or [None], ids=lambda b: b.name if b else "none")
async def test_real_recordings_are_taken(decoder: ClipDecoder, body: Body | None) -> None:
    if body is None:
        pytest.skip("no recordings in TTS_TEST_DATA/clips")
    clip = await decoded(decoder, body.data)
    assert clip.seconds
    assert 2 < clip.seconds < 20
    assert not clip.clips


async def test_a_clip_keeps_its_bytes_and_says_nothing_of_them(decoder: ClipDecoder) -> None:
    file = encoded(voice(2), "flac")
    clip = await decoded(decoder, file)
    assert clip.data == file
    assert repr(clip) == f"Clip(flac, {len(file)} bytes, 2.0 s)"


async def test_the_loop_goes_on_while_a_clip_is_decoded(decoder: ClipDecoder) -> None:
    file = encoded(voice(100, 16_000), "flac", 16_000)
    await decoded(decoder, encoded(voice(2), "flac"))  # numpy is loaded now
    async with lateness() as seen:
        await decoded(decoder, file)
    assert seen.worst_s < 0.25  # 10 ms on an idle machine
