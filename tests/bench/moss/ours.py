"""The provider's engine, without the router around it."""

from __future__ import annotations

import queue
import time
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from providers.moss_tts_nano import fast, model
from providers.moss_tts_nano.choice import Chosen
from providers.moss_tts_nano.draws import RowDraws
from providers.moss_tts_nano.engine.script import Chunk, Script
from providers.moss_tts_nano.engine.threads import Staff, staff
from providers.moss_tts_nano.engine.utterance import Utterance
from providers.moss_tts_nano.guards import Finding, Hush, Watch
from providers.moss_tts_nano.layout import Layout, find
from providers.moss_tts_nano.prompt import Prompt
from providers.moss_tts_nano.reference import Reference
from providers.moss_tts_nano.settings import Guards, Precision, Settings
from router.contract.record import AssetsStage
from tests.bench.moss.contender import Contender, Models, Spoken, Task

_OFF = Guards(frames_per_token=0, silent_frames=0, loops=False, fewest_frames_share=0)
"""A random voice may be silent, or say the same again."""
_SAMPLE_BYTES = 2
_PATIENCE_S = 300.0


class _Speech:
    """A `Listener` that notes when it heard something, and hands that on."""

    def __init__(self, heard: queue.SimpleQueue[_Heard]) -> None:
        self.began_s = time.perf_counter()
        self.first_s = 0.0
        self.sound_bytes = 0
        self.error: Exception | None = None
        self._heard = heard

    def hear(self, sound: bytes) -> None:
        self.first_s = self.first_s or time.perf_counter()
        self.sound_bytes += len(sound)
        self._heard.put(_Heard(self, len(sound)))

    def doubt(self, finding: Finding, *, made_again: bool) -> None:
        """Every speech is cut at its length."""

    def end(self) -> None:
        self._heard.put(_Heard(self, 0))

    def fail(self, error: Exception) -> None:
        self.error = error
        self.end()


class _Heard(NamedTuple):
    speech: _Speech
    sound_bytes: int
    """0 at its end."""


class Ours:
    """Many streams; a `Runtime`."""

    def __init__(self, models: Models, contender: Contender) -> None:
        layout = find(Path(models.directory))
        settings = Settings(precision=_precision(contender), guards=_OFF)
        cores = model.cores(settings)
        usual = staff(cores)
        crew = staff(cores, max(usual.all_rows, contender.streams))
        parts = _parts(layout, models, contender, crew)
        self._engine = model.engine(layout, parts, settings, crew)
        self._prompt = Prompt(layout.manifest)
        self._shape = layout.shape
        self._seed = 0

    def speak(self, task: Task, lengths: list[int], streams: int) -> Spoken:
        """What is measured ends with the first speech behind which no other begins: until then
        all streams are busy."""
        run = _Run(self, task, lengths)
        for _ in range(streams):
            run.begin()
        full = run.until_one_is_left_out()
        run.until_all_are_over()
        speeches = run.speeches
        late = speeches[streams if streams > 1 else 0 :] or speeches
        return Spoken(
            audio_s=self.seconds(full.audio_bytes),
            wall_s=full.at_s - run.began.at_s,
            cpu_s=full.cpu_s - run.began.cpu_s,
            first_audio_s=[one.first_s - one.began_s for one in late],
            paces=[self.seconds(one.sound_bytes) / (run.ends_s[one] - one.began_s) for one in late],
        )

    def open(self, task: Task, frames: int, listener: _Speech) -> Utterance:
        self._seed += 1
        seed, codes = self._seed, np.array(task.voice, np.int32)
        guards = msgspec.structs.replace(_OFF, most_frames=frames)
        chunk = Chunk(
            rows=self._prompt.whole(codes, task.text),
            prefix_rows=len(self._prompt.prefix(codes)),
            pause_samples=0,
            watch=lambda: Watch("", 1, guards),
            hush=lambda: Hush(self._shape.frame_samples, guards),
        )
        script = Script(
            chunks=(chunk,),
            voice="known",
            draws=lambda _, attempt: RowDraws(
                seed, "fixed", self._shape.codebooks, attempt=attempt
            ),
            tries=1,
        )
        return self._engine.open(script, listener)

    def read(self, utterance: Utterance, sound_bytes: int) -> None:
        self._engine.read(utterance, sound_bytes)

    def seconds(self, sound_bytes: int) -> float:
        shape = self._shape
        return sound_bytes / _SAMPLE_BYTES / shape.channels / shape.sample_rate


class _Mark(NamedTuple):
    at_s: float
    cpu_s: float
    audio_bytes: int


class _Run:
    """Speeches that follow one another."""

    def __init__(self, ours: Ours, task: Task, lengths: list[int]) -> None:
        self._ours, self._task = ours, task
        self._left = list(reversed(lengths))
        self._heard: queue.SimpleQueue[_Heard] = queue.SimpleQueue()
        self._utterances: dict[_Speech, Utterance] = {}
        self._audio_bytes = 0
        self.speeches: list[_Speech] = []
        self.ends_s: dict[_Speech, float] = {}
        self.began = self._mark()

    def begin(self) -> None:
        frames = self._left.pop()
        speech = _Speech(self._heard)
        self.speeches.append(speech)
        self._utterances[speech] = self._ours.open(self._task, frames, speech)

    def until_one_is_left_out(self) -> _Mark:
        self._one_over()
        while self._left:
            self.begin()
            self._one_over()
        return self._mark()

    def until_all_are_over(self) -> None:
        while len(self.ends_s) < len(self.speeches):
            self._one_over()

    def _one_over(self) -> None:
        while True:
            speech, sound_bytes = self._heard.get(timeout=_PATIENCE_S)
            if not sound_bytes:
                break
            self._audio_bytes += sound_bytes
            self._ours.read(self._utterances[speech], sound_bytes)
        self.ends_s[speech] = time.perf_counter()
        if speech.error is not None:
            raise speech.error

    def _mark(self) -> _Mark:
        return _Mark(time.perf_counter(), time.process_time(), self._audio_bytes)


class _Patient:
    """A `Work` that nobody ends."""

    def progress(self, stage: AssetsStage, done: int, total: int, /) -> None:
        """The bench tells its own progress."""

    def stopped(self) -> bool:
        return False


def prepare(models: Models, precision: Precision) -> list[str]:
    """Build the graphs and let them be proven; gives the doubts, a line each."""
    layout = find(Path(models.directory))
    wide = staff(model.cores(Settings())).wide
    return fast.made(layout, Path(models.cache), precision, 1, _Patient(), wide=wide).doubts


def _precision(contender: Contender) -> Precision:
    return "int8" if contender.kind == "int8" else "exact"


def _parts(layout: Layout, models: Models, contender: Contender, crew: Staff) -> Chosen:
    shipped = Reference(layout, crew.threads)
    if contender.kind == "reference":
        return Chosen(shipped)
    cache, precision = Path(models.cache), _precision(contender)
    made = fast.made(layout, cache, precision, crew.threads, _Patient(), wide=crew.wide)
    proven = made.proven - {"decoder"} if contender.shipped_codec else made.proven
    return Chosen(shipped, made.parts, proven)
