"""The official loop: for one seed its tokens, its pauses, its pieces."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import Protocol

import numpy as np
import pytest

from providers.moss_tts_nano.draws import Mode
from providers.moss_tts_nano.official import Chunk, Official, official_mode
from providers.moss_tts_nano.parts import Floats, Ints
from providers.moss_tts_nano.prompt import Prompt
from tests.providers.moss.tiny import TOKENS, Tiny
from tests.support.moss_numpy import Settings, drawn_by_id
from tests.support.moss_numpy.choices import penalised

CHUNKS = (Chunk(TOKENS, 0.24), Chunk((7, 8, 9), 0.40), Chunk((100, 101), 0.40))
GOES_ON, STOPS = 9, 7


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """One that stops now and then."""
    return Tiny(tmp_path_factory.mktemp("tiny"), stop_margin=3.0)


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return Tiny(tmp_path_factory.mktemp("endless"), stop_margin=30.0)


class Choose(Protocol):
    def __call__(self, hidden: Floats, seen: Ints) -> tuple[bool, list[int]]: ...


class ByHand:
    """The loop over the plain forward: one generator, asked for one number at a time."""

    def __init__(self, tiny: Tiny, seed: int) -> None:
        self.tiny = tiny
        self.generator = np.random.default_rng(seed)

    def number(self) -> float:
        return float(self.generator.random())

    def fixed(self, hidden: Floats, seen: Ints) -> tuple[bool, list[int]]:
        text, *audio = (np.float32(min(self.number(), 0.99999994)) for _ in range(5))
        return self.tiny.local.fixed(hidden, seen, float(text), [float(u) for u in audio])

    def greedy(self, hidden: Floats, seen: Ints) -> tuple[bool, list[int]]:
        return self.tiny.local.greedy(hidden, seen)

    def full(self, hidden: Floats, seen: Ints) -> tuple[bool, list[int]]:
        text, _ = self.tiny.local.logits(hidden, GOES_ON, ())
        pair = text[[GOES_ON, STOPS]].astype(np.float32)
        if drawn_by_id(pair, self.number(), Settings(1.0, 1.0, 2)) != 0:
            return False, []
        codes: list[int] = []
        for heard in seen:
            _, audio = self.tiny.local.logits(hidden, GOES_ON, codes)
            logits = penalised(audio[-1], heard, 1.2).astype(np.float32)
            codes.append(drawn_by_id(logits, self.number(), Settings()))
        return True, codes

    def chunk(self, choose: Choose, voice: Ints, tokens: Sequence[int]) -> list[list[int]]:
        prompt, shape = Prompt(self.tiny.layout.manifest), self.tiny.shape
        hidden, known = self.tiny.language_model.read(prompt.whole(voice, tokens))
        seen = np.zeros((shape.codebooks, shape.codebook_size), np.int32)
        frames: list[list[int]] = []
        while len(frames) < self.tiny.layout.manifest.generation_defaults.max_new_frames:
            goes_on, codes = choose(hidden[-1], seen)
            if not goes_on:
                break
            frames.append(codes)
            seen[np.arange(shape.codebooks), codes] = 1
            hidden, known = self.tiny.language_model.read(prompt.spoken(np.array([codes])), known)
        return frames


@pytest.mark.parametrize("mode", ["fixed", "full", "greedy"])
@pytest.mark.parametrize("seed", [2, 3])
def test_for_one_seed_all_chunks_have_the_tokens_of_one_generator(
    tiny: Tiny, mode: Mode, seed: int
) -> None:
    by_hand, official = ByHand(tiny, seed), Official(tiny.reference, mode, seed=seed)
    choose: Choose = getattr(by_hand, mode)
    for at, chunk in enumerate(CHUNKS):
        expected = by_hand.chunk(choose, tiny.voice(at), chunk.tokens)
        assert official.codes(tiny.voice(at), chunk.tokens).tolist() == expected


def test_without_a_mode_the_manifest_s_own_is_taken_and_the_generator_runs_on(tiny: Tiny) -> None:
    official = Official(tiny.reference)
    named = Official(tiny.reference, "fixed", seed=1234)
    for _ in range(2):
        codes = official.codes(tiny.voice(), TOKENS)
        assert (codes == named.codes(tiny.voice(), TOKENS)).all()


def test_settings_become_modes_as_they_do_officially() -> None:
    assert official_mode("mixed3", do_sample=False) == "greedy"
    assert official_mode("mixed3", do_sample=True) == "fixed"
    assert official_mode(None, do_sample=False) == "greedy"
    assert official_mode("whatever") == "fixed"
    assert official_mode("fixed", do_sample=False) == "fixed"


def test_a_chunk_ends_at_the_most_frames(endless: Tiny) -> None:
    assert len(Official(endless.reference).codes(endless.voice(), TOKENS)) == 40
    assert len(Official(endless.reference, most_frames=7).codes(endless.voice(), TOKENS)) == 7


def test_streamed_speech_is_the_speech_that_is_decoded_at_once(tiny: Tiny) -> None:
    whole = Official(tiny.reference, seed=3).speak(tiny.voice(), CHUNKS)
    pieces = list(Official(tiny.reference, seed=3).stream(tiny.voice(), CHUNKS))
    assert len(pieces) > 6
    together = np.concatenate(pieces, axis=1)
    assert together.shape == whole.shape
    assert np.abs(together - whole).max() < 1e-5


def test_between_chunks_there_is_silence_and_after_the_last_there_is_none(endless: Tiny) -> None:
    official = Official(endless.reference, most_frames=2)
    sound = official.speak(endless.voice(), CHUNKS)
    frames = 2 * endless.shape.frame_samples
    assert sound.shape == (2, 3 * frames + 11_520 + 19_200)
    assert not sound[:, frames : frames + 11_520].any()
    assert sound[:, frames - 100 : frames].any()
    assert sound[:, -100:].any()


def test_a_chunk_without_a_frame_leaves_only_its_pause(tiny: Tiny) -> None:
    silent = next(
        seed
        for seed in range(200)
        if not len(Official(tiny.reference, seed=seed).codes(tiny.voice(), TOKENS))
    )
    one = [Chunk(TOKENS, 0.24)]
    assert Official(tiny.reference, seed=silent).speak(tiny.voice(), one).shape == (2, 0)
    assert list(Official(tiny.reference, seed=silent).stream(tiny.voice(), one)) == []


def sizes(tiny: Tiny, ticks_s: Sequence[float] | None, frames: int = 30) -> list[int]:
    """Frames of each piece, with a clock that shows these times, or that stands still."""
    clock = iter(ticks_s).__next__ if ticks_s else repeat(5.0).__next__
    official = Official(tiny.reference, most_frames=frames)
    pieces = official.stream(tiny.voice(), CHUNKS[:1], clock)
    return [piece.shape[1] // tiny.shape.frame_samples for piece in pieces]


def test_pieces_grow_with_what_the_listener_has_ahead(endless: Tiny) -> None:
    # With 80 ms a frame: below 0.2 s of lead one at a time, below 0.55 two, below 1.1 four.
    assert sizes(endless, None) == [1, 1, 1, 2, 2, 4, 4, 8, 7]


def test_pieces_stay_small_while_there_is_no_lead(endless: Tiny) -> None:
    slow = [float(second) for second in range(100)]
    assert sizes(endless, slow, frames=12) == [1] * 12


def test_frames_come_one_by_one_as_they_are_made(endless: Tiny) -> None:
    made = Official(endless.reference).frames(endless.voice(), TOKENS)
    first = [next(made) for _ in range(3)]
    made.close()
    codes = Official(endless.reference, most_frames=3).codes(endless.voice(), TOKENS)
    assert np.stack(first).tolist() == codes.tolist()


def test_a_cloned_voice_is_a_voice_like_any_other(tiny: Tiny) -> None:
    noise = np.random.default_rng(6).uniform(-0.5, 0.5, (2, 6 * 3840 + 500)).astype(np.float32)
    voice = tiny.reference.encoder().encode(noise)
    assert len(voice) == 6
    by_hand = ByHand(tiny, 2)
    expected = by_hand.chunk(by_hand.fixed, tiny.codec.encode(noise).astype(np.int32), TOKENS)
    codes = Official(tiny.reference, "fixed", seed=2).codes(voice, TOKENS)
    assert codes.tolist() == expected


def test_a_chunk_shows_nothing_of_its_text() -> None:
    assert repr(CHUNKS[0]) == "Chunk(5 tokens)"
