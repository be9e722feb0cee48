"""Voices that their owners had kept: one file each, with codes and never a sample.

Several processes may share the folder. A file gets its name when it is whole, and is never changed;
what it holds is what `export` gives, so an exported file that is put back is the voice again.
"""

from __future__ import annotations

import os
import re
import secrets
import threading
import unicodedata
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np

from providers.moss_tts_nano.parts import Ints, Shape
from providers.moss_tts_nano.saved_file import ID, KeptVoice, check_consent, check_name, parsed
from providers.moss_tts_nano.voices import Reference
from router.contract.errors import Broken, InvalidRequest, Refused, UnknownVoice
from router.contract.provider import SavedVoice

MOST = 1_000
MOST_OF_ONE = 100
"""Voices of one owner."""
_FILE = re.compile(r"(voice_[0-9a-f]{24})\.json")


class _Known(msgspec.Struct, frozen=True):
    """A picture of the folder, replaced as a whole: it may be read while a thread works."""

    references: Mapping[str, tuple[SavedVoice, Reference]] = {}
    owned: Mapping[str, tuple[SavedVoice, ...]] = {}
    """By owner, the oldest first."""


class SavedVoices:
    """`find`, `of` and `every` look at memory alone; the rest blocks, and belongs into a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._known = _Known()
        self._unreadable: dict[str, int] = {}
        """Files that are no voices, with their times: they are not read again."""

    def of(self, owner: str) -> Sequence[SavedVoice]:
        return self._known.owned.get(owner, ())

    def every(self) -> Sequence[SavedVoice]:
        voices = (voice for voice, _ in self._known.references.values())
        return sorted(voices, key=_age)

    def find(self, id: str | None, shape: Shape) -> Reference | None:
        """The voice of this id; `None`: there is none.

        Raises:
            Refused: its codes are not this model's.
        """
        _, reference = self._known.references.get(id or "", (None, None))
        if reference is None:
            return None
        codes = reference.codes
        if codes.shape[1] != shape.codebooks or int(codes.max()) >= shape.codebook_size:
            raise Refused("this voice was saved for another model.")
        return reference

    def check(self, name: str, consent: str, owner: str) -> None:
        """See that an owner may have a voice of this name kept. Raises InvalidRequest."""
        check_name(name)
        check_consent(consent)
        own = self.of(owner)
        if _key(name) in (_key(voice.name) for voice in own):
            raise InvalidRequest(
                "You have a voice of this name. Delete it first, or choose another.", param="name"
            )
        if len(own) >= MOST_OF_ONE or len(self._known.references) >= MOST:
            raise InvalidRequest(
                f"No more voices can be kept: at most {MOST_OF_ONE} of one owner, {MOST} in all.",
                param="name",
                code="too_many_voices",
            )

    def keep(self, voice: SavedVoice, codes: Ints) -> None:
        """Write a voice. Raises InvalidRequest, Broken."""
        kept = KeptVoice(voice=voice, codes=tuple(map(tuple, codes.tolist())))
        with self._lock:
            self.check(voice.name, voice.consent, voice.owner)  # another may have been faster
            try:
                self._write(voice.id, msgspec.json.encode(kept))
            except OSError as error:
                raise Broken(f"the voice cannot be written ({_why(error)}).") from error
            self._learn({**self._known.references, voice.id: (voice, _reference(kept))})

    def delete(self, id: str) -> None:
        """Raises UnknownVoice, Broken."""
        with self._lock:
            if id not in self._known.references:
                raise UnknownVoice("There is no such saved voice.", param="id")
            try:
                self._path(id).unlink(missing_ok=True)  # another process may have been faster
            except OSError as error:
                raise Broken(f"the voice cannot be deleted ({_why(error)}).") from error
            self._learn({n: one for n, one in self._known.references.items() if n != id})

    def export(self, id: str) -> bytes:
        """Raises UnknownVoice, Broken."""
        if id not in self._known.references:
            raise UnknownVoice("There is no such saved voice.", param="id")
        try:
            return self._path(id).read_bytes()
        except OSError as error:
            raise Broken(f"the voice cannot be read ({_why(error)}).") from error

    def refresh(self) -> tuple[bool, frozenset[str]]:
        """Look at the folder: whether it has changed, and the ids that are gone. One file that is
        no voice takes nothing from the others. Raises OSError."""
        with self._lock:
            before = self._known.references
            there = self._files()
            now = {id: before.get(id) or self._read(id) for id in there}
            self._learn({id: one for id, one in now.items() if one is not None})
            gone = frozenset(before.keys() - self._known.references.keys())
            self._unreadable = {id: at for id, at in self._unreadable.items() if id in now}
            return before.keys() != self._known.references.keys(), gone

    def _files(self) -> list[str]:
        try:
            names = os.listdir(self._folder)  # noqa: PTH208  # 1,000 paths every two seconds
        except FileNotFoundError:  # there is none until a voice is kept
            return []
        return sorted(found[1] for name in names if (found := _FILE.fullmatch(name)))[:MOST]

    def _read(self, id: str) -> tuple[SavedVoice, Reference] | None:
        path = self._path(id)
        try:
            changed = path.stat().st_mtime_ns
            if self._unreadable.get(id) == changed:
                return None
            kept = parsed(path, id)
        except OSError:
            return None
        if kept is None:
            self._unreadable[id] = changed
            return None
        return kept.voice, _reference(kept)

    def _learn(self, references: Mapping[str, tuple[SavedVoice, Reference]]) -> None:
        owned: dict[str, list[SavedVoice]] = {}
        for voice, _ in sorted(references.values(), key=lambda one: _age(one[0])):
            owned.setdefault(voice.owner, []).append(voice)
        self._known = _Known(references, {who: tuple(voices) for who, voices in owned.items()})

    def _write(self, id: str, data: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = self._folder / f".{id}.part"
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            part.replace(self._path(id))
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)

    def _path(self, id: str) -> Path:
        return self._folder / f"{id}.json"


def new_id() -> str:
    """An id that nobody has, and nobody can guess."""
    return ID + secrets.token_hex(12)


def key_of(id: str) -> Hashable:
    """Under which the engine keeps what it knows of a voice."""
    return ("saved", id)


def normal(name: str) -> str:
    """A name as it is kept: trimmed, and each letter in one way."""
    return unicodedata.normalize("NFC", name.strip())


def _reference(kept: KeptVoice) -> Reference:
    return Reference(key_of(kept.voice.id), np.array(kept.codes, dtype=np.int32))


def _age(voice: SavedVoice) -> tuple[int, str]:
    return voice.created, voice.id


def _key(name: str) -> str:
    return name.strip().casefold()


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__
