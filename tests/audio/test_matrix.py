"""Every format that a provider may send, in every format that a caller may ask, judged by ffmpeg.

Each of the 56 pairs is tried at 8 to 48 kHz in mono and stereo, twice: as the speaker has it, and
turned into another rate and another channel count. The sound is known from its formula, so its
length, its place and its end are figures:

- wav, pcm, flac and opus are as long as what went in, to the sample; mp3 and aac as `codings` says;
- the sound begins where the codecs' delays say, to the sample (two, where a rate was changed);
- it is as like as `_LIKENESS` says, and so are its last 30 ms.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from router.audio.codecs import kept, legal
from router.audio.pipeline import Pipeline
from router.contract.audio import ENCODINGS, AudioFormat, Encoding
from tests.audio.codings import adts_shapes, coding
from tests.audio.ffmpeg import Sound, heard, raw
from tests.audio.glide import Samples, glide, likeness, place
from tests.audio.natives import KINDS, RATES, Native, natives, sounds_at, spoken

SECONDS = 0.283
LAST_S = 0.03

_LIKENESS = {"lossless": 0.998, "lossy": 0.97, "narrow": 0.93}
"""The least correlation: `lossy` with a codec on the way, `narrow` where one runs at 8 kHz."""
_LOSSLESS = ("pcm", "wav", "flac")
_CONTAINERS = {"opus": "ogg", "pcm": "s16le"}
_CODECS = {"pcm": "pcm_s16le", "wav": "pcm_s16le", "ogg": "opus"}


class Case(NamedTuple):
    """A native file, what is asked of the router, and its answer."""

    native: Native
    asked: AudioFormat
    pipeline: Pipeline
    body: bytes

    def __repr__(self) -> str:
        native = self.native
        return f"{native.kind} at {native.rate} Hz in {native.channels} channels as {self.asked}"


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Sequence[Native]]:
    """All that providers send, made once."""
    return {kind: natives(kind, tmp_path_factory.mktemp(kind), SECONDS) for kind in KINDS}


def _case(native: Native, asked: AudioFormat, dice: random.Random) -> Case:
    pipeline = Pipeline(asked)
    return Case(native, asked, pipeline, spoken(pipeline, native, dice) + pipeline.finish())


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_native_format_becomes_an_asked_one(
    kind: str, encoding: Encoding, sent: Mapping[str, Sequence[Native]], tmp_path: Path
) -> None:
    dice = random.Random(f"{kind} as {encoding}")
    cases = []
    for native in sent[kind]:
        cases.append(_case(native, AudioFormat(encoding), dice))
        other = dice.choice([rate for rate in RATES if rate != native.rate])
        asked = AudioFormat(encoding, other, 3 - native.channels)
        cases.append(_case(native, asked, dice))
    for case, sound in zip(cases, _heard(cases, tmp_path), strict=True):
        _judge(case, sound)


def _heard(cases: Sequence[Case], folder: Path) -> list[Sound]:
    formats = [case.pipeline.format for case in cases]
    known = [
        raw(f.sample_rate or 0, f.channels or 0) if f.encoding == "pcm" else () for f in formats
    ]
    return heard([case.body for case in cases], folder, *known)


def _judge(case: Case, sound: Sound) -> None:
    native, asked = case.native, case.asked
    settle = legal if asked.sample_rate else kept
    rate, channels = settle(
        asked.encoding, asked.sample_rate or native.sounds_at, asked.channels or native.channels
    )
    assert case.pipeline.format == AudioFormat(asked.encoding, rate, channels), case
    assert sound.container == _CONTAINERS.get(asked.encoding, asked.encoding), case
    assert sound.codec == _CODECS.get(asked.encoding, asked.encoding), case
    assert (sound.rate, sound.channels) == (sounds_at(asked.encoding, rate), channels), case
    _judge_frames(case, sound, rate)
    _judge_sound(case, sound, rate)
    _judge_form(case.body, case.pipeline.format)


def _judge_frames(case: Case, sound: Sound, rate: int) -> None:
    """Nothing is lost between the decoder and the encoder, and nothing in it."""
    native, fed = case.native, case.pipeline.frames
    assert abs(fed - native.decoded * rate / native.sounds_at) < 1, case
    coded = coding(case.asked.encoding).length(fed, rate)
    assert sound.frames == coded * sound.rate // rate, case


def _judge_sound(case: Case, sound: Sound, rate: int) -> None:
    """It is where it must be, it is the same, and it is there to its end."""
    native, encoding = case.native, case.asked.encoding
    wanted = _wanted(native, sound)
    late = coding(native.kind).delay / native.rate + coding(encoding).delay / rate
    near = round(late * sound.rate)
    at = place(sound.samples, wanted, near)
    assert abs(at - near) <= (0 if rate == native.rate else 2), case
    came = sound.samples[at : at + len(wanted)]
    assert len(wanted) - len(came) <= sound.rate // rate, case
    wanted = wanted[: len(came)]
    least = _LIKENESS[_quality(native, encoding, rate)]
    assert likeness(came, wanted) > least, case
    last = slice(len(wanted) - round(LAST_S * sound.rate), None)
    assert likeness(came[last], wanted[last]) > least, case
    assert 0.7 < (came[last] ** 2).mean() / (wanted[last] ** 2).mean() < 1.4, case


def _wanted(native: Native, sound: Sound) -> Samples:
    frames = native.frames * sound.rate // native.rate
    if native.channels == 2:
        return glide(frames, sound.rate, sound.channels)
    return glide(frames, sound.rate, 1).repeat(sound.channels, axis=1)


def _quality(native: Native, encoding: Encoding, rate: int) -> str:
    if native.kind in _LOSSLESS and encoding in _LOSSLESS:
        return "lossless"
    return "narrow" if min(native.rate, rate) == min(RATES) else "lossy"


def _judge_form(body: bytes, format: AudioFormat) -> None:
    """No head that lies, and every header right."""
    if format.encoding == "mp3":
        assert body[0] == 0xFF, "a frame, and no ID3 before it"
        assert not any(word in body[:200] for word in (b"Xing", b"Info", b"VBRI"))
        assert body[-128:-125] != b"TAG"
    elif format.encoding == "aac":
        assert adts_shapes(body) == {(format.sample_rate, format.channels)}
    elif format.encoding in ("opus", "ogg"):
        assert [body.count(word) for word in (b"OpusHead", b"OpusTags")] == [1, 1]
    elif format.encoding == "flac":
        assert body.count(b"fLaC") == 1
