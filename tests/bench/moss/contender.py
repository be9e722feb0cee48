"""Who is measured, with what is asked of all alike."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol

import msgspec

Kind = Literal["official", "reference", "exact", "int8"]


class Contender(msgspec.Struct, frozen=True):
    """One way to speak, in so many processes at once."""

    kind: Kind
    """`official`: the loop of `official.py`. The others are our engine: over the shipped graphs, or
    over graphs of its own in one of two precisions."""
    streams: int = 1
    """Speeches at once in each process; when one ends the next begins."""
    processes: int = 1
    threads: int = 1
    """Threads that one node of a graph may use; the engine decides that by itself."""
    spinning: bool = False
    """Whether these wait for work without sleeping, as onnxruntime has it by default."""
    shipped_codec: bool = False
    """Whether codes become sound by the shipped graph all the same."""

    @property
    def name(self) -> str:
        if self.kind == "official":
            return f"official, {self.threads} threads{', spinning' if self.spinning else ''}"
        return f"{self.kind}{', shipped codec' if self.shipped_codec else ''}"


class Task(msgspec.Struct, frozen=True):
    """What every speech says: the codes of its voice, [frames][codebooks], and the ids of its
    text."""

    voice: list[list[int]]
    text: list[int]


class Spoken(msgspec.Struct, frozen=True):
    """What one process did while all its streams spoke."""

    audio_s: float
    wall_s: float
    cpu_s: float
    first_audio_s: list[float]
    """From the call to the first sound, of each speech that began while others went on, or that was
    alone."""
    paces: list[float]
    """Seconds of audio in a second, of each speech by itself."""


class Runtime(Protocol):
    """A model in memory."""

    def speak(self, task: Task, lengths: list[int], streams: int) -> Spoken:
        """Say one speech after the other, each of so many frames, that many at once."""
        ...


class Models(msgspec.Struct, frozen=True):
    """Where everything lies; paths as they travel to other processes."""

    directory: str
    cache: str
    """Of graphs that were built."""


def opened(contender: Contender, models: Models) -> Runtime:
    """Load it. What it needs is imported here, so that no process holds more than its own."""
    if contender.kind == "official":
        from tests.bench.moss.official import Official  # noqa: PLC0415

        return Official(Path(models.directory), contender.threads, spinning=contender.spinning)
    from tests.bench.moss.ours import Ours  # noqa: PLC0415

    return Ours(models, contender)
