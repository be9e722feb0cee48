"""Faster graphs: built and proven once, then found again."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from providers.moss_tts_nano import apart
from providers.moss_tts_nano.compact import build, store
from providers.moss_tts_nano.compact.compact import Compact
from providers.moss_tts_nano.compact.store import Built
from providers.moss_tts_nano.layout import Layout
from providers.moss_tts_nano.proof.trace import Parts
from providers.moss_tts_nano.prove import EXACT, INT8, PARTS, PartName, Prover, Verdict
from providers.moss_tts_nano.reference import Reference
from providers.moss_tts_nano.sessions import trim_memory
from providers.moss_tts_nano.settings import Precision
from router.contract.errors import Broken
from router.contract.provider import Work

_PROOF = "proof.json"
"""Beside the graphs that it is about, so that both are of the same assets, builder and runtime."""
_ROUNDED: tuple[PartName, ...] = ("language_model", "fixed_frames", "greedy_frames")
"""The parts that a precision is of."""


_WAYS: Mapping[Precision, tuple[build.Precision, ...]] = {
    "exact": ("exact",),
    "int8": ("int8", "int8-blocks"),
}
"""What is tried one after the other, until one is near enough."""


class Fast(msgspec.Struct, frozen=True):
    """The faster graphs, and what was found about each part."""

    parts: Parts
    verdicts: tuple[Verdict, ...]
    way: build.Precision

    @property
    def proven(self) -> frozenset[PartName]:
        return frozenset(one.part for one in self.verdicts if one.proven)

    @property
    def doubts(self) -> list[str]:
        """A line for each part that the shipped graph serves instead, with the reason."""
        return [f"{one.part}: {one.why}" for one in self.verdicts if not one.proven]


def made(
    layout: Layout, cache: Path, precision: Precision, threads: int, work: Work, *, wide: int = 1
) -> Fast:
    """Found; or built and proven in a process of its own, which takes half a minute at full size.
    Blocking. `threads` and `wide` as in `Compact`.

    Raises:
        Broken: they cannot be made or kept, or the shipped graphs do not run.
        Interrupted: `work.stopped()` said so.
    """
    try:
        way, verdicts = _known(layout, cache, precision) or apart.made(
            layout, cache, precision, (threads, wide), work
        )
        built = store.find(layout, cache, way)
    except OSError as error:
        raise _unkept(cache, error) from error
    if built is None:
        raise Broken(f"faster graphs were made, and are not in {cache}.")
    return Fast(Compact(layout, built, threads, wide), verdicts, way)


def made_here(
    layout: Layout, cache: Path, precision: Precision, threads: tuple[int, int], work: Work
) -> tuple[build.Precision, tuple[Verdict, ...]]:
    """Build what is not built, and prove it, in this process. Blocking.

    `threads`: those of one operation, and the wide ones.

    Raises: Broken
    """
    try:
        for way in _WAYS[precision]:
            verdicts = _made(layout, cache, way, threads, work)
            if not _are_too_far(verdicts):
                break
    except OSError as error:
        raise _unkept(cache, error) from error
    return way, verdicts


def _known(
    layout: Layout, cache: Path, precision: Precision
) -> tuple[build.Precision, tuple[Verdict, ...]] | None:
    """What an earlier start has settled for."""
    for way in _WAYS[precision]:
        built = store.find(layout, cache, way)
        verdicts = _remembered(built) if built is not None else ()
        if built is None or _unproven(verdicts):
            return None
        if not _are_too_far(verdicts):
            break
    return way, verdicts


def _made(
    layout: Layout, cache: Path, way: build.Precision, threads: tuple[int, int], work: Work
) -> tuple[Verdict, ...]:
    built = store.find(layout, cache, way)
    if built is None:
        work.progress("building", 0, 0)
        built = store.make(layout, cache, way)
        trim_memory()
    known = _remembered(built)
    fresh = _proven(layout, Compact(layout, built, *threads), way, _unproven(known), work)
    verdicts = (*known, *fresh)
    _remember(built, [verdict for verdict in verdicts if not verdict.failed])
    return verdicts


def _are_too_far(verdicts: Sequence[Verdict]) -> bool:
    """Whether other products might bring these graphs nearer: they ran, and were not near."""
    return any(one.part in _ROUNDED and one.measured and not one.proven for one in verdicts)


def _unkept(cache: Path, error: OSError) -> Broken:
    what = error.strerror or type(error).__name__
    return Broken(f"faster graphs cannot be kept in {cache}: {what}.")


def _proven(
    layout: Layout, other: Compact, way: build.Precision, parts: Sequence[PartName], work: Work
) -> list[Verdict]:
    truth = Reference(layout, other.threads)
    bounds = EXACT if way == "exact" else INT8
    verdicts: list[Verdict] = []
    work.progress("proving", 0, 0)
    try:
        for verdict in Prover(truth, layout, bounds).verdicts(other, parts):
            verdicts.append(verdict)
            work.progress("proving", len(verdicts), len(parts))
    finally:
        truth.unload()
    return verdicts


def _unproven(known: Sequence[Verdict]) -> list[PartName]:
    """Parts of which nothing is known yet."""
    told = {verdict.part for verdict in known}
    return [part for part in PARTS if part not in told]


def _remembered(built: Built) -> tuple[Verdict, ...]:
    try:
        told = (built.folder / _PROOF).read_bytes()
        return msgspec.json.decode(told, type=tuple[Verdict, ...])
    except (OSError, msgspec.DecodeError):
        return ()


def _remember(built: Built, verdicts: Sequence[Verdict]) -> None:
    draft = built.folder / f".{_PROOF}.{os.getpid()}"
    draft.write_bytes(msgspec.json.encode(verdicts))
    draft.replace(built.folder / _PROOF)
