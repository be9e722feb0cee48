"""From an order to a script: cleaned, split, tokenized, with its voice and its random numbers."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import msgspec

from providers.moss_tts_nano.draws import Mode, RowDraws
from providers.moss_tts_nano.engine.script import Chunk, Script
from providers.moss_tts_nano.guards import Hush, Watch
from providers.moss_tts_nano.parts import Shape
from providers.moss_tts_nano.preparation import Preparation, PreparedChunk
from providers.moss_tts_nano.prompt import Prompt
from providers.moss_tts_nano.sampling import Sampling
from providers.moss_tts_nano.settings import Guards, Settings, Temperature, TopP
from providers.moss_tts_nano.voices import Reference
from router.contract.errors import Refused
from router.contract.speech import SpeechOrder

SEEDED = frozenset({"seed"})
SAMPLED = frozenset({"seed", "temperature", "top_p"})
"""What an order may set in `full`; elsewhere the rest is fixed inside a graph, or plays no part."""


class Controls(msgspec.Struct, frozen=True):
    """The options of an order, checked."""

    seed: int | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None


class Scripts:
    """Thread-safe; a page of text takes milliseconds of work, so it belongs into a thread."""

    def __init__(
        self,
        preparation: Preparation,
        prompt: Prompt,
        shape: Shape,
        settings: Settings,
        *,
        mode: Mode,
        sampling: Sampling,
        capacity: int,
    ) -> None:
        """`mode`: how frames are really drawn. `sampling`: the model's own, for `full`.
        `capacity`: rows of one seat."""
        self._preparation = preparation
        self._prompt = prompt
        self._shape = shape
        self._settings = settings
        self._mode = mode
        self._sampling = sampling
        self._capacity = capacity

    def script(self, order: SpeechOrder, voice: Reference) -> Script:
        """What the engine is given to say.

        Raises:
            Refused: there is nothing to say, or an option is out of range.
        """
        controls = self._controls(order.options)
        prepared = self._preparation.chunks(order.text, order.language, voice.name)
        chunks = tuple(self._chunk(one, voice) for one in prepared if one.tokens)
        if not chunks:
            raise Refused("there is nothing to say in this text.")
        seed = controls.seed if controls.seed is not None else secrets.randbits(63)
        mode, codebooks = self._mode, self._shape.codebooks
        return Script(
            chunks=chunks,
            voice=voice.key,
            draws=lambda chunk, attempt: RowDraws(
                seed, mode, codebooks, chunk=chunk, attempt=attempt
            ),
            sampling=self._sampled(controls),
            # The likeliest frames are the same again, however often they are made.
            tries=1 if mode == "greedy" else self._settings.tries,
            priority=order.priority,
        )

    def _controls(self, options: Mapping[str, Any]) -> Controls:
        given = {name: options[name] for name in SAMPLED if options.get(name) is not None}
        try:
            asked = msgspec.convert(given, Controls, strict=False)
        except msgspec.ValidationError as error:
            raise Refused(f"an option cannot be honoured: {error}") from None
        mine = self._settings
        return Controls(
            mine.seed if asked.seed is None else asked.seed,
            asked.temperature or mine.temperature,
            asked.top_p or mine.top_p,
        )

    def _sampled(self, controls: Controls) -> Sampling | None:
        if self._mode != "full":
            return None
        own = self._sampling
        return msgspec.structs.replace(
            own,
            audio_temperature=controls.temperature or own.audio_temperature,
            audio_top_p=controls.top_p or own.audio_top_p,
        )

    def _chunk(self, prepared: PreparedChunk, voice: Reference) -> Chunk:
        rows = self._prompt.whole(voice.codes, prepared.tokens)
        room = self._capacity - len(rows)
        if room < 1:
            raise Refused("the voice sample and the text are too long together.")
        guards = _within(self._settings.guards, room)
        shape, text, tokens = self._shape, prepared.text, len(prepared.tokens)
        return Chunk(
            rows=rows,
            prefix_rows=len(self._prompt.prefix(voice.codes)),
            pause_samples=round(prepared.pause_s * shape.sample_rate),
            watch=lambda: Watch(text, tokens, guards),
            hush=lambda: Hush(shape.frame_samples, guards),
        )


def _within(guards: Guards, room: int) -> Guards:
    if guards.most_frames <= room:
        return guards
    return msgspec.structs.replace(guards, most_frames=room)
