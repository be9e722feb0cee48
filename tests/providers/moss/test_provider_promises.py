"""The promises of every provider, kept by the local engine over a small model."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from providers.moss_tts_nano import KIND
from router.contract.speech import SpeechOrder, VoiceChoice
from router.testing.promises import PROMISES, Failure, Promise, Subject

SENTENCE = "The quick brown fox jumps over the lazy dog."
ORDER = SpeechOrder(
    model="moss-tts-nano",
    text=SENTENCE,
    voice=VoiceChoice("nova"),
    language="en",
    options={"seed": 3},
)


@pytest.fixture
def subject(tiny_moss: Path) -> Subject:
    return Subject(
        plugin="providers.moss_tts_nano",
        kind=KIND,
        settings={
            "directory": str(tiny_moss),
            "pull": "never",
            "graphs": "shipped",
            "spell_out": False,
        },
        order=ORDER,
        unspeakable=("", " ", "…", "?!", "\0", "👍"),
        failures=(
            Failure(
                name="a voice it has not",
                reason="refused",
                order=msgspec.structs.replace(ORDER, voice=VoiceChoice("nobody")),
                when="entering",
            ),
            Failure(
                name="a seed that is none",
                reason="refused",
                order=msgspec.structs.replace(ORDER, options={"seed": "many"}),
                when="entering",
            ),
        ),
        patience_s=30,
    )


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
async def test_the_local_engine_keeps_the_promise(promise: Promise, subject: Subject) -> None:
    await promise(subject)
