"""The engine over real graphs: a row becomes what the official loop makes of it alone."""

from __future__ import annotations

import threading
from pathlib import Path
from types import NoneType

import msgspec
import numpy as np
import pytest

from providers.moss_tts_nano.choice import Chosen
from providers.moss_tts_nano.compact import store
from providers.moss_tts_nano.compact.compact import Compact
from providers.moss_tts_nano.draws import Mode, RowDraws
from providers.moss_tts_nano.engine.engine import Engine
from providers.moss_tts_nano.engine.script import Chunk, Script
from providers.moss_tts_nano.engine.utterance import Mute
from providers.moss_tts_nano.guards import Guards, Hush, Watch
from providers.moss_tts_nano.layout import Layout, find
from providers.moss_tts_nano.model import Desk
from providers.moss_tts_nano.official import Official
from providers.moss_tts_nano.parts import CodecState, Decoder, Floats, Ints
from providers.moss_tts_nano.prompt import Prompt
from providers.moss_tts_nano.prove import PARTS
from providers.moss_tts_nano.reference import Reference
from tests.providers.moss.conftest import MossDirectory
from tests.providers.moss.scripts import Heard, say
from tests.support.tiny_moss import TINY

MOST_FRAMES = 30
GUARDS = Guards(
    frames_per_token=0, silent_frames=0, loops=False, fewest_frames_share=0, most_frames=MOST_FRAMES
)
TEXTS = [[20 + n, 31, 42 + n, 53, 64][: 2 + n % 4] for n in range(8)]


class Listening:
    """A decoder that remembers the codes of each stream."""

    def __init__(self, decoder: Decoder) -> None:
        self.streams: dict[int, list[Ints]] = {}
        self._decoder = decoder
        self._states: dict[int, CodecState] = {}
        self._lock = threading.Lock()

    def start(self) -> CodecState:
        state = self._decoder.start()
        with self._lock:
            self._states[id(state)] = state
            self.streams[id(state)] = []
        return state

    def decode(self, state: CodecState, codes: Ints) -> Floats:
        self.streams[id(state)].append(codes.copy())
        return self._decoder.decode(state, codes)

    def heard(self) -> set[bytes]:
        return {np.concatenate(pieces).tobytes() for pieces in self.streams.values()}


@pytest.fixture(scope="module")
def layout(moss_directory: MossDirectory) -> Layout:
    return find(moss_directory(spec=msgspec.structs.replace(TINY, stop_margin=3.0)))


@pytest.fixture(scope="module", params=["shipped", "compact"])
def parts(
    request: pytest.FixtureRequest, layout: Layout, tmp_path_factory: pytest.TempPathFactory
) -> Chosen:
    reference = Reference(layout, threads=1)
    if request.param == "shipped":
        return Chosen(reference)
    cache: Path = tmp_path_factory.mktemp("graphs")
    return Chosen(reference, Compact(layout, store.make(layout, cache, "exact"), 1), PARTS)


@pytest.mark.parametrize("mode", ["fixed", "greedy", "full"])
@pytest.mark.parametrize("workers", [1, 2])
def test_batched_rows_say_what_the_official_loop_says_of_each_alone(
    mode: Mode, workers: int, parts: Chosen, layout: Layout
) -> None:
    voices = [
        np.array(voice.prompt_audio_codes, dtype=np.int32)
        for voice in layout.manifest.builtin_voices
    ]
    decoder = Listening(parts.decoder())
    desks = [Desk(layout, parts, mode, seats=3, capacity=256) for _ in range(workers)]
    engine = Engine(
        layout.shape, desks, decoder, codecs=2, mode=mode, waiting=64, prefix_bytes=100_000_000
    )
    try:
        heard: list[Heard] = []
        for n, tokens in enumerate(TEXTS):
            at = n % len(voices)
            heard.append(say(engine, _script(layout, voices[at], at, tokens, seed=n, mode=mode)))
            if n % 3 == 0:
                heard[-1].sounding.wait(20)
        for one in heard:
            assert isinstance(one.wait().error, Mute | NoneType)
    finally:
        engine.close()

    reference = Reference(layout, threads=1)
    alone = set()
    for n, tokens in enumerate(TEXTS):
        official = Official(reference, mode, seed=n, most_frames=MOST_FRAMES)
        alone.add(official.codes(voices[n % len(voices)], tokens).tobytes())
    assert decoder.heard() == alone - {b""}  # of some text no frame comes, alone or not
    assert len(alone) > 4


def _script(
    layout: Layout, voice: Ints, key: int, tokens: list[int], *, seed: int, mode: Mode
) -> Script:
    prompt = Prompt(layout.manifest)
    chunk = Chunk(
        rows=prompt.whole(voice, tokens),
        prefix_rows=len(prompt.prefix(voice)),
        pause_samples=0,
        watch=lambda: Watch("", len(tokens), GUARDS),
        hush=lambda: Hush(layout.shape.frame_samples, GUARDS),
    )
    return Script(
        chunks=(chunk,),
        voice=key,
        draws=lambda chunk, attempt: RowDraws(
            seed, mode, layout.shape.codebooks, chunk=chunk, attempt=attempt
        ),
        tries=1,
    )
