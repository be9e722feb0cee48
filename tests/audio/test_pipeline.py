"""One machine for a whole speech: a provider's format in, the caller's format out."""

from __future__ import annotations

import io
import wave

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.audio.encode import ENCODERS
from router.audio.pipeline import Pipeline, silence
from router.audio.wav import header
from router.contract.audio import AudioFormat
from router.contract.errors import Broken, NotSpeech
from tests.audio.made import SAMPLES, cut, plain

PCM = AudioFormat("pcm", 24_000, 1)
WAV = AudioFormat("wav", 24_000, 1)
FRAMES = len(SAMPLES) // 2


def made(output: AudioFormat, native: AudioFormat, *pieces: bytes) -> tuple[Pipeline, bytes]:
    pipeline = Pipeline(output)
    pipeline.begin(native)
    body = b"".join(pipeline.feed(piece) for piece in pieces)
    return pipeline, body + pipeline.end() + pipeline.finish()


def test_pcm_passes_through_byte_for_byte() -> None:
    pipeline, body = made(PCM, PCM, *cut(SAMPLES, [1, 2, 3]))
    assert body == SAMPLES
    assert pipeline.frames == FRAMES
    assert pipeline.seconds == FRAMES / 24_000


def test_a_streamed_wav_says_that_its_length_is_unknown() -> None:
    _, body = made(WAV, PCM, SAMPLES)
    assert body == header(24_000, 1, None) + SAMPLES


def test_a_wav_that_is_passed_on_gets_a_header_of_ours() -> None:
    _, body = made(WAV, WAV, *cut(plain(0), [10] * 20))
    assert body == header(24_000, 1, None) + SAMPLES


def test_the_header_of_a_wav_is_believed_more_than_what_was_told() -> None:
    pipeline, body = made(AudioFormat("pcm"), AudioFormat("wav", 48_000, 2), plain())
    assert pipeline.format == PCM
    assert body == SAMPLES


def test_nothing_sounds_before_the_first_sample() -> None:
    pipeline = Pipeline(WAV)
    pipeline.begin(WAV)
    for byte in plain()[:44]:
        assert pipeline.feed(bytes([byte])) == b""
    assert not pipeline.sounded
    assert pipeline.feed(SAMPLES[:1]) == b"", "half a sample"
    assert pipeline.feed(SAMPLES[1:2]) == header(24_000, 1, None) + SAMPLES[:2]
    assert pipeline.sounded


def test_a_wav_that_is_cut_short_is_broken() -> None:
    with pytest.raises(Broken):
        made(WAV, WAV, plain()[:-2])


def test_pcm_without_its_rate_is_not_speech() -> None:
    with pytest.raises(NotSpeech):
        made(WAV, AudioFormat("pcm", None, 1), SAMPLES)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from([8_000, 24_000, 44_100]), st.sampled_from([1, 2]))),
    st.integers(1, 500),
)
def test_pieces_of_several_formats_become_one_speech(
    pieces: list[tuple[int, int]], frames: int
) -> None:
    pipeline = Pipeline(AudioFormat("wav", 16_000, 1))
    body = b""
    for rate, channels in pieces:
        pipeline.begin(AudioFormat("pcm", rate, channels))
        body += pipeline.feed(bytes(frames * channels * 2)) + pipeline.end()
    body += pipeline.finish()
    wanted = sum(frames * 16_000 / rate for rate, _ in pieces)
    assert body[:44] in (b"", header(16_000, 1, None))
    assert abs(pipeline.frames - wanted) <= len(pieces)
    assert len(body) == pipeline.frames * 2 + 44 * bool(body)


@pytest.mark.parametrize(
    "output", [AudioFormat("wav"), AudioFormat("wav", 48_000, 2), AudioFormat("pcm", 8_000, 1)]
)
def test_silence_has_the_wanted_format_and_length(output: AudioFormat) -> None:
    format, body = silence(output, 0.3)
    assert output.admits(format)
    assert format.sample_rate
    assert format.channels
    head = 44 if format.encoding == "wav" else 0
    assert len(body) - head == int(format.sample_rate * 0.3) * format.channels * 2
    assert not any(body[head:])


def test_a_whole_body_of_silence_states_its_true_size() -> None:
    _, body = silence(WAV, 0.3)
    with wave.open(io.BytesIO(body)) as file:
        assert file.getnframes() == 7_200


def test_an_encoder_gives_its_header_with_the_first_samples_and_only_then() -> None:
    for encoding, head in ((PCM.encoding, b""), (WAV.encoding, header(24_000, 1, None))):
        encoder = ENCODERS[encoding](AudioFormat(encoding, 24_000, 1))
        assert encoder.feed(SAMPLES) == head + SAMPLES
        assert encoder.feed(SAMPLES) == SAMPLES
        assert encoder.finish() == b""
