"""Who comes next, at times of our own: nobody starves, and who has enough waits."""

from __future__ import annotations

import numpy as np
import pytest

from providers.moss_tts_nano.engine.book import ALL_EVERY, Book
from providers.moss_tts_nano.engine.script import Script
from providers.moss_tts_nano.engine.take import Take
from providers.moss_tts_nano.engine.utterance import Utterance
from router.contract.speech import Priority
from tests.providers.moss.fakes import SHAPE
from tests.providers.moss.scripts import Heard, script

FRAME_BYTES = SHAPE.frame_samples * SHAPE.channels * 2
FRAME_S = SHAPE.frame_samples / SHAPE.sample_rate
CODES = np.zeros(SHAPE.codebooks, dtype=np.int32)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Desk:
    """A book whose threads are the test."""

    def __init__(self, rows: int = 4) -> None:
        self.clock = Clock()
        self.book = Book(SHAPE, rows=rows, most=64, clock=self.clock)
        self.takes: list[Take] = []

    def open(self, asked: Script) -> Utterance:
        return self.book.open(asked, Heard(reads=False))

    def begin(self) -> Take | None:
        take = self.book.next_take(len(self.takes))
        if take is not None:
            self.takes.append(take)
        return take

    def seated(self, asked: Script) -> Take:
        """Open it, and begin its first chunk."""
        self.open(asked)
        take = self.begin()
        assert take is not None
        return take

    def sounds(self, take: Take, seconds: float) -> None:
        """So much sound of it is handed out now."""
        frames = round(seconds / FRAME_S)
        for _ in range(frames):
            take.utterance.add(take, CODES)
        take.decoded = frames
        take.sound.append((0, bytes([1]) * frames * FRAME_BYTES))
        take.utterance.hand_out(self.clock.now)


def long(seed: int, priority: Priority = "live") -> Script:
    return script(seed, range(6), priority=priority)


def test_what_is_heard_now_comes_before_what_is_heard_later() -> None:
    desk = Desk(rows=8)
    first, second = desk.open(long(1)), desk.open(long(2))

    begun = [desk.begin() for _ in range(4)]

    order = [(take.utterance is first, take.index) for take in begun if take is not None]
    assert order[:2] == [(True, 0), (False, 0)]
    assert {index for _, index in order[2:]} == {1}
    assert second.head == 0


def test_batches_and_what_is_made_ahead_leave_a_seat_free() -> None:
    desk = Desk(rows=4)
    desk.open(long(1, "batch"))
    desk.open(long(2, "batch"))
    while desk.begin() is not None:
        pass
    assert len(desk.takes) == 3

    live = desk.open(script(3))
    take = desk.begin()

    assert take is not None
    assert take.utterance is live


def test_a_batch_speaks_where_there_is_one_seat_alone() -> None:
    desk = Desk(rows=1)
    desk.open(script(1, priority="batch"))

    assert desk.begin() is not None


def test_who_has_enough_to_hear_waits_while_another_is_hungry() -> None:
    desk = Desk(rows=8)
    calm = desk.seated(script(1))
    desk.sounds(calm, 6.0)
    hungry = desk.seated(script(2))

    chosen = [desk.book.choose(desk.takes) for _ in range(2 * ALL_EVERY)]

    assert all(hungry in takes for takes in chosen)
    assert sum(calm in takes for takes in chosen) == 2


@pytest.mark.parametrize("lead_s", [1.0, 3.0])
def test_who_has_little_to_hear_goes_on_beside_one_who_is_hungry(lead_s: float) -> None:
    desk = Desk(rows=8)
    running = desk.seated(script(1))
    desk.sounds(running, lead_s)
    desk.seated(script(2))

    assert all(running in desk.book.choose(desk.takes) for _ in range(8))


def test_time_alone_makes_a_calm_listener_hungry() -> None:
    desk = Desk(rows=8)
    utterance = desk.open(script(1))
    take = desk.begin()
    assert take is not None
    desk.sounds(take, 5.0)
    assert utterance.lead_s(desk.clock.now) == pytest.approx(5.0)

    desk.clock.now += 4.8

    assert utterance.lead_s(desk.clock.now) == pytest.approx(0.2)


def test_of_two_who_wait_for_sound_the_one_who_waits_longer_is_decoded_first() -> None:
    desk = Desk(rows=8)
    for seed in (1, 2):
        desk.open(script(seed))
        desk.clock.now += 1.0
    first, second = desk.begin(), desk.begin()
    assert first is not None
    assert second is not None
    for take in (second, first):
        take.utterance.add(take, CODES)

    assert desk.book.next_piece() == (first, 1)
    assert desk.book.next_piece() == (second, 1)
    assert desk.book.next_piece() is None


def test_who_has_heard_nothing_is_served_before_those_who_are_late_already() -> None:
    desk = Desk(rows=8)
    late = desk.seated(script(1))
    desk.sounds(late, 1.0)
    desk.clock.now += 5.0
    new = desk.seated(script(2))
    for take in (late, new):
        take.utterance.add(take, CODES)

    assert desk.book.next_piece() == (new, 1)
    assert desk.book.next_piece() == (late, 1)


def test_one_codec_at_a_time_works_at_a_take_whichever_it_is() -> None:
    desk = Desk()
    take = desk.seated(script(1))
    take.utterance.add(take, CODES)
    assert desk.book.next_piece() == (take, 1)
    for _ in range(20):
        take.utterance.add(take, CODES)

    assert desk.book.next_piece() is None
    take.at_codec = False
    assert desk.book.next_piece() is not None
