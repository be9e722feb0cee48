"""Tells whether the files of a model are what they should be, byte for byte.

A file is held against the hash that its hub gave for it, where one is known (in the hub's cache it
is the name under which the content lies; in a directory of ours a record lies beside): if it
differs, the file is damaged. The published model's hashes are known besides: a file that differs
from those may be a later release, so that is told, and no more.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

RECORD = ".tts-router-assets.json"
"""In a directory of ours: what the hub said of each file there."""
_PIECE_BYTES = 1 << 20
_GIT_SHA1, _SHA256 = re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{64}")


class Known(msgspec.Struct, frozen=True):
    """A published file. Where a hash was printed in part, `begins` and `ends` are what is known."""

    begins: str
    ends: str = ""
    size_bytes: int | None = None

    def fits(self, sha256: str, size_bytes: int) -> bool:
        """Whether a file may be this one, as far as it is known."""
        same = sha256.startswith(self.begins) and sha256.endswith(self.ends)
        return same and self.size_bytes in {None, size_bytes}


PUBLISHED: Mapping[str, Known] = {
    # TTS f52645cb…, codec ceff0d07… on the hub; hashes and sizes as published or printed by others.
    "browser_poc_manifest.json": Known(
        "097d80e993dc29f0bae427590b4f77084a161cb578b50d82c29f455d5faa9eee", size_bytes=503_354
    ),
    "tts_browser_onnx_meta.json": Known(
        "3edf25232dcd0af3d061c837e9a968a39e2f8592e06777d740503c4f2244f95c", size_bytes=4_487
    ),
    "codec_browser_onnx_meta.json": Known(
        "3e291c883bb7d11ff2fe8e964e3e495519760358859f35c951254c7741592731", size_bytes=17_036
    ),
    "tokenizer.model": Known(
        "c353ee1479b536bf414c1b247f5542b6607fb8ae91320e5af1781fee200fddff", size_bytes=470_897
    ),
    "moss_tts_prefill.onnx": Known("d56126dc", "f3db", 283_305),
    "moss_tts_decode_step.onnx": Known("698cbc2f", "2d8", 291_483),
    "moss_tts_local_fixed_sampled_frame.onnx": Known("40cdb00e", "afa8", 471_262),
    "moss_tts_local_cached_step.onnx": Known("aa9035fe", "dd5"),
    "moss_tts_local_decoder.onnx": Known("51aa7543", "a454"),
    "moss_tts_global_shared.data": Known("bce8312c", "31dc", 440_813_568),
    "moss_tts_local_shared.data": Known("bae77820", "3916", 229_678_080),
    "moss_audio_tokenizer_decode_full.onnx": Known("0fbbafe3", "b4ac", 681_902),
    "moss_audio_tokenizer_decode_shared.data": Known("e69d52e0", "dcad", 44_198_912),
}


class Told(msgspec.Struct, frozen=True):
    """What a hub said of one file: `digest` is its sha256, or its git blob id where the hub keeps
    it in git itself."""

    size_bytes: int
    digest: str


class Verdict(msgspec.Struct, frozen=True):
    """What a check found."""

    damaged: tuple[Path, ...]
    """Not what the hub gave: to be fetched again."""
    unknown: tuple[str, ...]
    """Names of files that are not those published (or never were): worth a warning."""
    digests: Mapping[str, str]
    """sha256 by name."""

    @property
    def fingerprint(self) -> str:
        """One word for the whole of the assets: the same files give the same."""
        lines = sorted(f"{name} {digest}" for name, digest in self.digests.items())
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


def check(
    files: Sequence[Path],
    stamps: Path | None = None,
    looked_at: Callable[[int], None] = lambda _bytes: None,
) -> Verdict:
    """Hash files and judge each; about a second for the published model. Blocking; `looked_at`
    hears of every piece, and what it raises ends the check.

    `stamps` is where the hashes of unchanged files (by size, time and inode) are kept, so that the
    next check reads none of them again; without it everything is read.

    Raises:
        OSError: a file cannot be read.
    """
    remembered = _remembered(stamps)
    stamped: dict[str, _Stamp] = {}
    damaged, unknown, digests = [], [], {}
    for path in files:
        stamp = _stamp(path, remembered.get(str(path)), looked_at)
        stamped[str(path)] = stamp
        digests[path.name] = stamp.sha256
        told = told_of(path)
        if told is not None and not _is(stamp, told):
            damaged.append(path)
        elif not _published(path.name, stamp):
            unknown.append(path.name)
    if stamps is not None and not damaged:
        _remember(stamps, stamped)
    return Verdict(tuple(damaged), tuple(sorted(unknown)), digests)


def told_of(path: Path) -> Told | None:
    """What the hub said of a file that is already here; `None`: nobody knows."""
    content = pointed_at(path)
    name = content.name
    if content.parent.name == "blobs" and (_SHA256.fullmatch(name) or _GIT_SHA1.fullmatch(name)):
        return Told(-1, name)
    return recorded(path.parent).get(path.name)


def pointed_at(path: Path) -> Path:
    """Where a link of the hub's cache leads, one step: its name tells what it should hold. The
    content may lie further away, shared by several caches."""
    return path.parent / path.readlink() if path.is_symlink() else path


def recorded(folder: Path) -> dict[str, Told]:
    """The record of a directory of ours; empty where there is none that can be read."""
    try:
        return msgspec.json.decode((folder / RECORD).read_bytes(), type=dict[str, Told])
    except (OSError, msgspec.DecodeError):
        return {}


def record(folder: Path, files: Mapping[str, Told]) -> None:
    """Lay the record down beside the files. Raises: OSError."""
    (folder / RECORD).write_bytes(msgspec.json.format(msgspec.json.encode(files)))


class _Stamp(msgspec.Struct, frozen=True):
    size_bytes: int
    modified_ns: int
    inode: int
    sha256: str
    git: str
    """The id that git gives the content: the hub names small files by it."""


def _stamp(path: Path, before: _Stamp | None, looked_at: Callable[[int], None]) -> _Stamp:
    now = path.stat()
    if (
        before is not None
        and (before.size_bytes, before.modified_ns) == (now.st_size, now.st_mtime_ns)
        and before.inode == now.st_ino
    ):
        return before
    sha256, git = digests_of(path, looked_at)
    return _Stamp(now.st_size, now.st_mtime_ns, now.st_ino, sha256, git)


def digests_of(
    path: Path, looked_at: Callable[[int], None] = lambda _bytes: None
) -> tuple[str, str]:
    """The sha256 of a file, and the id that git gives its content; the file is read once."""
    sha256 = hashlib.sha256()
    git = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            sha256.update(piece)
            git.update(piece)
            looked_at(len(piece))
    return sha256.hexdigest(), git.hexdigest()


def _is(stamp: _Stamp, told: Told) -> bool:
    return told.digest in {stamp.sha256, stamp.git}


def _published(name: str, stamp: _Stamp) -> bool:
    known = PUBLISHED.get(name)
    return known is not None and known.fits(stamp.sha256, stamp.size_bytes)


def _remembered(stamps: Path | None) -> dict[str, _Stamp]:
    try:
        content = stamps.read_bytes() if stamps is not None else b"{}"
        return msgspec.json.decode(content, type=dict[str, _Stamp])
    except (OSError, msgspec.DecodeError):
        return {}


def _remember(stamps: Path, stamped: Mapping[str, _Stamp]) -> None:
    try:
        stamps.parent.mkdir(parents=True, exist_ok=True)
        part = stamps.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(stamped))
        part.replace(stamps)
    except OSError:
        return  # a cache that cannot be written costs a second at the next start
