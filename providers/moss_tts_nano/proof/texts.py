"""Sentences to compare models by, in the languages that are heard most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from providers.moss_tts_nano.layout import BadAssets, Layout
from providers.moss_tts_nano.parts import Ints


class Sentence(msgspec.Struct, frozen=True, eq=False):
    """Something to say in one chunk."""

    name: str
    """Short; part of file names."""
    voice: str
    text: str
    tokens: Sequence[int]
    codes: Ints
    """The voice's, int32 [frames, codebooks]."""

    def __repr__(self) -> str:
        return f"Sentence({self.name!r})"


class _Text(NamedTuple):
    name: str
    voice: str
    text: str


TEXTS = (
    _Text("en-short", "Ava", "Yes, of course."),
    _Text("en-plain", "Adam", "The last train leaves at a quarter past nine, from platform four."),
    _Text(
        "en-long",
        "Nathan",
        "When the rain had stopped we opened all the windows, and for a while nobody said anything;"
        " the garden smelled of earth, and somewhere behind the wall a child was laughing.",
    ),
    _Text("en-question", "Bella", "Did you really walk the whole way home without an umbrella?"),
    _Text("zh-short", "Junhao", "好的，明天见。"),
    _Text("zh-plain", "Yuewen", "请把窗户关上，外面开始下雨了，风也越来越大。"),
    _Text(
        "zh-long",
        "Lingyu",
        "天慢慢黑了，河边的灯一盏接着一盏亮起来，散步的人不多，偶尔有一辆自行车从桥上经过，"
        "铃声很轻，很快就听不见了。",
    ),
    _Text("ja-plain", "Saki", "駅前の小さな本屋は、今日も静かに店を開けています。"),
    _Text("ko-plain", "Adam", "오늘은 날씨가 맑아서 공원까지 천천히 걸어가기로 했습니다."),
    _Text("de-plain", "Adam", "Wir treffen uns um acht Uhr vor dem alten Rathaus."),
    _Text("fr-plain", "Ava", "Le marché ouvre très tôt, mais il reste toujours du bon pain."),
    _Text("es-plain", "Ava", "Mañana por la tarde iremos juntos a ver el mar."),
)


def sentences(layout: Layout, encode: Callable[[str], Sequence[int]]) -> tuple[Sentence, ...]:
    """All of them, with the voices that the model has; `encode` is its tokenizer.

    Raises BadAssets: it has no voice.
    """
    voices = {voice.voice: voice for voice in layout.manifest.builtin_voices}
    if not voices:
        raise BadAssets("The model has no builtin voice to compare with.")
    default = layout.manifest.builtin_voices[0]
    chosen = [(text, voices.get(text.voice, default)) for text in TEXTS]
    return tuple(
        Sentence(
            name=text.name,
            voice=voice.voice,
            text=text.text,
            tokens=encode(text.text),
            codes=np.array(voice.prompt_audio_codes, dtype=np.int32),
        )
        for text, voice in chosen
    )
