"""Which espeak-ng voice speaks which language: the voice files on disk, seen as BCP-47 tags."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from router.contract.speech import Gender, Voice

_MISREAD = frozenset(
    {
        # no dictionary in espeakng-loader 0.2.4: silence
        "fo", "kaa",
        # letters are named or dropped instead of read: hak "Chinese letter", th and shn spelled
        "chr", "hak", "kok", "my", "or", "shn", "th",
        # read by wrong rules: no vowels in Hebrew, `d` as "de" in Maltese, `ou` as "o-u" in Haitian
        "he", "ht", "mt",
        # leave out every number
        "cv", "sjn",
        # not languages that anyone asks for by these codes
        "en-shaw", "piqd", "py", "qdb", "xex",
    }
)  # fmt: skip
"""Voices of 1.52 that do not speak their language, found by phonemes and length of a sentence."""

_COMMONWEALTH = ("gb", "au", "ie", "in", "nz", "sg", "za")
_LATIN_AMERICA = (
    *("ar", "bo", "br", "bz", "cl", "co", "cr", "cu", "do", "ec", "gt"),
    *("hn", "mx", "ni", "pa", "pe", "pr", "py", "sv", "us", "uy", "ve"),
)

_ALIASES = {
    "en": "en-us",
    **{f"en-{region}": "en" for region in _COMMONWEALTH},
    **{f"es-{region}": "es-419" for region in _LATIN_AMERICA},
    "zh": "cmn",
    "zh-hk": "yue",
    "zh-mo": "yue",
    "zh-yue": "yue",
    "zh-latn": "cmn-latn-pinyin",
    "no": "nb",
    "nn": "nb",
    "in": "id",
    "sh": "hr",
    "ca-valencia": "ca-va",
}
"""Tags whose voice has another name: espeak-ng calls British English `en`, and Mandarin `cmn`."""

UNREADABLE = {"ko": frozenset({"Han"}), "ja": frozenset({"Han"})}
"""Scripts of a language that come out as names of letters ("Chinese letter")."""

_FEMALE = "f3"
"""The variant for a female voice: it lifts the pitch from 100 to 200 Hz and shifts the formants."""


class Catalogue:
    """What the data folder holds. Made once; it reads some hundred small files."""

    def __init__(self, data: Path) -> None:
        self._names = dict(sorted(_voices_in(data / "lang")))
        self._variants = {file.name for file in (data / "voices" / "!v").iterdir()}

    def languages(self) -> frozenset[str]:
        """Primary subtags."""
        aliased = {alias for alias, voice in _ALIASES.items() if voice in self._names}
        return frozenset(tag.partition("-")[0] for tag in {*self._names, *aliased})

    def voice_for(self, language: str, gender: Gender | None) -> str | None:
        """The voice for a text in `language`, a BCP-47 tag: the nearest region there is."""
        for tag in _ever_broader(language):
            name = _ALIASES.get(tag, tag)
            if name in self._names:
                return f"{name}+{_FEMALE}" if gender == "female" else name
        return None

    def voice_named(self, id: str, language: str) -> str | None:
        """The voice of an id: `en-us`, `en-us+f3`, or `+f3` for a variant in the text's language.

        espeak-ng itself takes an unknown variant for none, so it is looked for here.
        """
        base, plus, variant = id.partition("+")
        name = self.voice_for(language, None) if plus and not base else base.lower()
        if name not in self._names or (plus and variant not in self._variants):
            return None
        return f"{name}+{variant}" if plus else name

    def voices(self) -> list[Voice]:
        """A male and a female voice of each language and region, without its rarer spellings."""
        return [
            Voice(
                id=f"{name}+{_FEMALE}" if gender == "female" else name,
                name=f"{title}, {gender}",
                languages=_tags_of(name),
                gender=gender,
            )
            for name, title in self._names.items()
            if _is_plain(name)
            for gender in _GENDERS
        ]


_GENDERS: tuple[Gender, ...] = ("female", "male")


def _voices_in(folder: Path) -> Iterator[tuple[str, str]]:
    """Name and title of each voice: espeak-ng finds a voice by the name of its file."""
    for file in folder.rglob("*"):
        name = file.name.lower()
        if file.is_file() and name not in _MISREAD:
            yield name, _title(file) or name


def _title(file: Path) -> str:
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, value = line.partition(" ")
        if key == "name":
            return value.strip()
    return ""


def _ever_broader(language: str) -> Iterator[str]:
    """`zh-Hant-HK` → zh-hant-hk, zh-hant, zh-hk, zh."""
    subtags = language.lower().replace("_", "-").split("-")
    without_script = [*subtags[:1], *(tag for tag in subtags[1:] if len(tag) != 4)]
    for parts in (subtags, without_script):
        for length in range(len(parts), 1, -1):
            yield "-".join(parts[:length])
    yield subtags[0]


def _tags_of(name: str) -> tuple[str, ...]:
    """The BCP-47 tags of a voice, its own first."""
    language, _, region = {"en": "en-gb"}.get(name, name).partition("-")
    own = f"{language}-{region.upper()}" if region else language
    return (
        own,
        *(alias for alias, voice in _ALIASES.items() if voice == name and "-" not in alias),
    )


def _is_plain(name: str) -> bool:
    """A language, or a language and a region: not a dialect, not another script."""
    region = name.partition("-")[2]
    return len(region) in (0, 2) or region.isdigit()
