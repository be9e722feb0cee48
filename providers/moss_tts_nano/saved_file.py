"""What is in the file of a voice that is kept, and what may be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import msgspec

from router.contract.errors import InvalidRequest
from router.contract.provider import SavedVoice

ID = "voice_"
LONGEST_NAME = 64
LONGEST_CONSENT = 2_000
MOST_FRAMES = 1_000
"""No file with more is read; 15 s of a sample are 188."""
_FILE_BYTES = 262_144
_NAME = re.compile(r"[^\W_](?:[\w .'’-]*[\w.'’-])?")


class KeptVoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a file holds. The codes are in no repr."""

    format: Literal["tts-router voice 1"] = "tts-router voice 1"
    voice: SavedVoice
    codes: tuple[tuple[int, ...], ...]
    """[frames, codebooks]"""

    def __repr__(self) -> str:
        return f"KeptVoice({self.voice.id!r}, {len(self.codes)} frames)"


def check_name(name: str) -> None:
    """Raises InvalidRequest."""
    if len(name) > LONGEST_NAME or not _NAME.fullmatch(name) or name.casefold().startswith(ID):
        raise InvalidRequest(
            f"name must have 1 to {LONGEST_NAME} letters, digits, spaces or . _ - ', begin with a "
            f"letter or a digit, and not with {ID}.",
            param="name",
        )


def check_consent(consent: str) -> None:
    """Raises InvalidRequest."""
    is_text = not any("\ud800" <= sign <= "\udfff" for sign in consent)
    if not consent.strip() or len(consent) > LONGEST_CONSENT or not is_text:
        raise InvalidRequest(
            f"consent must say, in at most {LONGEST_CONSENT} characters, that the voice's owner "
            "agrees.",
            param="consent",
        )


def parsed(path: Path, id: str) -> KeptVoice | None:
    """What a file holds; `None`: it is no voice. Raises OSError."""
    with path.open("rb") as file:
        data = file.read(_FILE_BYTES + 1)
    try:
        kept = msgspec.json.decode(data, type=KeptVoice)
        check_name(kept.voice.name)
    except (msgspec.MsgspecError, UnicodeDecodeError, InvalidRequest):
        return None
    codes = kept.codes
    widths = {len(frame) for frame in codes}
    if kept.voice.id != id or len(data) > _FILE_BYTES or not 0 < len(codes) <= MOST_FRAMES:
        return None
    if len(widths) != 1 or 0 in widths or not all(0 <= n < 2**16 for row in codes for n in row):
        return None
    return kept
