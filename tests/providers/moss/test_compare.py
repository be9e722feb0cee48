"""The comparison: what two sets of parts make of the same sentences."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest

from providers.moss_tts_nano.compare import compare, write_wav
from providers.moss_tts_nano.guards import Guards
from providers.moss_tts_nano.layout import BadAssets
from providers.moss_tts_nano.parts import Draws, Floats, Ints
from providers.moss_tts_nano.proof.comparison import Comparison
from providers.moss_tts_nano.proof.texts import TEXTS, Sentence, sentences
from providers.moss_tts_nano.tokenizer import Tokenizer
from tests.providers.moss.rivals import Altered, Noisy, Quiet, Rival
from tests.providers.moss.tiny import Tiny

SEEDS = (1, 2)
GUARDS = Guards(most_frames=40, frames_per_token=0)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return Tiny(tmp_path_factory.mktemp("tiny"), stop_margin=2.0)


@pytest.fixture(scope="module")
def said(tiny: Tiny) -> Sequence[Sentence]:
    return sentences(tiny.layout, Tokenizer(tiny.layout.tokenizer).encode)[:3]


def compared(tiny: Tiny, said: Sequence[Sentence], rival: Rival, folder: Path | None) -> Comparison:
    return compare(
        tiny.reference, rival, tiny.layout, said, seeds=SEEDS, guards=GUARDS, folder=folder
    )


def test_a_model_is_equal_to_itself(tiny: Tiny, said: Sequence[Sentence], tmp_path: Path) -> None:
    found = compared(tiny, said, Rival(tiny.without()), tmp_path)
    assert found.forced.hidden_worst == 0
    assert found.forced.code_agreement == found.forced.stop_agreement == 1
    assert found.forced.first_code_agreement == 1
    assert found.frames_ratio == 1
    assert found.shipped == found.other
    assert found.shipped.utterances == len(said) * len(SEEDS)
    for line, sentence in zip(found.sentences, said, strict=True):
        assert line.name == sentence.name
        assert line.frames == line.frames_other
        assert line.faults == line.faults_other
    for sentence in said:
        pair = [tmp_path / f"{sentence.name}-{which}.wav" for which in ("shipped", "other")]
        assert pair[0].read_bytes() == pair[1].read_bytes()
    assert len(list(tmp_path.iterdir())) == 2 * len(said)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Comparison) == found


def test_distance_and_agreement_tell_how_near_another_model_is(
    tiny: Tiny, said: Sequence[Sentence]
) -> None:
    near = compared(
        tiny, said, Rival(tiny.without(), language_model=partial(Noisy, by=0.01)), None
    ).forced
    far = compared(
        tiny, said, Rival(tiny.without(), language_model=partial(Noisy, by=0.3)), None
    ).forced
    assert near.hidden_snr_db - far.hidden_snr_db == pytest.approx(20 * np.log10(30), abs=1)
    assert 0.009 < near.hidden_worst <= 0.0101
    assert 1 > near.code_agreement > far.code_agreement > 0
    assert 1 > near.first_code_agreement > far.first_code_agreement


def test_runaways_and_silence_are_counted(tiny: Tiny, said: Sequence[Sentence]) -> None:
    def endless(hidden: Floats, seen: Ints, draws: Draws) -> tuple[Floats, Ints, Draws]:
        return hidden, seen, Draws(np.zeros_like(draws.text), draws.audio)

    guards = Guards(most_frames=200, frames_per_token=0.1, spare_frames=30, loops=False)
    rival = Rival(
        tiny.without(), sampler=partial(Altered, asked=endless), decoder=partial(Quiet, after=2)
    )
    found = compare(tiny.reference, rival, tiny.layout, said, seeds=SEEDS, guards=guards)
    assert found.other.stopped_rate == 0
    assert found.other.fault_rates["runaway"] == 1
    assert found.frames_ratio > 1
    assert found.other.silent_share > 0.8 > found.shipped.silent_share
    assert found.other.longest_silence_s > 2


def test_silence_that_only_the_ear_finds_is_a_fault(tiny: Tiny, said: Sequence[Sentence]) -> None:
    guards = Guards(most_frames=40, frames_per_token=0, silent_frames=3, fewest_frames_share=0)
    rival = Rival(tiny.without(), decoder=partial(Quiet, after=0))
    found = compare(tiny.reference, rival, tiny.layout, said, seeds=SEEDS, guards=guards)
    long = sum(frames >= 3 and frames < 40 for line in found.sentences for frames in line.frames)
    assert found.other.fault_rates["silence"] * found.other.utterances == long
    assert long > 0
    assert found.shipped.fault_rates["silence"] == 0


def test_how_far_it_is_is_told(tiny: Tiny, said: Sequence[Sentence]) -> None:
    told: list[tuple[int, int]] = []

    def tell(done: int, of: int) -> None:
        told.append((done, of))

    compare(tiny.reference, tiny.without(), tiny.layout, said[:1], guards=GUARDS, progress=tell)
    assert [done for done, _ in told] == [1, 2, 3, 6, 7, 8, 9]
    assert {of for _, of in told} == {9}


def test_each_sentence_fits_one_chunk_and_falls_back_to_the_default_voice(tiny: Tiny) -> None:
    all_of_them = sentences(tiny.layout, Tokenizer(tiny.layout.tokenizer).encode)
    assert [each.name for each in all_of_them] == [text.name for text in TEXTS]
    assert {each.voice for each in all_of_them} == {"Junhao", "Ava", "Lingyu"}
    assert all(len(each.codes) and each.tokens for each in all_of_them)
    assert repr(all_of_them[0]) == "Sentence('en-short')"


def test_without_a_voice_nothing_can_be_compared(tiny: Tiny) -> None:
    manifest = msgspec.structs.replace(tiny.layout.manifest, builtin_voices=())
    with pytest.raises(BadAssets, match="voice"):
        sentences(msgspec.structs.replace(tiny.layout, manifest=manifest), lambda text: [1])


def test_sound_is_written_as_16_bit_stereo(tiny: Tiny, tmp_path: Path) -> None:
    sound = np.array([[0.0, 0.5, 2.0], [-1.0, -2.0, 0.25]], np.float32)
    write_wav(tmp_path / "a.wav", sound, tiny.shape)
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (2, 48_000, 3)
        steps = np.frombuffer(file.readframes(3), "<i2").reshape(3, 2)
    assert steps.T.tolist() == [[0, 16384, 32767], [-32767, -32767, 8192]]
