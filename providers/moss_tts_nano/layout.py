"""Finds the files of a model directory, in whichever way it was laid down.

The published model lies in two folders side by side; what is found here are directories that hold
both, the model's own folder, either of them one level too deep, older names, snapshots of the hub's
cache.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from providers.moss_tts_nano.metadata import CodecMeta, Manifest, TtsMeta, disagreement, shape_of
from providers.moss_tts_nano.parts import Shape
from providers.moss_tts_nano.releases import CODEC, CODEC_FOLDERS, TTS_FOLDERS
from router.contract.errors import NotReady

MANIFEST = "browser_poc_manifest.json"
CODEC_META = "codec_browser_onnx_meta.json"
NEEDED = ("prefill", "decode_step")
FRAME_GRAPHS = ("local_fixed_sampled_frame", "local_cached_step", "local_decoder")
CODEC_NEEDED = ("encode", "decode_full", "decode_step")
_METADATA_BYTES = 64 * 1024 * 1024
"""The manifest has half a megabyte; more than this is no manifest."""

_Meta = TypeVar("_Meta", Manifest, TtsMeta, CodecMeta)


class BadAssets(NotReady):
    """A model directory cannot be used; the message names what and where, for people."""


class Layout(msgspec.Struct, frozen=True):
    """A whole model directory: every file that it names is there."""

    folder: Path
    """The language model's folder."""
    codec_folder: Path
    manifest: Manifest
    tts: TtsMeta
    codec: CodecMeta
    shape: Shape
    tokenizer: Path
    graphs: Mapping[str, Path]
    """By role: `prefill`, `decode_step`, `local_…`, as the metadata names them."""
    codec_graphs: Mapping[str, Path]
    """By role: `encode`, `decode_full`, `decode_step`."""
    files: tuple[Path, ...]
    """All of them, the metadata and the weights too, each once."""


def find(directory: Path) -> Layout:
    """Everything of a model directory, checked to be there and to fit together. Reads half a
    megabyte; blocking.

    Raises:
        BadAssets: something is missing, unreadable or contradicts the rest.
    """
    manifest_path = _manifest_of(directory)
    folder = manifest_path.parent
    manifest = _read(manifest_path, Manifest)
    tts_path = _beside(folder, manifest.model_files.tts_meta)
    codec_path = _codec_meta(folder, manifest.model_files.codec_meta)
    tokenizer = _beside(folder, manifest.model_files.tokenizer_model)
    tts, codec = _read(tts_path, TtsMeta), _read(codec_path, CodecMeta)
    _check_roles(tts, codec)
    wrong = disagreement(manifest, tts, codec)
    if wrong is not None:
        raise BadAssets(f"the model in {directory} contradicts itself: {wrong}.")
    graphs, data = _graphs(tts_path.parent, tts.files, tts.external_data_files)
    codec_graphs, codec_data = _graphs(codec_path.parent, codec.files, codec.external_data_files)
    metadata = (_followed(manifest_path), tts_path, codec_path, tokenizer)
    files = (*metadata, *graphs.values(), *codec_graphs.values(), *data, *codec_data)
    missing = [path for path in dict.fromkeys(files) if not path.is_file()]
    if missing:
        raise BadAssets(_told_missing(directory, missing))
    return Layout(
        folder=tts_path.parent,
        codec_folder=codec_path.parent,
        manifest=manifest,
        tts=tts,
        codec=codec,
        shape=shape_of(manifest, tts, codec),
        tokenizer=tokenizer,
        graphs=graphs,
        codec_graphs=codec_graphs,
        files=tuple(dict.fromkeys(files)),
    )


def _manifest_of(directory: Path) -> Path:
    if not directory.is_dir():
        raise BadAssets(f"there is no folder {directory}.")
    places = [directory]
    for name in TTS_FOLDERS:
        places += [directory / name, directory / name / name]
    if directory.name in TTS_FOLDERS:
        places.append(directory / directory.name)
    for place in places:
        if (place / MANIFEST).is_file():
            return place / MANIFEST
    raise BadAssets(
        f"there is no model in {directory}: {MANIFEST} is neither in it nor in its folder "
        f"{TTS_FOLDERS[0]}."
    )


def _beside(folder: Path, relative: str) -> Path:
    """A file that the manifest names; its `..` are taken as written, before links are followed."""
    plain = Path(os.path.normpath(folder / relative))
    if not plain.exists():
        for old, new in ((TTS_FOLDERS[1], TTS_FOLDERS[0]), (CODEC_FOLDERS[1], CODEC_FOLDERS[0])):
            renamed = Path(os.path.normpath(folder / relative.replace(old, new)))
            if renamed.exists():
                return _followed(renamed)
    return _followed(plain)


def _followed(path: Path) -> Path:
    """A linked folder is followed, a linked file is not: onnxruntime (1.31) refuses weights that
    lie outside the folder in which it opens a graph, and in the hub's cache every file is a link
    out of its folder, next to the others."""
    return path.parent.resolve() / path.name


def _codec_meta(folder: Path, relative: str) -> Path:
    said = _beside(folder, relative)
    for path in (said, *_codec_places(folder, said.name)):
        if path.is_file():
            return _followed(path)
    raise BadAssets(
        f"the model in {folder} has no codec: {said} is missing. The folder {CODEC_FOLDERS[0]} "
        f"belongs beside {folder.name}."
    )


def _codec_places(folder: Path, name: str) -> Iterator[Path]:
    for place in dict.fromkeys((folder, folder.resolve())):
        for parent in (place, place.parent, place.parent.parent):
            for codec in CODEC_FOLDERS:
                yield parent / codec / name
                yield parent / codec / codec / name
        yield from _snapshots(place, name)


def _snapshots(folder: Path, name: str) -> Iterator[Path]:
    """Where the hub's cache keeps the codec, seen from the model's snapshot: the release that we
    know, then the newest."""
    repository = folder.parent.parent
    if folder.parent.name != "snapshots" or not repository.name.endswith(TTS_FOLDERS[0]):
        return
    codec = repository.name.removesuffix(TTS_FOLDERS[0]) + CODEC_FOLDERS[0]
    snapshots = repository.parent / codec / "snapshots"
    yield snapshots / CODEC.revision / name
    found = snapshots.glob(f"*/{name}")
    yield from sorted(found, key=lambda path: path.parent.stat().st_mtime, reverse=True)


def _read(path: Path, kind: type[_Meta]) -> _Meta:
    try:
        if path.stat().st_size > _METADATA_BYTES:
            raise BadAssets(f"{path} is far too large for what it should be.")
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise BadAssets(f"{path} cannot be read: {error.strerror or 'no reason given'}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadAssets(f"{path} is not as it should be: {error}.") from error


def _check_roles(tts: TtsMeta, codec: CodecMeta) -> None:
    lacks = [role for role in NEEDED if not tts.files.get(role)]
    lacks += [f"codec {role}" for role in CODEC_NEEDED if not codec.files.get(role)]
    if not any(tts.files.get(role) for role in FRAME_GRAPHS):
        lacks.append(f"one of {', '.join(FRAME_GRAPHS)}")
    if lacks:
        raise BadAssets(f"the model's metadata names no file for: {', '.join(lacks)}.")


def _graphs(
    folder: Path, files: Mapping[str, str | None], external: Mapping[str, tuple[str, ...]]
) -> tuple[dict[str, Path], list[Path]]:
    graphs = {role: folder / name for role, name in files.items() if name}
    listed = {name for name in files.values() if name}
    return graphs, [folder / data for graph in listed for data in external.get(graph, ())]


def _told_missing(directory: Path, missing: list[Path]) -> str:
    names = ", ".join(path.name for path in missing[:4])
    more = f" and {len(missing) - 4} more" if len(missing) > 4 else ""
    folders = " and ".join(sorted({str(path.parent) for path in missing}))
    return (
        f"the model in {directory} is not whole: {names}{more} missing from {folders}. Fetch it "
        "again, or name a directory that is whole."
    )
