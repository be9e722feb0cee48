"""Faster graphs: built and proven once, then found again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from providers.moss_tts_nano import apart
from providers.moss_tts_nano.compact import store
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


class Fast(msgspec.Struct, frozen=True):
    """The faster graphs, and what was found about each part."""

    parts: Parts
    verdicts: tuple[Verdict, ...]

    @property
    def proven(self) -> frozenset[PartName]:
        return frozenset(one.part for one in self.verdicts if one.proven)

    @property
    def doubts(self) -> list[str]:
        """A line for each part that the shipped graph serves instead, with the reason."""
        return [f"{one.part}: {one.why}" for one in self.verdicts if not one.proven]


def made(layout: Layout, cache: Path, precision: Precision, threads: int, work: Work) -> Fast:
    """Found; or built and proven in a process of its own, which takes half a minute at full size.
    Blocking.

    Raises:
        Broken: they cannot be made or kept, or the shipped graphs do not run.
        Interrupted: `work.stopped()` said so.
    """
    try:
        built = store.find(layout, cache, precision)
        verdicts = _remembered(built) if built is not None else ()
        if built is None or _unproven(verdicts):
            verdicts = apart.made(layout, cache, precision, threads, work)
            built = store.find(layout, cache, precision)
    except OSError as error:
        raise _unkept(cache, error) from error
    if built is None:
        raise Broken(f"faster graphs were made, and are not in {cache}.")
    return Fast(Compact(layout, built, threads), verdicts)


def made_here(
    layout: Layout, cache: Path, precision: Precision, threads: int, work: Work
) -> tuple[Verdict, ...]:
    """Build what is not built, and prove it, in this process. Blocking.

    Raises: Broken
    """
    try:
        built = store.find(layout, cache, precision)
        if built is None:
            work.progress("building", 0, 0)
            built = store.make(layout, cache, precision)
            trim_memory()
        known = _remembered(built)
        fresh = _proven(layout, Compact(layout, built, threads), precision, _unproven(known), work)
        verdicts = (*known, *fresh)
        _remember(built, [verdict for verdict in verdicts if not verdict.failed])
    except OSError as error:
        raise _unkept(cache, error) from error
    return verdicts


def _unkept(cache: Path, error: OSError) -> Broken:
    what = error.strerror or type(error).__name__
    return Broken(f"faster graphs cannot be kept in {cache}: {what}.")


def _proven(
    layout: Layout, other: Compact, precision: Precision, parts: Sequence[PartName], work: Work
) -> list[Verdict]:
    truth = Reference(layout, other.threads)
    bounds = INT8 if precision == "int8" else EXACT
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
