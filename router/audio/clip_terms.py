"""What a clip may be, and how the router and the process that decodes it tell each other.

To the child: `ORDER` (the container, zero-padded; the length), then the file. From it one of

    R  ready       once, at the start
    S  samples     `ANSWER` (frames; whether peaks are cut off), then float32 [2, frames]
    X  refused     `REFUSAL` (a word of `WHY`, zero-padded; the number that goes with it, or 0)

Numbers are little-endian.
"""

from __future__ import annotations

import struct

RATE = 48_000
LONGEST_S = 120
SHORTEST_S = 1
"""How much of a clip must sound."""
LEAST_RATE, MOST_RATE = 4_000, 192_000
MOST_CHANNELS = 8
LARGEST_FILE = 16 << 20

MOST_FRAMES = LONGEST_S * RATE + RATE // 4
"""A quarter of a second more than the greatest length, which encoders may add."""

CPU_S = 8
"""Processor time for a clip; 120 s of any codec take half a second to two."""
WALL_S = 15.0
"""How long a clip may take, on a machine that has other things to do."""

ORDER = struct.Struct("<8sI")
ANSWER = struct.Struct("<I?")
REFUSAL = struct.Struct("<8sd")

UNREADABLE = "The voice sample cannot be decoded. Send an mp3, wav, flac, m4a or ogg file."
WHY = {
    "noaudio": "There is no audio in the voice sample.",
    "broken": UNREADABLE,
    "silent": "The voice sample is silent.",
    "short": f"The voice sample has {{:.2f}} s of sound. At least {SHORTEST_S} s is needed.",
    "long": f"The voice sample is longer than {LONGEST_S} s, which is the most that is read.",
    "rate": f"The voice sample has {{:.0f}} samples a second, not {LEAST_RATE} to {MOST_RATE}.",
    "many": f"The voice sample has {{:.0f}} channels, not 1 to {MOST_CHANNELS}.",
}
"""Why a clip is refused. A child that was taken over by a clip can say nothing else."""
