"""Where fetched files are laid: the hub's cache, or a model directory of one's own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from providers.moss_tts_nano.hashes import pointed_at, record, recorded
from providers.moss_tts_nano.hub_cache import HubFile, cached, storage
from providers.moss_tts_nano.releases import Repository


class Place(Protocol):
    """Takes whole files only: what is on its way lies in `part`."""

    @property
    def model(self) -> Path:
        """The directory to hand to `layout.find`."""

    @property
    def lock(self) -> Path:
        """A file that one process at a time may hold."""

    def content(self, file: HubFile) -> Path:
        """Where the bytes of a file lie."""

    def part(self, file: HubFile) -> Path:
        """Where they gather, on the same disk."""

    def lay(self, files: Sequence[HubFile]) -> None:
        """Make the model directory of files whose bytes are there."""

    def remove(self, path: Path) -> None:
        """Throw away a damaged file of the model directory."""

    def owns(self, path: Path) -> bool:
        """Whether a file was laid here by a pull, and may be replaced by one."""


class HubCache:
    """The cache that every user of huggingface_hub shares: contents by hash, links by name."""

    def __init__(self, tts: Repository) -> None:
        self.model = cached(tts)
        self.lock = storage(tts).parent / ".locks" / f"tts-router-{tts.revision}.lock"

    def content(self, file: HubFile) -> Path:
        return storage(file.repository) / "blobs" / file.told.digest

    def part(self, file: HubFile) -> Path:
        # Beside those of huggingface_hub, which end in `.incomplete`.
        return self.content(file).with_name(f"{file.told.digest}.tts-router.part")

    def lay(self, files: Sequence[HubFile]) -> None:
        for file in files:
            link = cached(file.repository) / file.name
            if link.exists():
                continue
            link.parent.mkdir(parents=True, exist_ok=True)
            content = self.content(file)
            link.unlink(missing_ok=True)  # one that leads nowhere
            try:
                link.symlink_to(os.path.relpath(content, link.parent))
            except OSError:  # a system without links: as huggingface_hub, by name only
                content.replace(link)

    def remove(self, path: Path) -> None:
        pointed_at(path).unlink(missing_ok=True)
        path.unlink(missing_ok=True)

    def owns(self, path: Path) -> bool:
        return True


class Folder:
    """A directory with the model's two folders in it, and a record of what the hub said of each
    file."""

    def __init__(self, directory: Path) -> None:
        self.model = directory
        self.lock = directory / ".tts-router.lock"

    def content(self, file: HubFile) -> Path:
        return self.model / file.repository.folder / file.name

    def part(self, file: HubFile) -> Path:
        return self.content(file).with_name(f".{file.name}.{file.told.digest[:16]}.part")

    def lay(self, files: Sequence[HubFile]) -> None:
        for folder in {self.content(file).parent for file in files}:
            here = {file.name: file.told for file in files if self.content(file).parent == folder}
            if recorded(folder) != here:
                record(folder, here)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def owns(self, path: Path) -> bool:
        return path.name in recorded(path.parent)


class Source(msgspec.Struct, frozen=True):
    """Where the model comes from and where it is laid."""

    tts: Repository
    codec: Repository
    endpoint: str | None = None
    """A mirror of the hub; else `$HF_ENDPOINT`, else the hub itself."""
    directory: Path | None = None
    """A model directory of one's own; else the hub's cache."""
    offline: bool = False
    """No request at all."""

    def place(self) -> Place:
        """Where this model lies, or will."""
        return Folder(self.directory) if self.directory else HubCache(self.tts)
