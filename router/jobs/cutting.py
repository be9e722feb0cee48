"""Cuts the text of a job into the pieces in which it is spoken and kept."""

from __future__ import annotations

from router.routing.language import is_speakable
from router.routing.segments import Text

PIECE_CHARS = 1_500
"""The longest piece: a million code points make some 700, and a process that dies loses a minute
or two of work."""


def ends_of(text: str, most: int = PIECE_CHARS) -> tuple[int, ...]:
    """Where each piece ends, in code points. A stretch with nothing to say belongs to the piece
    before it, so every piece can be spoken where any of the text can.

    0.3 µs a code point: a long text belongs in a thread.
    """
    cut = Text(text)
    ends: list[int] = []
    at, is_said = 0, False
    while piece := cut.next(most):
        at += len(piece)
        says = is_speakable(piece)
        if ends and not (says and is_said):
            ends[-1] = at  # silence goes with what came before, the first words with what led up
        else:
            ends.append(at)
        is_said = is_said or says
    return tuple(ends)
