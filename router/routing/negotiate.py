"""Which format to ask of a provider so that the caller gets the one that was wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from router.contract.audio import AudioFormat, Encoding

FREE_PCM = AudioFormat("pcm", 24_000, 1)
"""What is asked of a provider that makes PCM at any rate when the caller has no wish either."""


PLAIN = ("pcm", "wav")


_Settle = Callable[[Encoding, int, int], tuple[int, int]]


def _as_it_is(encoding: Encoding, sample_rate: int, channels: int) -> tuple[int, int]:
    del encoding
    return sample_rate, channels


class Codecs(msgspec.Struct, frozen=True):
    """What the router itself can take apart and put together."""

    decodes: tuple[Encoding, ...]
    """Cheapest first."""
    encodes: frozenset[Encoding]
    legal: _Settle = _as_it_is
    """The nearest sample rate above, and the channels, that an encoding can have."""
    kept: _Settle = _as_it_is
    """The same for a speaker's own rate, where nobody asked for one."""


class Agreement(NamedTuple):
    """What the provider is asked for, and what the caller gets."""

    native: AudioFormat
    output: AudioFormat
    through: bool
    """The provider's own bytes are passed on."""


def agree(
    wanted: AudioFormat, offered: Iterable[AudioFormat], codecs: Codecs, *, shaped: bool = False
) -> Agreement | None:
    """The wanted format itself, else the one that is cheapest to turn into it; `None`: no way.

    A compressed format is passed through unless the sound is to be `shaped`. A WAV never is: its
    header is ours, so that its sizes are true.
    """
    offered = tuple(offered)
    for format in offered:
        if not shaped and format.encoding not in PLAIN and wanted.admits(format):
            return Agreement(format, format, through=True)
    if wanted.encoding not in codecs.encodes:
        return None
    decodable = [format for format in offered if format.encoding in codecs.decodes]
    if not decodable:
        return None

    def price(format: AudioFormat) -> tuple[bool, int]:
        exact = format.encoding in PLAIN and wanted.admits(format)
        return not exact, codecs.decodes.index(format.encoding)

    native = _filled(min(decodable, key=price), wanted)
    rate, channels = wanted.sample_rate or native.sample_rate, wanted.channels or native.channels
    if rate is not None and channels is not None:
        settle = codecs.legal if wanted.sample_rate else codecs.kept
        rate, channels = settle(wanted.encoding, rate, channels)
    return Agreement(native, AudioFormat(wanted.encoding, rate, channels), through=False)


def _filled(format: AudioFormat, wanted: AudioFormat) -> AudioFormat:
    """Where a provider makes PCM at any rate, say which."""
    if format.encoding != "pcm":
        return format
    return AudioFormat(
        "pcm",
        format.sample_rate or wanted.sample_rate or FREE_PCM.sample_rate,
        format.channels or FREE_PCM.channels,
    )
