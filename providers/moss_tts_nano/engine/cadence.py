"""When frames become sound, and sound leaves: soon at first, then in larger pieces.

A codec call has a price of its own (one frame 14 ms, two 23, four 38, eight 75), so frames are
gathered for as long as a listener in real time has enough to hear. The steps are those of the
official web app.
"""

from __future__ import annotations

HUNGRY_S = 0.5
"""A lead below which a speech is served before all others."""
CALM_S = 4.0
"""A lead from which on a speech waits while another is hungry."""
HELD_S = 2.0
"""A lead from which on a chunk's sound is kept back until the chunk has ended well."""

MOST_FRAMES = 8
"""Of one call."""
GATHERED_FRAMES = 4
"""More are not waited for: eight are hardly cheaper for each, and at the end of a speech all wait
for what was gathered last."""

_STEPS = ((0.2, 1), (0.55, 2), (1.1, 4))


def piece_frames(lead_s: float | None) -> int:
    """Frames to gather for one codec call. `lead_s`: sound handed out, less the time since the
    first of it; `None`: nothing was handed out yet."""
    if lead_s is None:
        return 1
    return next((frames for below_s, frames in _STEPS if lead_s < below_s), MOST_FRAMES)
