"""Where the audio of jobs lies: a folder for each, and in it only files that are whole.

    aa/run_aa…/pieces/0007.flac     while it is spoken
    aa/run_aa…/audio.mp3            once it has ended

A file gets its name when all of it is on the disk. Everything here blocks: it is for threads.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from router.contract.audio import Encoding

PIECES = "pieces"
_JOB = re.compile(r"run_[A-Za-z0-9_-]{22}")
_LOOKED_AT = 500
_ABANDONED_S = 3_600.0
"""A folder that nobody knows is left alone for so long: its job may be coming in."""


class NoRoom(Exception):
    """The disk is full."""


class Files:
    """The folder of all jobs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of(self, id: str) -> Path:
        """The folder of a job."""
        return self.folder / id[4:6] / id

    def piece(self, id: str, number: int) -> Path:
        return self.of(id) / PIECES / f"{number:04}.flac"

    def audio(self, id: str, encoding: Encoding) -> Path:
        return self.of(id) / f"audio.{encoding}"

    def has(self, path: Path, size: int) -> bool:
        """Whether the file is there, with all its bytes."""
        try:
            return path.stat().st_size == size
        except FileNotFoundError:
            return False

    @contextmanager
    def writing(self, path: Path) -> Iterator[IO[bytes]]:
        """A file that gets its name when the block ends well; otherwise nothing is left of it.

        Raises:
            NoRoom: the disk is full.
            OSError: it cannot be written.
        """
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
        try:
            descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            _sync(path.parent)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise NoRoom from error
            raise
        finally:
            part.unlink(missing_ok=True)

    def drop(self, id: str) -> None:
        """Forget everything of a job."""
        shutil.rmtree(self.of(id), ignore_errors=True)

    def drop_pieces(self, id: str) -> None:
        """Forget the pieces of a job that has ended."""
        shutil.rmtree(self.of(id) / PIECES, ignore_errors=True)

    def jobs(self) -> Iterator[list[str]]:
        """The jobs that have a folder, and have had it for a while, some at a time."""
        some: list[str] = []
        with suppress(FileNotFoundError):
            for upper in self.folder.iterdir():
                if upper.is_dir():
                    some += _old(upper)
                if len(some) >= _LOOKED_AT:
                    yield some
                    some = []
        if some:
            yield some


def _old(folder: Path) -> list[str]:
    """Names of jobs in a folder that nobody has just begun."""
    before = time.time() - _ABANDONED_S
    with os.scandir(folder) as entries:
        return [
            entry.name
            for entry in entries
            if _JOB.fullmatch(entry.name) and entry.stat(follow_symlinks=False).st_mtime < before
        ]


def _sync(folder: Path) -> None:
    """A new name is on the disk only once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
