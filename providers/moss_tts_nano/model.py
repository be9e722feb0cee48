"""The model at work: everything that an order needs once it is ready."""

from __future__ import annotations

import os
from collections import OrderedDict
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from providers.moss_tts_nano.choice import Chosen
from providers.moss_tts_nano.clips import LONGEST_S
from providers.moss_tts_nano.clones import Clones
from providers.moss_tts_nano.draws import Mode
from providers.moss_tts_nano.engine.engine import Engine
from providers.moss_tts_nano.engine.mailbox import Mailbox
from providers.moss_tts_nano.engine.threads import Staff
from providers.moss_tts_nano.layout import Layout
from providers.moss_tts_nano.names import LANGUAGES
from providers.moss_tts_nano.orders import SAMPLED, SEEDED, Scripts
from providers.moss_tts_nano.parts import FrameSampler, LanguageModel, Shape
from providers.moss_tts_nano.preparation import Preparation
from providers.moss_tts_nano.prompt import Prompt
from providers.moss_tts_nano.sampling import Sampling, sampling_of
from providers.moss_tts_nano.sentences import MOST_TOKENS
from providers.moss_tts_nano.settings import Settings
from providers.moss_tts_nano.voices import BuiltinVoices
from router.contract.audio import AudioFormat
from router.contract.speech import Capabilities

MODEL = "moss-tts-nano"
_LONGEST_TEXT = 100_000
"""Code points: two hours of speech."""
_SAMPLERS = 16
"""Settings of temperature and top-p whose samplers a worker keeps."""
_MB = 1024 * 1024


class Model(NamedTuple):
    """What is there once it is ready."""

    format: AudioFormat
    shape: Shape
    capabilities: Capabilities
    voices: BuiltinVoices
    clones: Clones
    scripts: Scripts
    engine: Engine
    mailbox: Mailbox


class Desk:
    """What one worker has for itself."""

    def __init__(
        self, layout: Layout, parts: Chosen, mode: Mode, *, seats: int, capacity: int
    ) -> None:
        self.shape: Shape = layout.shape
        self.assistant_slot = layout.manifest.tts_config.audio_assistant_slot_token_id
        self.language_model: LanguageModel = parts.language_model(seats, capacity)
        self._parts = parts
        self._mode = mode
        self._samplers: OrderedDict[Sampling | None, FrameSampler] = OrderedDict()

    def sampler(self, sampling: Sampling | None) -> FrameSampler:
        if sampling not in self._samplers:
            self._samplers[sampling] = self._parts.sampler(self._mode, sampling)
            if len(self._samplers) > _SAMPLERS:
                self._samplers.popitem(last=False)
        self._samplers.move_to_end(sampling)
        return self._samplers[sampling]


def engine(layout: Layout, parts: Chosen, settings: Settings, staff: Staff) -> Engine:
    """The engine, running. Loads what it needs; blocking.

    Raises:
        Broken: a graph cannot be loaded.
    """
    mode = parts.sampling_mode(settings.sample_mode)
    places = capacity(layout, settings)
    with ThreadPoolExecutor(2) as loading:  # the language model is loaded here meanwhile
        sampler = loading.submit(parts.sampler, settings.sample_mode)
        decoder = loading.submit(parts.decoder)
        desks = [
            Desk(layout, parts, settings.sample_mode, seats=staff.rows, capacity=places)
            for _ in range(staff.workers)
        ]
        sampler.result()
    return Engine(
        layout.shape,
        desks,
        decoder.result(),
        codecs=staff.codecs,
        mode=mode,
        waiting=settings.waiting,
        prefix_bytes=settings.voices_mb * _MB,
    )


def capacity(layout: Layout, settings: Settings) -> int:
    """Rows that the longest chunk in the longest voice can take."""
    shape, prompt = layout.shape, Prompt(layout.manifest)
    clip_frames = int(LONGEST_S * shape.sample_rate) // shape.frame_samples
    builtin = (len(voice.prompt_audio_codes) for voice in layout.manifest.builtin_voices)
    templates = len(prompt.whole(np.zeros((0, shape.codebooks), dtype=np.int32), ()))
    voice = max(clip_frames, *builtin)
    return templates + voice + 2 * MOST_TOKENS + settings.guards.most_frames


def scripts(layout: Layout, preparation: Preparation, parts: Chosen, settings: Settings) -> Scripts:
    return Scripts(
        preparation,
        Prompt(layout.manifest),
        layout.shape,
        settings,
        mode=parts.sampling_mode(settings.sample_mode),
        sampling=sampling_of(layout.manifest.generation_defaults),
        capacity=capacity(layout, settings),
    )


def clones(
    layout: Layout, parts: Chosen, settings: Settings, *, encoding: Executor, hashing: Executor
) -> Clones:
    return Clones(
        parts.encoder,
        layout.shape.sample_rate,
        settings.clones,
        encoding=encoding,
        hashing=hashing,
    )


def capabilities(layout: Layout, parts: Chosen, settings: Settings) -> Capabilities:
    is_full = parts.sampling_mode(settings.sample_mode) == "full"
    return Capabilities(
        formats=(format_of(layout.shape),),
        max_chars=_LONGEST_TEXT,
        cloning=True,
        wants_samples=True,
        languages=LANGUAGES,
        options=SAMPLED if is_full else SEEDED,
        chooses_voice=True,
    )


def format_of(shape: Shape) -> AudioFormat:
    return AudioFormat("pcm", shape.sample_rate, shape.channels)


def cores(settings: Settings) -> int:
    """Processors that this process may use."""
    if settings.cores is not None:
        return settings.cores
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
