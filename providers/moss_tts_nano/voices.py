"""The voices that the model comes with: by any of their names to their codes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import msgspec
import numpy as np

from providers.moss_tts_nano.metadata import BuiltinVoice
from providers.moss_tts_nano.names import VoiceTable
from providers.moss_tts_nano.parts import Ints
from router.contract.speech import Voice, VoiceChoice


class Reference(msgspec.Struct, frozen=True, eq=False):
    """Somebody's voice, as the model reads it. The codes are in no repr."""

    key: Hashable
    """What is kept of the voice is kept under this: equal keys mean equal codes."""
    codes: Ints
    """[frames, codebooks]"""
    name: str | None = None

    def __repr__(self) -> str:
        return f"Reference({self.name!r}, {len(self.codes)} frames)"


class BuiltinVoices:
    """`welcome` is the user's own clip for the names whose voice was never published."""

    def __init__(
        self,
        builtin: Sequence[BuiltinVoice],
        *,
        welcome: Reference | None = None,
        real_people: bool = False,
    ) -> None:
        self._table = VoiceTable(builtin, welcome_clip=welcome is not None, real_people=real_people)
        self._welcome = welcome
        self._references: Mapping[str, Reference] = {
            voice.voice: _reference(voice) for voice in builtin
        }
        self._names = {voice.id.casefold(): voice.id for voice in self._table.offered()}

    def offered(self) -> list[Voice]:
        return self._table.offered()

    def voice(self, choice: VoiceChoice, language: str) -> Reference:
        """The voice of an order.

        Raises:
            Refused: there is none of that name.
        """
        if choice.id is None:
            meant = self._table.fitting(choice.language or language, choice.gender)
        else:
            meant = self._table.meant(self._names.get(choice.id.casefold(), choice.id))
        if meant.kind == "clip" and self._welcome is not None:
            return self._welcome
        return self._references[meant.voice]

    @property
    def longest_frames(self) -> int:
        return max((len(one.codes) for one in self._references.values()), default=0)


def _reference(voice: BuiltinVoice) -> Reference:
    codes = np.array(voice.prompt_audio_codes, dtype=np.int32)
    return Reference(("builtin", voice.voice), codes, voice.voice)
