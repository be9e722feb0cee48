"""Faster graphs: built and proven once, then found again."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from providers.moss_tts_nano.compact import store
from providers.moss_tts_nano.compact.compact import Compact
from providers.moss_tts_nano.compact.store import Built
from providers.moss_tts_nano.layout import Layout
from providers.moss_tts_nano.proof.stoppable import Stoppable
from providers.moss_tts_nano.proof.trace import Parts
from providers.moss_tts_nano.prove import EXACT, INT8, PARTS, PartName, Prover, Verdict
from providers.moss_tts_nano.reference import Reference
from providers.moss_tts_nano.settings import Precision
from router.contract.errors import Broken
from router.contract.provider import Interrupted, Work

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
    """Found; or built and proven, which takes half a minute at full size. Blocking.

    Raises:
        Broken: they cannot be kept, or the shipped graphs do not run.
        Interrupted: `work.stopped()` said so.
    """
    try:
        built = store.find(layout, cache, precision)
        if built is None:
            work.progress("building", 0, 0)
            built = store.make(layout, cache, precision)
        parts = Compact(layout, built, threads)
        verdicts = _remembered(built)
        if verdicts is None:
            verdicts = _proven(layout, parts, precision, threads, work)
            _remember(built, verdicts)
    except OSError as error:
        what = error.strerror or type(error).__name__
        raise Broken(f"faster graphs cannot be kept in {cache}: {what}.") from error
    return Fast(parts, verdicts)


def _proven(
    layout: Layout, parts: Compact, precision: Precision, threads: int, work: Work
) -> tuple[Verdict, ...]:
    truth = Reference(layout, threads)
    bounds = INT8 if precision == "int8" else EXACT
    prover = Prover(Stoppable(truth, work.stopped), layout, bounds)
    verdicts: list[Verdict] = []
    work.progress("proving", 0, 0)
    try:
        for verdict in prover.verdicts(Stoppable(parts, work.stopped)):
            verdicts.append(verdict)
            if work.stopped():
                raise Interrupted
            work.progress("proving", len(verdicts), len(PARTS))
    finally:
        truth.unload()
    return tuple(verdicts)


def _remembered(built: Built) -> tuple[Verdict, ...] | None:
    try:
        told = (built.folder / _PROOF).read_bytes()
        return msgspec.json.decode(told, type=tuple[Verdict, ...])
    except (OSError, msgspec.DecodeError):
        return None


def _remember(built: Built, verdicts: tuple[Verdict, ...]) -> None:
    draft = built.folder / f".{_PROOF}.{os.getpid()}"
    draft.write_bytes(msgspec.json.encode(verdicts))
    draft.replace(built.folder / _PROOF)
