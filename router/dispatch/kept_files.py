"""Finished speech in a folder that several processes may share: blocking, for threads.

One file is one speech, under the keyed hash of what was asked for. It gets its name when it is
whole, and carries a keyed digest of all that is in it: what a crash has left half written, or
somebody else has written, is never given to anybody. The file system's times tell when it was made
(mtime) and when it was last asked for (atime, which we set ourselves).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from router.dispatch.kept import About, Kept

_MAGIC = b"tts-router speech 1\n"
_DIGEST_BYTES = 32
_LENGTH_BYTES = 4
_HEAD_MOST = 65_536
_READ_BYTES = 262_144
_BLOCK_BYTES = 4096
"""A file takes whole blocks; that is what counts."""
_ABANDONED_S = 3600.0
"""After so long nobody is still writing a file."""
_NAME = re.compile(r"[0-9a-f]{40}")
_PART = re.compile(r"\.[0-9a-f]{40}\.[0-9a-f]+\.part")


class Files:
    """The folder. Any thread may read; one at a time may write."""

    def __init__(
        self,
        folder: Path,
        key: bytes,
        *,
        most_bytes: int,
        entry_bytes: int,
        age_s: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        """One process keeps the folder below `most_bytes`. Of what the others write it hears when
        it looks, which is after each 32nd of that: so much may be too much for each of them."""
        self._folder = folder
        self._key = key
        self._most_bytes = most_bytes
        self._entry_bytes = entry_bytes
        self._age_s = age_s
        self._now = now
        self._known_bytes: int | None = None
        """What lies there, as far as we know; never less than what we left there ourselves."""
        self._unseen_bytes = 0
        """What we have written since we looked."""

    @property
    def known_bytes(self) -> int:
        """What lies there, as far as is known: 0 until the folder was first looked at."""
        return self._known_bytes or 0

    def read(self, name: str) -> tuple[Kept, float] | None:
        """A speech, and when it was made in seconds since 1970. Raises OSError."""
        path = self._folder / name
        try:
            with path.open("rb") as file:
                made_at = os.fstat(file.fileno()).st_mtime
                kept = self._parsed(name, file)
        except FileNotFoundError:
            return None
        if kept is None or made_at + self._age_s <= self._now():
            path.unlink(missing_ok=True)
            return None
        self.touch(name)
        return kept, made_at

    def touch(self, name: str) -> None:
        """Somebody has asked for it. Raises OSError."""
        path = self._folder / name
        with suppress(FileNotFoundError):  # another process may have forgotten it
            os.utime(path, (self._now(), path.stat().st_mtime))

    def write(self, name: str, kept: Kept) -> None:
        """Keep a speech, and forget those that were not asked for the longest. Raises OSError."""
        about = msgspec.msgpack.encode(kept.about)
        head = self._head(name, about, kept.chunks)
        size = _on_disk(len(head) + kept.audio_bytes)
        if size > self._most_bytes or kept.audio_bytes > self._entry_bytes:
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        is_due = self._unseen_bytes > self._most_bytes // 32
        if self._known_bytes is None or is_due or self._known_bytes + size > self._most_bytes:
            self._known_bytes = self._sweep(size)
            self._unseen_bytes = 0
        self._known_bytes += size
        self._unseen_bytes += size
        part = self._folder / f".{name}.{secrets.token_hex(8)}.part"
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(head)
                file.writelines(kept.chunks)
            now = self._now()
            os.utime(part, (now, now))
            part.replace(self._folder / name)
        finally:
            part.unlink(missing_ok=True)

    def _head(self, name: str, about: bytes, chunks: tuple[bytes, ...]) -> bytes:
        digest = self._digest(name, about, chunks)
        return _MAGIC + digest + len(about).to_bytes(_LENGTH_BYTES) + about

    def _digest(self, name: str, about: bytes, chunks: tuple[bytes, ...]) -> bytes:
        digest = hashlib.blake2b(name.encode(), key=self._key, digest_size=_DIGEST_BYTES)
        digest.update(len(about).to_bytes(_LENGTH_BYTES) + about)
        for chunk in chunks:
            digest.update(chunk)
        return digest.digest()

    def _parsed(self, name: str, file: BinaryIO) -> Kept | None:
        """What the file says; `None`: not what one of us has written there."""
        if os.fstat(file.fileno()).st_size > self._entry_bytes + _HEAD_MOST:
            return None
        if file.read(len(_MAGIC)) != _MAGIC:
            return None
        digest = file.read(_DIGEST_BYTES)
        length = int.from_bytes(file.read(_LENGTH_BYTES))
        if length > _HEAD_MOST:
            return None
        about = file.read(length)
        chunks = tuple(iter(lambda: file.read(_READ_BYTES), b""))
        if not hmac.compare_digest(digest, self._digest(name, about, chunks)):
            return None
        try:
            return Kept(msgspec.msgpack.decode(about, type=About), chunks)
        except msgspec.ValidationError:  # another version of us has other words
            return None

    def _sweep(self, needed: int) -> int:
        """Make room, and tell how many bytes lie there then; what is not ours stays untouched."""
        total, now = 0, self._now()
        found: list[tuple[float, int, str]] = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                is_part = _PART.fullmatch(entry.name) is not None
                if not is_part and not _NAME.fullmatch(entry.name):
                    continue
                try:
                    stat = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if stat.st_mtime + (_ABANDONED_S if is_part else self._age_s) <= now:
                    Path(entry.path).unlink(missing_ok=True)
                    continue
                total += _on_disk(stat.st_size)
                if not is_part:
                    found.append((stat.st_atime, _on_disk(stat.st_size), entry.path))
        if total + needed <= self._most_bytes:
            return total
        # A good part at once, so that not every speech after this one looks again.
        goal = max(0, self._most_bytes - needed - self._most_bytes // 8)
        for _, size, path in sorted(found):
            if total <= goal:
                break
            Path(path).unlink(missing_ok=True)
            total -= size
        return total


def _on_disk(size: int) -> int:
    return -(-size // _BLOCK_BYTES) * _BLOCK_BYTES
