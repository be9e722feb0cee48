"""What `tts-router models` can do with the files of the local engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from providers.moss_tts_nano.layout import Layout, find
from providers.moss_tts_nano.places import Source
from providers.moss_tts_nano.pull import Pulled, pull
from providers.moss_tts_nano.releases import CODEC, TTS
from providers.moss_tts_nano.settings import Settings
from router.contract.errors import Broken
from router.contract.provider import Host, Interrupted, Work

if TYPE_CHECKING:
    from providers.moss_tts_nano.engine.threads import Staff

STAMPS = "assets.json"
"""In the instance's cache: hashes of files that have not changed since."""


def source_of(settings: Settings, directory: Path | None = None) -> Source:
    """Where an instance's model comes from; `directory` goes before the one of the settings."""
    return Source(
        TTS,
        CODEC,
        endpoint=settings.endpoint,
        directory=directory or settings.directory,
        offline=settings.pull == "never",
    )


class Assets:
    """The contract's `HasAssets`."""

    def __init__(self, settings: Settings, host: Host) -> None:
        self._settings, self._host = settings, host

    def pull(self, directory: Path | None, work: Work) -> Sequence[str]:
        """Asked for by name, so it fetches whatever `pull:` says, and every byte is looked at."""
        asked = msgspec.structs.replace(source_of(self._settings, directory), offline=False)
        pulled = pull(asked, work.progress, work.stopped)
        return [f"The model is in {pulled.directory}, every file proven.", *_warned(pulled)]

    def optimize(self, directory: Path | None, work: Work) -> Sequence[str]:
        """Faster graphs for the precision of the settings, and where they hold."""
        from providers.moss_tts_nano import fast  # noqa: PLC0415  # onnx is not needed to pull

        layout = self._model(directory, work)
        crew, cache = self._crew(), self._host.cache_dir / "graphs"
        made = fast.made(
            layout, cache, self._settings.precision, crew.threads, work, wide=crew.wide
        )
        used = ", ".join(sorted(made.proven)) or "none"
        return [
            f"Faster graphs ({self._settings.precision}) are in use for: {used}.",
            *(f"The shipped graph serves for {doubt}" for doubt in made.doubts),
        ]

    def compare(self, directory: Path | None, results: Path, work: Work) -> Mapping[str, Any]:
        """The 8-bit graphs against the shipped ones, whatever precision is set: it is this measure
        by which one decides."""
        from providers.moss_tts_nano import fast  # noqa: PLC0415
        from providers.moss_tts_nano.choice import Chosen  # noqa: PLC0415
        from providers.moss_tts_nano.compare import compare  # noqa: PLC0415
        from providers.moss_tts_nano.proof.texts import sentences  # noqa: PLC0415
        from providers.moss_tts_nano.reference import Reference  # noqa: PLC0415
        from providers.moss_tts_nano.tokenizer import Tokenizer  # noqa: PLC0415

        layout = self._model(directory, work)
        crew, cache = self._crew(), self._host.cache_dir / "graphs"
        made = fast.made(layout, cache, "int8", crew.threads, work, wide=crew.wide)
        results = _writable(results)
        found = compare(
            Reference(layout, crew.threads),
            Chosen(Reference(layout, crew.threads), made.parts, made.proven),
            layout,
            sentences(layout, Tokenizer(layout.tokenizer).encode),
            folder=results,
            progress=lambda done, total: _told(work, done, total),
        )
        return {
            "precision": "int8",
            "compared": sorted(made.proven),
            "not_compared": made.doubts,
            **msgspec.to_builtins(found),
        }

    def _model(self, directory: Path | None, work: Work) -> Layout:
        asked = source_of(self._settings, directory)
        stamps = self._host.cache_dir / STAMPS
        return find(pull(asked, work.progress, work.stopped, stamps).directory)

    def _crew(self) -> Staff:
        from providers.moss_tts_nano.engine.threads import staff  # noqa: PLC0415
        from providers.moss_tts_nano.model import cores  # noqa: PLC0415

        settings = self._settings
        return staff(cores(settings), settings.rows)


def _warned(pulled: Pulled) -> list[str]:
    if not pulled.unknown:
        return []
    names = ", ".join(pulled.unknown)
    return [f"Warning: not the files of the release that is known here: {names}."]


def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = error.strerror or type(error).__name__
        raise Broken(f"nothing can be written into {folder}: {what}.") from error
    return folder


def _told(work: Work, done: int, total: int) -> None:
    if work.stopped():
        raise Interrupted
    work.progress("proving", done, total)
