"""Keeps built graphs on disk: one folder for each model, precision, builder and processor."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from pathlib import Path

import msgspec
import onnxruntime

from providers.moss_tts_nano.compact.build import Part, Precision, build
from providers.moss_tts_nano.compact.packing import processor
from providers.moss_tts_nano.layout import Layout

BUILDER = 6
"""To be raised whenever other graphs are built of the same model."""
_KEPT = 4
"""Folders that stay: the precisions of this model, and something of the one before."""
_DRAFT_S = 24 * 3600
_TOLD = "built.json"
_WHOLE_BYTES = 1024 * 1024
"""Files up to this size are hashed whole; of larger ones size and time count."""


class Built(msgspec.Struct, frozen=True):
    """A folder of graphs; those that could not be built are missing, each with its reason."""

    folder: Path
    precision: Precision
    refused: dict[Part, str]


class _Told(msgspec.Struct, frozen=True):
    """The list beside the graphs; it is written last."""

    refused: dict[Part, str]
    sizes: dict[str, int]
    """Of all other files."""


def find(layout: Layout, cache: Path, precision: Precision) -> Built | None:
    """What was built before, if it was of these very files and by this builder."""
    folder = cache / _key(layout, precision)
    told = _told(folder)
    if told is None:
        return None
    os.utime(folder)  # the folder that was not used for longest goes first
    return Built(folder, precision, told.refused)


def make(layout: Layout, cache: Path, precision: Precision) -> Built:
    """Build anew; the folder appears when it is whole, or not at all. If another process was
    quicker, its folder stays. Blocking, for seconds.

    Raises: OSError
    """
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / _key(layout, precision)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=cache))
    try:
        refused = build(layout, draft, precision)
        told = _Told(refused, {path.name: path.stat().st_size for path in draft.iterdir()})
        (draft / _TOLD).write_bytes(msgspec.json.encode(told))
        draft.chmod(0o755)  # another user may run what this one has built
        _put(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    _clear(cache, folder)
    return Built(folder, precision, refused)


def _told(folder: Path) -> _Told | None:
    """`None` if the folder is missing or not whole."""
    try:
        told = msgspec.json.decode((folder / _TOLD).read_bytes(), type=_Told)
        sizes = {name: (folder / name).stat().st_size for name in told.sizes}
    except (OSError, msgspec.DecodeError):
        return None
    return told if sizes == told.sizes else None


def _put(draft: Path, folder: Path) -> None:
    if _told(folder) is None:
        shutil.rmtree(folder, ignore_errors=True)
    try:
        draft.rename(folder)
    except OSError:
        if _told(folder) is None:
            raise


def _clear(cache: Path, newest: Path) -> None:
    """Weights that a process has open stay readable to it. A draft that is old was left behind by a
    process that was killed."""
    for draft in cache.glob(".draft-*"):
        if time.time() - draft.stat().st_mtime > _DRAFT_S:
            shutil.rmtree(draft, ignore_errors=True)
    folders = [each.parent for each in cache.glob(f"*/{_TOLD}") if each.parent != newest]
    folders.sort(key=lambda folder: folder.stat().st_mtime, reverse=True)
    for folder in folders[_KEPT - 1 :]:
        shutil.rmtree(folder, ignore_errors=True)


def _key(layout: Layout, precision: Precision) -> str:
    runtime = f"ort{onnxruntime.__version__}-{processor()}"
    return f"{fingerprint(layout)[:20]}-{precision}-{BUILDER}-{runtime}"


def fingerprint(layout: Layout) -> str:
    """Of the files that the graphs are built from. Reads some megabytes."""
    digest = hashlib.sha256()
    for path in sorted(layout.files):
        known = path.stat()
        digest.update(f"{path.name} {known.st_size}\n".encode())
        if known.st_size <= _WHOLE_BYTES:
            digest.update(path.read_bytes())
        else:
            digest.update(f"{known.st_mtime_ns}\n".encode())
    return digest.hexdigest()
