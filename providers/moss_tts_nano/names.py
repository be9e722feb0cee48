"""Which voice a name means: the model's own names, its demos, LEAPERone's and OpenAI's.

Rows 1 to 29 are those of the model's `assets/demo.jsonl`; that LEAPERone's names stand for them
follows from the languages and styles on its page. Two rows imitate real people (6 and 11): their
names mean generic voices here. Row 7 has no published codes: its names mean Ava until a clip of
one's own is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import msgspec

from providers.moss_tts_nano.metadata import BuiltinVoice
from router.contract.errors import Refused
from router.contract.speech import Gender, Voice

REAL_PEOPLE = frozenset({"Trump", "Xiaoyu"})
"""Builtin voices that imitate somebody who did not agree."""
WELCOME = frozenset({"alloy", "en-welcome", "demo-7", "marin"})
"""Names of the demo without codes."""
_LANGUAGES: Mapping[str, str] = MappingProxyType(
    {"Chinese": "zh", "English": "en", "Japanese": "ja"}
)

Demo = tuple[str, str, str | None]
DEMOS: Sequence[Demo] = (
    # language, builtin voice, LEAPERone's name
    ("zh", "Junhao", "zh-welcome"),
    ("zh", "Lingyu", "zh-gentle"),
    ("zh", "Yuewen", "zh-taiwan"),
    ("zh", "Zhiming", "zh-beijing"),
    ("zh", "Weiguo", "zh-culture"),
    ("zh", "Lingyu", "zh-yangmi"),
    ("en", "Ava", "en-welcome"),
    ("en", "Ava", "en-lesson"),
    ("en", "Adam", "en-news"),
    ("en", "Bella", "en-gentle"),
    ("en", "Bella", "en-taylor"),
    ("en", "Nathan", "en-quiet"),
    ("ja", "Saki", "ja-news"),
    ("ko", "Adam", "ko-news"),
    ("es", "Adam", "es-news"),
    ("fr", "Adam", "fr-news"),
    ("de", "Adam", "de-news"),
    ("it", "Adam", "it-news"),
    ("hu", "Adam", None),
    ("ru", "Adam", "ru-news"),
    ("fa", "Adam", None),
    ("ar", "Adam", None),
    ("pl", "Adam", None),
    ("pt", "Adam", None),
    ("cs", "Adam", None),
    ("da", "Adam", None),
    ("sv", "Adam", None),
    ("el", "Adam", None),
    ("tr", "Adam", None),
)
LANGUAGES = frozenset(language for language, _, _ in DEMOS)
"""What the model speaks; it is told by the text alone. Its page speaks of 20 and names these 19."""
OPENAI: Mapping[str, str] = MappingProxyType(
    {
        # LEAPERone's six aliases, by what they mean there.
        "alloy": "en-welcome",
        "echo": "en-news",
        "fable": "en-gentle",
        "onyx": "en-lesson",
        "nova": "zh-welcome",
        "shimmer": "zh-gentle",
        # The other seven of OpenAI, and two of NanoGPT, by what comes nearest.
        "ash": "en-news",
        "ballad": "en-quiet",
        "cedar": "en-quiet",
        "coral": "en-gentle",
        "marin": "en-welcome",
        "sage": "en-gentle",
        "verse": "en-news",
        "luna": "en-gentle",
        "sonic": "en-news",
    }
)


class Meant(msgspec.Struct, frozen=True):
    """What a name stands for."""

    kind: Literal["builtin", "clip"]
    voice: str = ""
    """The builtin voice; empty for the clip that the settings name for the welcome voice."""


class VoiceTable:
    """The names that one manifest makes possible."""

    def __init__(
        self,
        builtin: Sequence[BuiltinVoice],
        *,
        welcome_clip: bool = False,
        real_people: bool = False,
    ) -> None:
        """`welcome_clip`: the settings name a clip for `WELCOME`. `real_people`: voices that
        imitate somebody are offered under their own names."""
        self._own = {
            voice.voice: voice for voice in builtin if real_people or voice.voice not in REAL_PEOPLE
        }
        self._welcome_clip = welcome_clip
        self._aliases = dict(self._found(_aliases()))

    def meant(self, name: str) -> Meant:
        """What a name stands for.

        Raises:
            Refused: it stands for nothing here.
        """
        if self._welcome_clip and name in WELCOME:
            return Meant("clip")
        if name in self._own:
            return Meant("builtin", name)
        if name in self._aliases:
            return Meant("builtin", self._aliases[name][1])
        raise Refused(f"the voice {name[:80]!r} is not known here.")

    def fitting(self, language: str | None, gender: Gender | None) -> Meant:
        """A voice for an order that names none: of the language and gender if there is one, else
        of the language, else of the gender, else the first.

        Raises:
            Refused: the model has no voice at all.
        """
        if not self._own:
            raise Refused("the model has no builtin voice: send a voice sample.")
        wanted = (language or "").partition("-")[0].lower()

        def far(voice: BuiltinVoice) -> tuple[bool, bool]:
            spoken, sounds = traits(voice)
            return spoken != wanted, gender is not None and sounds != gender

        return Meant("builtin", min(self._own.values(), key=far).voice)

    def offered(self) -> list[Voice]:
        """Every name, the model's own first."""
        own = [
            Voice(
                id=name,
                name=voice.display_name or name,
                languages=_tuple(traits(voice)[0]),
                gender=traits(voice)[1],
                style=voice.group or None,
            )
            for name, voice in self._own.items()
        ]
        others = [
            Voice(id=name, languages=(language,), gender=traits(self._own[voice])[1])
            for name, (language, voice) in self._aliases.items()
        ]
        return own + others

    def _found(
        self, aliases: Iterable[tuple[str, str, str]]
    ) -> Iterable[tuple[str, tuple[str, str]]]:
        """Where a manifest lacks a voice, the one that fits best speaks under its names."""
        for name, language, voice in aliases:
            if name in self._own or not self._own:
                continue
            there = voice if voice in self._own else self.fitting(language, None).voice
            yield name, (language, there)


def traits(voice: BuiltinVoice) -> tuple[str | None, Gender | None]:
    """Language and gender, read from a group such as `English Female`."""
    words = voice.group.split()
    gender = words[-1].lower() if words else ""
    language = _LANGUAGES.get(words[0]) if words else None
    return language, gender if gender in {"female", "male"} else None  # type: ignore[return-value]  # one of the two


def _aliases() -> Iterable[tuple[str, str, str]]:
    leaper = {name: (language, voice) for language, voice, name in DEMOS if name}
    for row, (language, voice, _) in enumerate(DEMOS, start=1):
        yield f"demo-{row}", language, voice
    for name, (language, voice) in leaper.items():
        yield name, language, voice
    for name, same in OPENAI.items():
        language, voice = leaper[same]
        yield name, language, voice


def _tuple(language: str | None) -> tuple[str, ...]:
    return (language,) if language else ()
