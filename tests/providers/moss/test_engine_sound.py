"""What leaves the engine: soon, in order, no further ahead than is bounded, and not what is bad."""

from __future__ import annotations

import os
import sys
import threading

import numpy as np
import pytest

from providers.moss_tts_nano.engine.cadence import piece_frames
from providers.moss_tts_nano.engine.codec import pcm
from providers.moss_tts_nano.engine.utterance import (
    DECODED_AHEAD_FRAMES,
    MADE_AHEAD_FRAMES,
    UNREAD_FRAMES,
    Utterance,
)
from providers.moss_tts_nano.guards import Finding, Guards
from providers.moss_tts_nano.parts import CodecState, Floats, Ints
from tests.providers.moss.fakes import SHAPE, FakeDecoder, FakeParts, codes_in
from tests.providers.moss.scripts import CAPPED, Heard, foretold, say, script, working

FRAME_BYTES = SHAPE.frame_samples * SHAPE.channels * 2
FRAME_S = SHAPE.frame_samples / SHAPE.sample_rate
GOOD = np.arange(SHAPE.codebooks, dtype=np.int32)


class Stage:
    """An utterance without threads, at times of our own."""

    def __init__(self, texts: int = 1, guards: Guards = CAPPED, tries: int = 3) -> None:
        self.heard = Heard(reads=False)
        asked = script(1, range(texts), guards=guards, tries=tries)
        self.utterance = Utterance(asked, self.heard, SHAPE, now=0.0)

    def decode(self, now: float) -> int:
        """One piece through the codec; its frames."""
        piece = self.utterance.next_piece(now)
        if piece is None:
            return 0
        take, frames = piece
        first = take.decoded
        take.decoded += frames
        take.sound.append((first, bytes([1]) * frames * FRAME_BYTES))
        return frames

    def heard_frames(self) -> int:
        return len(self.heard.sound) // FRAME_BYTES


@pytest.mark.parametrize(
    ("lead_s", "frames"), [(None, 1), (-3.0, 1), (0.1, 1), (0.3, 2), (1.0, 4), (1.1, 8), (99.0, 8)]
)
def test_pieces_grow_with_the_lead(lead_s: float | None, frames: int) -> None:
    assert piece_frames(lead_s) == frames


def test_the_first_frame_leaves_alone() -> None:
    decoder = FakeDecoder()
    with working(FakeParts(stop_below=0), decoder=decoder) as engine:
        heard = say(engine, script(1, tries=1, guards=CAPPED)).wait()

    assert decoder.pieces[0] == 1
    assert len(heard.pieces[0]) == FRAME_BYTES
    assert max(decoder.pieces) > 1
    assert sum(decoder.pieces) == 60


def test_chunks_follow_each_other_with_their_pause_and_none_after_the_last() -> None:
    asked = script(3, [1, 2, 3])
    with working(FakeParts()) as engine:
        heard = say(engine, asked).wait()

    said = codes_in(heard.sound)
    assert said == foretold(asked)
    assert said.count(None) == 4
    assert said[-1] is not None


def test_every_chunk_begins_with_a_decoder_at_rest() -> None:
    with working(FakeParts(stop_below=0)) as engine:
        heard = say(engine, script(3, [1, 2], tries=1, guards=CAPPED)).wait()

    samples = np.frombuffer(heard.sound, dtype="<i2").reshape(-1, SHAPE.frame_samples, 2)
    places = samples[:, 0, 0].tolist()
    assert places == [*range(1, 61), 0, 0, *range(1, 61)]


def test_a_listener_who_does_not_read_stops_the_codec_and_then_the_frames() -> None:
    endless = Guards(
        frames_per_token=0, silent_frames=0, loops=False, fewest_frames_share=0, most_frames=3000
    )
    stage = Stage(guards=endless)
    take = stage.utterance.begin(0)
    made = 0
    while stage.utterance.may_go_on(take) and made < 5000:
        assert stage.utterance.add(take, GOOD)
        made += 1
        stage.decode(now=made * FRAME_S)
        stage.utterance.hand_out(now=made * FRAME_S)

    assert made < UNREAD_FRAMES + MADE_AHEAD_FRAMES + 10
    assert stage.heard_frames() <= UNREAD_FRAMES + 8
    assert take.decoded <= DECODED_AHEAD_FRAMES + 8

    stage.utterance.read(len(stage.heard.sound))
    stage.utterance.hand_out(now=made * FRAME_S)
    assert stage.utterance.may_go_on(take)
    assert stage.heard_frames() > UNREAD_FRAMES


def test_no_chunk_is_begun_for_a_listener_who_is_far_behind() -> None:
    stage = Stage(texts=4, guards=CAPPED)
    take = stage.utterance.begin(0)
    for _ in range(59):
        stage.utterance.add(take, GOOD)
    assert stage.utterance.next_chunk(most_ahead=3) == 1
    assert stage.utterance.next_chunk(most_ahead=0) is None
    stage.utterance._unread_bytes = MADE_AHEAD_FRAMES * FRAME_BYTES
    assert stage.utterance.next_chunk(most_ahead=3) is None


def test_sound_is_kept_back_until_its_chunk_is_good_while_nobody_waits_for_it() -> None:
    stage = Stage()
    take = stage.utterance.begin(0)
    for now in np.arange(400) * FRAME_S / 2:  # twice as fast as it is heard
        if len(take.frames) < 59:
            stage.utterance.add(take, GOOD)
        stage.decode(now)
        stage.utterance.hand_out(now)
    assert 0 < stage.heard_frames() <= 59


def test_a_chunk_that_nobody_heard_is_made_again_with_other_draws() -> None:
    guards = Guards(frames_per_token=0, silent_frames=0, most_frames=60, fewest_frames_share=0)
    stage = Stage(texts=2, guards=guards)
    stage.utterance.begin(0)
    ahead = stage.utterance.begin(1)
    going = [stage.utterance.add(ahead, GOOD) for _ in range(24)]  # a loop

    assert going[-1] is False
    assert stage.heard.findings == [(Finding("loop", 0), True)]
    assert not ahead.is_wanted
    again = stage.utterance.begin(1)
    assert (again.index, again.attempt) == (1, 1)
    assert again.draws.frame().tolist() != ahead.draws.frame().tolist()


def test_a_chunk_is_made_so_many_times_and_then_ends_where_it_was_good() -> None:
    guards = Guards(frames_per_token=0, silent_frames=0, most_frames=60, fewest_frames_share=0)
    stage = Stage(guards=guards, tries=2)
    for _ in range(2):
        take = stage.utterance.begin(0)
        for code in (*range(10), *[5] * 24):
            stage.utterance.add(take, GOOD + code % 28)

    assert [again for _, again in stage.heard.findings] == [True, False]
    assert take.is_made
    assert stage.utterance.next_chunk(9) is None
    while stage.decode(9.0):
        pass
    stage.utterance.hand_out(9.0)
    assert stage.heard.over.is_set()
    assert stage.heard_frames() == take.limit == 10


def test_what_has_left_is_not_made_again_but_ends() -> None:
    guards = Guards(frames_per_token=0, silent_frames=0, most_frames=60, fewest_frames_share=0)
    stage = Stage(texts=2, guards=guards)
    take = stage.utterance.begin(0)
    stage.utterance.add(take, GOOD)
    stage.decode(0.1)
    stage.utterance.hand_out(0.1)
    assert stage.heard_frames() == 1
    for _ in range(23):
        stage.utterance.add(take, GOOD)

    assert [again for _, again in stage.heard.findings] == [False]
    assert take.is_made
    stage.utterance.hand_out(0.2)
    assert stage.utterance.head == 1  # the rest of the text is still spoken
    assert not stage.heard.over.is_set()


def test_silence_that_is_heard_in_the_sound_ends_a_chunk() -> None:
    guards = Guards(
        frames_per_token=0, loops=False, fewest_frames_share=0, most_frames=60, silent_frames=5
    )

    class Falls(FakeDecoder):
        def decode(self, state, codes):  # type: ignore[no-untyped-def]  # as its parent's
            first = state.frames
            sound = super().decode(state, codes)
            for n in range(len(codes)):
                if first + n >= 12:
                    sound[:, n * SHAPE.frame_samples : (n + 1) * SHAPE.frame_samples] = 0
            return sound

    with working(FakeParts(stop_below=0), decoder=Falls()) as engine:
        heard = say(engine, script(1, guards=guards, tries=1)).wait()

    assert heard.findings
    assert 12 <= len(codes_in(heard.sound)) < 30
    assert heard.error is None


def test_samples_become_pcm_as_the_official_runtime_writes_it() -> None:
    samples = np.array([[0.0, 1.0, -1.0, 2.0], [0.5, -0.5, 1e-5, -3.0]], dtype=np.float32)

    got = np.frombuffer(pcm(samples), dtype="<i2").reshape(-1, 2).T

    assert got.tolist() == [[0, 32767, -32767, 32767], [16384, -16384, 0, -32767]]


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a niceness of their own on Linux")
def test_codecs_stand_back_behind_the_frames() -> None:
    seen: set[int] = set()

    class Asked(FakeDecoder):
        def decode(self, state: CodecState, codes: Ints) -> Floats:
            seen.add(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
            return super().decode(state, codes)

    with working(FakeParts(stop_below=0), decoder=Asked(), codecs=2) as engine:
        for heard in [say(engine, script(seed, guards=CAPPED)) for seed in range(4)]:
            heard.wait()
        frames = [each for each in threading.enumerate() if each.name.startswith("moss-frames")]
        nice = {os.getpriority(os.PRIO_PROCESS, each.native_id or 0) for each in frames}
    mine = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assert nice == {mine}
    assert seen == {min(mine + 5, 19)}


def test_two_codecs_say_what_one_says() -> None:
    sounds = []
    for codecs in (1, 2):
        with working(FakeParts(stop_below=0), codecs=codecs) as engine:
            heard = [say(engine, script(seed, tries=1, guards=CAPPED)) for seed in range(6)]
            sounds.append([b"".join(each.wait().pieces) for each in heard])
    assert sounds[0] == sounds[1]
