"""The voices that the model comes with, by all their names."""

from __future__ import annotations

import numpy as np
import pytest

from providers.moss_tts_nano.metadata import BuiltinVoice
from providers.moss_tts_nano.voices import BuiltinVoices, Reference
from router.contract.errors import Refused
from router.contract.speech import VoiceChoice

GROUPS = {
    "Junhao": "Chinese Male",
    "Lingyu": "Chinese Female",
    "Xiaoyu": "Chinese Female",
    "Trump": "English Male",
    "Ava": "English Female",
    "Bella": "English Female",
    "Adam": "English Male",
    "Saki": "Japanese Female",
}
BUILTIN = [
    BuiltinVoice(name, [[at] * 4] * (at + 2), group=group)
    for at, (name, group) in enumerate(GROUPS.items())
]


@pytest.mark.parametrize(
    ("asked", "speaks"),
    [
        ("Ava", "Ava"),
        ("ava", "Ava"),
        ("demo-1", "Junhao"),
        ("nova", "Junhao"),
        ("zh-welcome", "Junhao"),
        ("alloy", "Ava"),
        ("demo-7", "Ava"),
        ("zh-yangmi", "Lingyu"),
        ("demo-6", "Lingyu"),
        ("en-taylor", "Bella"),
        ("demo-11", "Bella"),
        ("demo-29", "Adam"),
    ],
)
def test_a_name_leads_to_its_codes(asked: str, speaks: str) -> None:
    voice = BuiltinVoices(BUILTIN).voice(VoiceChoice(asked), "en")

    assert voice.name == speaks
    own = next(one for one in BUILTIN if one.voice == speaks)
    assert voice.codes.tolist() == own.prompt_audio_codes
    assert voice.codes.dtype == np.int32


def test_all_names_of_a_voice_share_what_is_kept_of_it() -> None:
    voices = BuiltinVoices(BUILTIN)

    keys = {voices.voice(VoiceChoice(name), "en").key for name in ("Ava", "demo-8", "onyx")}

    assert len(keys) == 1


@pytest.mark.parametrize("name", ["Trump", "Xiaoyu", "nobody"])
def test_real_people_and_strangers_are_not_offered(name: str) -> None:
    voices = BuiltinVoices(BUILTIN)

    assert name not in {voice.id for voice in voices.offered()}
    with pytest.raises(Refused):
        voices.voice(VoiceChoice(name), "en")


def test_real_people_are_offered_where_the_settings_say_so() -> None:
    voices = BuiltinVoices(BUILTIN, real_people=True)

    assert voices.voice(VoiceChoice("Trump"), "en").name == "Trump"


@pytest.mark.parametrize(
    ("choice", "language", "speaks"),
    [
        (VoiceChoice(None), "zh", "Junhao"),
        (VoiceChoice(None, gender="female"), "zh-TW", "Lingyu"),
        (VoiceChoice(None, language="ja"), "en", "Saki"),
        (VoiceChoice(None, gender="male"), "en", "Adam"),
    ],
)
def test_without_a_name_the_voice_that_fits_best_speaks(
    choice: VoiceChoice, language: str, speaks: str
) -> None:
    assert BuiltinVoices(BUILTIN).voice(choice, language).name == speaks


def test_a_clip_of_ones_own_speaks_for_the_welcome_voice() -> None:
    own = Reference(("clip", "x"), np.zeros((3, 4), dtype=np.int32))
    voices = BuiltinVoices(BUILTIN, welcome=own)

    assert voices.voice(VoiceChoice("alloy"), "en") is own
    assert voices.voice(VoiceChoice("onyx"), "en").name == "Ava"
