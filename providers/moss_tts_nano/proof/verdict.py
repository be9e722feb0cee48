"""What a proof asks, and what it has found; a proof is kept as JSON."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

PartName = Literal["language_model", "fixed_frames", "greedy_frames", "decoder", "encoder"]
PARTS: tuple[PartName, ...] = get_args(PartName)


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How near is near enough; `None`: that is not asked."""

    hidden_worst: float | None = 1e-3
    """Largest difference of any number of a hidden state."""
    hidden_snr_db: float | None = None
    different_frames: int | None = 0
    """Frames that differ, and not because a number lay on a border."""
    tied_frames: int | None = 3
    """Frames that differ because one did."""
    frame_codes: float = 0.95
    """Share of equal codes, of those chosen in equal circumstances."""
    samples_worst: float = 3e-4
    """Largest difference of a sample: ten steps of 16-bit sound."""
    clip_codes: float = 0.98


EXACT = Bounds()
INT8 = Bounds(
    hidden_worst=None, hidden_snr_db=25.0, different_frames=None, tied_frames=None, frame_codes=0.6
)
"""8-bit weights make another model, near the first: how good it is, `compare` tells. With random
weights of the real size the states were right to 29 dB, and 93 % of the codes drawn from them were
equal; of those drawn by an 8-bit local transformer 77 %."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What was found about one part."""

    part: PartName
    proven: bool
    why: str
    """Why it is not proven; empty when it is."""
    measured: dict[str, float]
    failed: bool = False
    """It was not measured, because something went wrong on the way; that may have been memory, so
    it is looked at again at the next start."""


class Proof(msgspec.Struct, frozen=True):
    """All verdicts; nothing is said of parts that were not asked for."""

    verdicts: tuple[Verdict, ...]

    def holds(self, part: PartName) -> bool:
        return any(verdict.proven for verdict in self.verdicts if verdict.part == part)
