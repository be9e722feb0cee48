"""Each part from the faster graphs where they are proven, else from the shipped ones."""

from __future__ import annotations

from collections.abc import Collection

from providers.moss_tts_nano.draws import Mode
from providers.moss_tts_nano.parts import Decoder, Encoder, FrameSampler, LanguageModel
from providers.moss_tts_nano.proof.trace import Parts
from providers.moss_tts_nano.prove import PartName
from providers.moss_tts_nano.reference import Reference
from providers.moss_tts_nano.sampling import Sampling


class Chosen:
    """A set of parts of two."""

    def __init__(
        self, shipped: Reference, fast: Parts | None = None, proven: Collection[PartName] = ()
    ) -> None:
        self._shipped = shipped
        self._fast = fast
        self._proven = frozenset(proven) if fast is not None else frozenset[PartName]()

    def sampling_mode(self, mode: Mode) -> Mode:
        """The mode in which frames are really sampled."""
        fast = "fixed_frames" in self._proven
        return mode if mode == "fixed" and fast else self._shipped.sampling_mode(mode)

    def language_model(self, seats: int, capacity: int) -> LanguageModel:
        return self._of("language_model").language_model(seats, capacity)

    def sampler(self, mode: Mode, sampling: Sampling | None = None) -> FrameSampler:
        if mode == "full":
            return self._shipped.sampler(mode, sampling)
        part: PartName = "fixed_frames" if mode == "fixed" else "greedy_frames"
        return self._of(part).sampler(mode, sampling)

    def decoder(self) -> Decoder:
        return self._of("decoder").decoder()

    def encoder(self) -> Encoder:
        return self._of("encoder").encoder()

    def unload(self) -> None:
        self._shipped.unload()
        if self._fast is not None:
            self._fast.unload()

    def _of(self, part: PartName) -> Parts:
        fast = self._fast
        return fast if fast is not None and part in self._proven else self._shipped
