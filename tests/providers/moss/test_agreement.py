"""Agreement: a number on a border is told from a fault, and nearness is measured."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from providers.moss_tts_nano.draws import Mode
from providers.moss_tts_nano.parts import Draws, Floats, Frames, FrameSampler, Ints
from providers.moss_tts_nano.proof.agreement import Tally, codes_alike, compared, distance
from providers.moss_tts_nano.proof.trace import Trace
from tests.providers.moss.tiny import Tiny


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return Tiny(tmp_path_factory.mktemp("tiny"), stop_margin=8.0)


class Moment:
    """One step of one row, of which something can be varied."""

    def __init__(self, tiny: Tiny, mode: Mode) -> None:
        chance = np.random.default_rng(3)
        shape = tiny.shape
        self.mode = mode
        self.size = shape.codebook_size
        self.sampler: FrameSampler = tiny.reference.sampler(mode)
        self.hidden = chance.normal(0, 1, (1, shape.hidden)).astype(np.float32)
        self.other = chance.normal(0, 1, (1, shape.hidden)).astype(np.float32)
        self.draws = Draws(
            np.full(1, 0.5, np.float32), np.full((1, shape.codebooks), 0.5, np.float32)
        )
        self.seen = np.zeros((1, shape.codebooks, shape.codebook_size), np.int32)

    def drawn_with(self, u: float, codebook: int = 2) -> tuple[Floats, Draws, Frames]:
        """The random number of one codebook varied."""
        audio = self.draws.audio.copy()
        audio[0, codebook] = u
        return self._sampled(self.hidden, Draws(self.draws.text, audio))

    def halfway(self, share: float) -> tuple[Floats, Draws, Frames]:
        """The hidden state so far on its way to another one."""
        mixed = (self.hidden + np.float32(share) * (self.other - self.hidden)).astype(np.float32)
        return self._sampled(mixed, self.draws)

    def trace(self, hidden: Floats, draws: Draws, frames: Frames) -> Trace:
        row = np.concatenate([[[9]], frames.codes], axis=1).astype(np.int32)
        return Trace(self.mode, row, row, row, hidden, (draws,), has_stopped=False)

    def _sampled(self, hidden: Floats, draws: Draws) -> tuple[Floats, Draws, Frames]:
        return hidden, draws, self.sampler.sample(hidden, self.seen, draws)


Vary = Callable[[float], tuple[Floats, Draws, Frames]]


def border(vary: Vary) -> tuple[float, float]:
    """Two neighbours between which the frame changes."""
    low, high = 0.1, 0.9
    before = vary(low)[2].codes
    assert (vary(high)[2].codes != before).any()
    for _ in range(20):
        middle = (low + high) / 2
        if (vary(middle)[2].codes == before).all():
            low = middle
        else:
            high = middle
    return low, high


def tally(moment: Moment, vary: Vary, right: float, given: float) -> Tally:
    trace = moment.trace(*vary(right))
    return compared(trace, vary(given)[2], moment.sampler, moment.size)


@pytest.mark.parametrize("mode", ["fixed", "full"])
def test_a_drawn_code_that_changes_with_a_hair_is_a_tie(tiny: Tiny, mode: Mode) -> None:
    moment = Moment(tiny, mode)
    low, high = border(moment.drawn_with)
    assert tally(moment, moment.drawn_with, low, low).equal == 1
    assert tally(moment, moment.drawn_with, low, high).tied == 1
    assert tally(moment, moment.drawn_with, high, low).tied == 1
    assert tally(moment, moment.drawn_with, low - 0.01, high).different == 1


def test_a_greedy_code_that_changes_with_a_hair_is_a_tie(tiny: Tiny) -> None:
    moment = Moment(tiny, "greedy")
    low, high = border(moment.halfway)
    assert tally(moment, moment.halfway, low, high).tied == 1
    assert tally(moment, moment.halfway, low, low).equal == 1
    assert tally(moment, moment.halfway, low - 0.05, high).different == 1


def test_codes_count_up_to_the_first_that_differs(tiny: Tiny) -> None:
    moment = Moment(tiny, "fixed")
    low, high = border(moment.drawn_with)
    found = tally(moment, moment.drawn_with, low, high)
    assert (found.codes_equal, found.codes) == (3, 4)  # going on, two codes; then the one varied
    same = tally(moment, moment.drawn_with, low, low)
    assert (same.codes_equal, same.codes) == (5, 5)
    both = found.plus(same)
    assert (both.frames, both.equal, both.tied) == (2, 1, 1)
    assert both.agreement == pytest.approx(8 / 9)


def test_after_an_end_no_code_is_compared(tiny: Tiny) -> None:
    moment = Moment(tiny, "fixed")
    moment.draws = Draws(np.full(1, 0.99999, np.float32), moment.draws.audio)
    hidden, draws, ended = moment.drawn_with(0.5)
    assert not ended.goes_on[0]
    nothing, prompt = np.zeros((0, 5), np.int32), np.zeros((1, 5), np.int32)
    trace = Trace("fixed", prompt, prompt, nothing, hidden, (draws,), has_stopped=True)
    assert compared(trace, ended, moment.sampler, moment.size) == Tally(
        equal=1, codes=1, codes_equal=1
    )
    endless = Frames(np.ones(1, np.bool_), ended.codes)
    assert compared(trace, endless, moment.sampler, moment.size).different == 1


def test_distance_is_the_worst_number_and_the_energy_of_all() -> None:
    right = [np.ones(50, np.float32), np.ones(50, np.float32)]
    given = [right[0], right[1] + np.float32(0.1)]
    found = distance(right, given)
    assert found.worst == pytest.approx(0.1)
    assert found.snr_db == pytest.approx(10 * np.log10(100 / 0.5), abs=0.01)
    assert distance(right, right).snr_db == 200


@pytest.mark.parametrize("given", [np.ones(3, np.float32), np.full(4, np.nan, np.float32)])
def test_other_shapes_and_what_is_no_number_have_no_distance(given: Floats) -> None:
    with pytest.raises(ValueError, match=r"shape|no numbers"):
        distance([np.ones(4, np.float32)], [given])


def test_a_clip_s_codes_count_up_to_the_first_that_differs() -> None:
    right: Ints = np.arange(12, dtype=np.int32).reshape(3, 4)
    given = right.copy()
    given[1, 1] = 99
    assert codes_alike(right, right) == 1
    assert codes_alike(right, given) == pytest.approx(9 / 10)
    assert codes_alike(right[:0], given[:0]) == 1
